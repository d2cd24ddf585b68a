import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, expect, test } from 'vitest';
import { closeGoneConnections } from './gone-connections.ts';

closeGoneConnections();

const accepted: Socket[] = [];
const server = createServer((socket) => {
  socket.on('error', () => {});
  accepted.push(socket);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
afterAll(() => server.close());

/** Both ends of a new connection. */
async function pair(): Promise<[client: Socket, server: Socket]> {
  const client = connect(port, '127.0.0.1');
  client.on('error', () => {});
  await once(client, 'connect');
  await expect.poll(() => accepted.length).toBe(1);
  return [client, accepted.pop()!];
}

const closesWithin = (socket: Socket, ms: number): Promise<boolean> =>
  new Promise((resolve) => {
    const late = setTimeout(resolve, ms, false);
    socket.once('close', () => {
      clearTimeout(late);
      resolve(true);
    });
  });

/** Nothing reads it, as where TLS and HTTP/2 wait for a write that has failed. */
function stopReading(socket: Socket): void {
  socket.pause();
  (socket as unknown as { _handle: { readStop(): void } })._handle.readStop();
}

test.each(['client', 'server'] as const)(
  'the end of a connection that the %s does not read',
  async (which) => {
    const [client, served] = await pair();
    const [here, there] = which === 'client' ? [client, served] : [served, client];
    stopReading(here);
    there.resetAndDestroy();
    expect(await closesWithin(here, 5_000)).toBe(true);
    expect(here.errored?.message).toBe('the connection is over');
  },
);

test('one whose other end is there stays, read or not', async () => {
  const [client, served] = await pair();
  stopReading(client);
  served.write('waits');
  expect(await closesWithin(client, 3_500)).toBe(false);
  client.destroy();
  served.destroy();
});

test('a process waits for a connection that hangs, until it is closed; not for one that it needs no more', async () => {
  const code = (held: boolean) => `
    import { connect } from 'node:net';
    import { closeGoneConnections } from ${JSON.stringify(new URL('./gone-connections.ts', import.meta.url).href)};
    closeGoneConnections();
    const socket = connect(${port}, '127.0.0.1', () => {
      socket.pause();
      socket._handle.readStop();
      if (${!held}) socket.unref();
    });
    socket.on('error', (error) => console.log(error.message));
    socket.on('close', () => console.log('closed'));
  `;
  const runs = [true, false].map(async (held) => {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code(held)]);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stderr.resume();
    await once(child, 'close');
    return [child.exitCode, said];
  });
  await expect.poll(() => accepted.length, { timeout: 20_000 }).toBe(2);
  const ended = Promise.all(runs);
  setTimeout(() => {
    for (const socket of accepted) socket.resetAndDestroy();
  }, 3_500);
  expect(await ended).toEqual([
    [0, 'the connection is over\nclosed\n'],
    [0, ''],
  ]);
}, 30_000);
