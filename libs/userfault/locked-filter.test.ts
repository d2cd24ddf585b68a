// Sockets in the hands of somebody who dissolves them and connects them elsewhere: they work for what they are, and reach nobody.
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { close, duplicate } from './libc.ts';
import { accept, connectTo, expectConnected, listenOn, PollEvent, poll, receive, send } from './sockets.ts';

const libc = koffi.load('libc.so.6');
const c = {
  connect: libc.func('int connect(int fd, const void *address, uint length)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  sendto: libc.func(
    'long sendto(int fd, const void *data, size_t n, int flags, const void *address, uint length)',
  ),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
};
const SO_DETACH_FILTER = 27;
const MSG_FASTOPEN = 0x2000_0000;
const EPERM = 1;

/** Where nobody of these may come. It counts who does. */
let elsewhere: Server;
let reached = 0;
let place: Buffer;
beforeAll(async () => {
  elsewhere = createServer((socket) => {
    reached += 1;
    socket.on('error', () => {}).end('in');
  }).listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  place = addressOf((elsewhere.address() as AddressInfo).port);
});
afterAll(() => void elsewhere.close());

const addressOf = (port: number): Buffer =>
  Buffer.from([2, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
/** ::ffff:127.0.0.1 */
const addressOfV6 = (port: number): Buffer => {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(10, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set([0xff, 0xff, 127, 0, 0, 1], 18);
  return bytes;
};

const ways: Record<string, (fd: number) => unknown> = {
  'connect of AF_UNSPEC': (fd) => c.connect(fd, Buffer.alloc(16), 16),
  'shutdown of what it reads': (fd) => c.shutdown(fd, 0),
  'shutdown of both': (fd) => c.shutdown(fd, 2),
};

/** What it hears from elsewhere after it was dissolved so. */
async function reaches(fd: number, dissolve: (fd: number) => unknown, to = place): Promise<boolean> {
  const before = reached;
  dissolve(fd);
  c.connect(fd, to, to.length);
  c.sendto(fd, Buffer.from('out'), 3, MSG_FASTOPEN, to, to.length);
  await sleep(60);
  try {
    if (receive(fd, new Uint8Array(2)) === 2) return true;
  } catch {}
  return reached > before;
}

/** The filter stays. */
function expectLocked(fd: number): void {
  expect(c.setsockopt(fd, 1, SO_DETACH_FILTER, Buffer.alloc(4), 4)).toBe(-1);
  expect(koffi.errno()).toBe(EPERM);
}

async function soon<T>(what: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 200; tries++) {
    const found = what();
    if (found !== undefined) return found;
    await sleep(5);
  }
  throw new Error('nothing came');
}

/** Connects, and is connected to, as a client of the world does. */
async function accepted(
  listener: number,
  host: string,
  port: number,
): Promise<{ fd: number; client: Socket }> {
  const client = createConnection({ host, port });
  client.on('error', () => {});
  await once(client, 'connect');
  const fd = await soon(() => accept(listener));
  client.write('hello');
  const heard = new Uint8Array(5);
  await soon(() => receive(fd, heard));
  expect(Buffer.from(heard).toString()).toBe('hello');
  send(fd, Buffer.from('answer'));
  const [said] = await once(client, 'data');
  expect(String(said)).toBe('answer');
  return { fd, client };
}

const free = async (host: string): Promise<number> => {
  const probe = createServer().listen(0, host);
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

describe.each(['127.0.0.1', '0.0.0.0', '::'])('a listener at %s', (host) => {
  const client = host === '::' ? '::1' : '127.0.0.1';
  const to = () => (host === '::' ? addressOfV6(place.readUInt16BE(2)) : place);

  test.each(Object.entries(ways))('serves its clients; by %s it reaches nobody', async (_, dissolve) => {
    const port = await free(host);
    const listener = listenOn({ host, port });
    expectLocked(listener);
    const one = await accepted(listener, client, port);
    expectLocked(one.fd);
    expect(await reaches(one.fd, dissolve, to())).toBe(false);
    // Nor by a copy of the listener.
    const copy = duplicate(listener);
    expect(await reaches(copy, dissolve, to())).toBe(false);
    for (const fd of [one.fd, copy, listener]) close(fd);
    one.client.destroy();
  });
});

test.each(['127.0.0.1', '::1'])(
  'a connection to %s brings what it is for, and leads nowhere else',
  async (host) => {
    const server = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const dissolve of Object.values(ways)) {
      const fd = connectTo({ host, port });
      await soon(() => poll([{ fd, events: PollEvent.out }], 0)[0] || undefined);
      expectConnected(fd);
      expectLocked(fd);
      send(fd, Buffer.from('there and back'));
      const heard = new Uint8Array(14);
      expect(await soon(() => receive(fd, heard))).toBe(14);
      const to = host === '::1' ? addressOfV6(place.readUInt16BE(2)) : place;
      expect(await reaches(fd, dissolve, to)).toBe(false);
      close(fd);
    }
    server.close();
  },
);

test('without that they reach whom they like', async () => {
  const { port } = elsewhere.address() as AddressInfo;
  const fd = connectTo({ host: '127.0.0.1', port });
  expect(await reaches(fd, ways['connect of AF_UNSPEC']!)).toBe(true);
  close(fd);
});
