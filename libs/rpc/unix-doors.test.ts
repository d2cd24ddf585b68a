// A caller on a unix socket that is killed says nothing: the end of its socket is the end of its calls.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:http2';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { expect, test } from 'vitest';
import { createLog } from './log.ts';
import { createRpcServer, type Handlers } from './server.ts';

test('a stream to which nobody writes ends with the process of its caller', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-doors-'));
  const path = join(folder, 'x.sock');
  const began = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const handlers: Handlers<typeof HandOverService> = {
    async *succeed(_requests, { signal }) {
      began.resolve();
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      ended.resolve();
    },
  };
  const server = createRpcServer({ name: 'test', log: createLog('test', 'fatal') });
  server.add(HandOverService, handlers);
  await server.listen(`unix:${path}`);
  const socket = createConnection(path);
  const session = connect('http://x', { createConnection: () => socket });
  session.on('error', () => {});
  session
    .request({
      ':method': 'POST',
      ':path': '/odonata.pmap.v1.HandOverService/Succeed',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    .on('error', () => {});
  try {
    await began.promise;
    // As the kernel closes it: no word of HTTP/2.
    socket.destroy();
    await expect(ended.promise).resolves.toBeUndefined();
  } finally {
    await server.drain(0);
    rmSync(folder, { recursive: true });
  }
}, 10_000);
