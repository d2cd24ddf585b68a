// What a router does with the bytes of a circuit, from what HTTP/2 gives it to what it gives HTTP/2: nobody looks into them, and
// nobody copies them. Real routers, which count what JavaScript copies in them; bytes through one, and through two.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterEach, expect, it } from 'vitest';
import { freePorts } from '../../test/sockets/free-ports.ts';

const PIECES = 128;
const PIECE_BYTES = 64 * 1024;
const log = silentLog();
const routers: ChildProcess[] = [];
const endpoints: SyslinkEndpoint[] = [];

afterEach(async () => {
  for (const endpoint of endpoints.splice(0)) endpoint.close();
  for (const router of routers.splice(0)) {
    const gone = once(router, 'exit');
    router.kill('SIGKILL');
    await gone;
  }
});

function router(port: number, peers: string): () => Promise<number> {
  const [main, counting] = ['main.ts', 'testdata/count-copies.ts'].map((file) =>
    join(import.meta.dirname, file),
  );
  const settings = [
    '--listen',
    `127.0.0.1:${port}`,
    '--settle-ms',
    '0',
    '--log-level',
    'fatal',
    '--name',
    `r${port}`,
  ];
  const args = ['--import', counting!, main!, ...settings, ...(peers === '' ? [] : ['--peers', peers])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  routers.push(child);
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  return async () => {
    child.kill('SIGUSR2');
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('the router ended');
      if (String(value).startsWith('{"copied"')) return (JSON.parse(value) as { copied: number }).copied;
    }
  };
}

function attached(port: number, name: string): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const endpoint = attachSyslink({ address: `127.0.0.1:${port}`, name, kind, log, folder: undefined });
  endpoints.push(endpoint);
  return endpoint;
}

const event = (value: Uint8Array) => ({ event: { case: 'data' as const, value } });
const piece = (i: number): Uint8Array => new Uint8Array(PIECE_BYTES).fill(i);

it.each([1, 2])('copies nothing of what a circuit carries, through %i', async (count) => {
  const ports = await freePorts(count);
  const copied = ports.map((port, i) => router(port, i === 0 ? '' : `127.0.0.1:${ports[i - 1]}`));
  const far = attached(ports.at(-1)!, 'node1/vkerneld').serve(PeerService, {
    async *connect(requests) {
      for await (const { event: each } of requests) if (each.case === 'data') yield event(each.value);
    },
  });
  const near = attached(ports[0]!, '');
  await Promise.all([near, far].map((each) => each.ready({ deadlineMs: 20_000 })));
  while (!(await near.listEndpoints()).some(({ name }) => name === 'node1/vkerneld')) await delay(50);
  const hash = createHash('sha256');
  const wanted = createHash('sha256');
  async function* sent() {
    for (let i = 0; i < PIECES; i++) {
      wanted.update(piece(i));
      yield event(piece(i));
    }
  }
  const before = await Promise.all(copied.map((each) => each()));
  let bytes = 0;
  for await (const { event: each } of near.client(PeerService, { name: 'node1/vkerneld' }).connect(sent()))
    if (each.case === 'data') {
      hash.update(each.value);
      bytes += each.value.length;
    }
  expect(bytes).toBe(PIECES * PIECE_BYTES);
  expect(hash.digest('hex')).toBe(wanted.digest('hex'));
  for (const [i, each] of copied.entries()) {
    // There and back. What is cut within the first bytes of a message is put together again: seldom.
    const share = ((await each()) - before[i]!) / (2 * bytes);
    expect(share).toBeLessThan(0.05);
  }
});
