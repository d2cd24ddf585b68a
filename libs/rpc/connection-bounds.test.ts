// Who says nothing, or comes too often, at a TCP door: others get in all the while.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { TestAuthority } from '../authority/testing.ts';
import { createClient } from './client.ts';
import type { TlsFolder } from './identity/tls-folder.ts';
import { silentLog } from './log.ts';
import { createRpcServer, type Handlers, type RpcServer } from './server.ts';

const PLACES = 16;
const HANDSHAKE_MS = 1_000;
const authority = new TestAuthority();
const refused: string[] = [];
const sockets: Socket[] = [];
let server: RpcServer;
let address: string;
let unix: string;
let folders: Record<'user/alice' | 'user/mallory', TlsFolder>;

beforeAll(async () => {
  const about = { connectionsMax: PLACES, handshakeMs: HANDSHAKE_MS, log: silentLog() };
  const security = { refused: (_attempt: string, peer: string, text: string) => refused.push(peer, text) };
  server = createRpcServer({
    name: 't',
    folder: await authority.folder('vkerneld/node1'),
    security,
    ...about,
  });
  server.add(VkernelService, {
    listVkernels: () => ({ vkernels: [] }),
    async *getLogs(_request, { signal }) {
      yield { droppedBytes: 1n };
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  } as Handlers<typeof VkernelService>);
  address = await server.listen('127.0.0.1:0');
  unix = await server.listen(`unix:${authority.dir}/s`);
  folders = {
    'user/alice': await authority.folder('user/alice'),
    'user/mallory': await authority.folder('user/mallory'),
  };
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  refused.length = 0;
});
afterAll(async () => {
  await server.drain(100);
  authority.remove();
});

async function silent(): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: Number(address.split(':')[1]) });
  socket.on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

async function come(who: 'user/alice' | 'user/mallory') {
  const client = createClient(VkernelService, address, { folder: folders[who] });
  await client.listVkernels({}, { deadlineMs: 5_000 });
  return client;
}

it('lets others in while somebody holds as many silent connections as there are places', async () => {
  for (let i = 0; i < 3 * PLACES; i++) await silent();
  (await come('user/alice')).close();
  expect(refused.join(' ')).toContain('more than 4 connections without a handshake');
  expect(refused).toContain('127.0.0.1');
});

it('closes a connection that does not say in time who it is, and leaves those of a unix socket', async () => {
  const client = createClient(VkernelService, unix, { folder: folders['user/alice'] });
  const signal = AbortSignal.timeout(2 * HANDSHAKE_MS);
  const logs = client.getLogs({}, { signal })[Symbol.asyncIterator]();
  await logs.next();
  const socket = await silent();
  await once(socket, 'close');
  expect(refused.join(' ')).toContain(`no handshake within ${HANDSHAKE_MS} ms`);
  await expect(logs.next()).rejects.toThrow();
  expect(signal.aborted).toBe(true);
  expect(refused).toHaveLength(2);
  client.close();
});

it('leaves places for others where one person takes all that they get', async () => {
  const mallory = await Promise.all(Array.from({ length: PLACES / 4 }, () => come('user/mallory')));
  await expect(come('user/mallory')).rejects.toThrow();
  const alice = await come('user/alice');
  expect(refused.join(' ')).toContain('more than 4 connections of one person');
  mallory.pop()!.close();
  await expect
    .poll(() =>
      come('user/mallory').then(
        (client) => mallory.push(client),
        () => 0,
      ),
    )
    .toBeGreaterThan(0);
  // Those that waited for their handshake do not count, nor end, once they said who they are.
  await new Promise((resolve) => setTimeout(resolve, HANDSHAKE_MS + 200));
  await alice.listVkernels({}, { deadlineMs: 5_000 });
  for (const client of [alice, ...mallory]) client.close();
});

const frame = (type: number, flags: number, stream: number, body: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
};
const HEADERS = Buffer.from([0x82, 0x84, 0x86, 0x41, 1, 0x61]);
const END = 5;

/** By whoever is behind a socket: nothing is read of what it answers. */
async function pour(socket: Socket, flood: (turn: number) => Buffer): Promise<void> {
  sockets.push(socket);
  socket.on('error', () => {});
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)]));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  for (let turn = 0; turn < 300_000 && !socket.destroyed; turn += 500) {
    const part = Array.from({ length: 500 }, (_, at) => flood(turn + at));
    await Promise.race([closed, new Promise((resolve) => socket.write(Buffer.concat(part), resolve))]);
  }
  await closed;
}

it('tells who it is that floods, by the certificate', { timeout: 30_000 }, async () => {
  const { certificatePem: cert, keyPem: key, authorityPem: ca } = folders['user/mallory'].identity;
  const port = Number(address.split(':')[1]);
  const about = { host: '127.0.0.1', port, cert, key, ca, ALPNProtocols: ['h2'] };
  const socket = connectTls({ ...about, checkServerIdentity: () => undefined });
  await once(socket, 'secureConnect');
  await pour(socket, () => frame(6, 0, 0, Buffer.alloc(8)));
  await expect.poll(() => refused.join('\n')).toMatch(/frames that nobody sends who behaves: /);
  expect(refused[0]).toBe('odonata://test/user/mallory');
});

it.each<[string, (turn: number) => Buffer]>([
  [
    'streams that are reset as they begin',
    (turn) =>
      Buffer.concat([
        frame(1, END, 2 * turn + 1, HEADERS),
        frame(3, 0, 2 * turn + 1, Buffer.from([0, 0, 0, 8])),
      ]),
  ],
  ['settings without end', () => frame(4, 0, 0, Buffer.from([0, 3, 0, 0, 0, 9]))],
  ['pings without end', () => frame(6, 0, 0, Buffer.alloc(8))],
  ['headers that go on and on', (turn) => (turn === 0 ? frame(1, 0, 1, HEADERS) : frame(9, 0, 1))],
])('%s: the connection ends, which is told, and others are served', { timeout: 30_000 }, async (_, flood) => {
  await pour(connect(unix.slice('unix:'.length)), flood);
  await expect.poll(() => refused.join('\n')).toMatch(/frames that nobody sends who behaves: /);
  (await come('user/alice')).close();
});
