// What goes over a connection by name, without a cluster: two programs with a real socket each, and what is between them.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { close, makeSocketPair } from '@odonata/userfault/libc.ts';
import { hearsOnly } from '@odonata/userfault/locked-filter.ts';
import { endsWell, makeConnection, makeNamedListener, pass } from '@odonata/userfault/named-sockets.ts';
import { accept, connectTo, receive } from '@odonata/userfault/sockets.ts';
import koffi from 'koffi';
import { expect, test } from 'vitest';
import { GuestSocket, type Piece, WINDOW_BYTES } from './guest-socket.ts';
import { fullName, VkernelNames } from './vkernel-names.ts';

/** A program's end, as a socket of Node. */
const program = (fd: number) => {
  const socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
  socket.on('error', () => {});
  return socket;
};

async function carry(from: GuestSocket, to: GuestSocket, told: (piece: Piece) => void): Promise<void> {
  try {
    for await (const piece of from.sent()) {
      told(piece);
      to.take(piece);
    }
  } catch {
    to.reset();
  }
}

/** Two programs, and what was said between them. */
function pair() {
  const [ours1, theirs1] = makeConnection();
  const [ours2, theirs2] = makeConnection();
  const [one, other] = [new GuestSocket(ours1), new GuestSocket(ours2)];
  const said: string[] = [];
  const both = [carry(one, other, ({ case: what }) => said.push(what)), carry(other, one, () => {})];
  return {
    programs: [program(theirs1), program(theirs2)] as const,
    said,
    over: Promise.all(both),
    fd: theirs1,
  };
}

async function all(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of socket.iterator({ destroyOnReturn: false })) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

test('bytes arrive as they were sent, both ways at once, and each direction ends by itself', async () => {
  const { programs, over } = pair();
  const sent = [randomBytes(3_000_001), randomBytes(700_003)] as const;
  const got = [all(programs[1]), all(programs[0])];
  for (const [i, socket] of programs.entries()) socket.end(sent[i]!);
  expect((await got[0]!).equals(sent[0])).toBe(true);
  expect((await got[1]!).equals(sent[1])).toBe(true);
  await over;
});

test('of what a program does not read little is kept, and the other direction goes on', async () => {
  const { programs, said } = pair();
  const [writer, deaf] = programs;
  let taken = 0;
  const block = Buffer.alloc(65_536);
  const more = (): void => {
    if (taken === 64) return;
    writer.write(block, () => {
      taken++;
      more();
    });
  };
  more();
  deaf.pause();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(taken * block.length).toBeLessThan(4 * WINDOW_BYTES);
  expect(said).not.toContain('end');
  deaf.write('still heard');
  expect(String((await once(writer, 'data'))[0])).toBe('still heard');
  for (const socket of programs) socket.destroy();
});

test('who goes without an end resets the other, also with half a connection', async () => {
  for (const isHalf of [false, true]) {
    const { programs } = pair();
    const [one, other] = programs;
    const failed = once(other, 'error').catch((error) => [error]);
    other.resume();
    if (isHalf) other.end('all that it says');
    await once(one.resume(), isHalf ? 'end' : 'connect', { signal: AbortSignal.timeout(100) }).catch(
      () => {},
    );
    one.destroy();
    expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
    other.destroy();
  }
});

test('who sends more than it may is reset', async () => {
  const [ours, theirs] = makeConnection();
  const socket = new GuestSocket(ours);
  const flood = (): void => {
    for (let i = 0; i < 20; i++) socket.take({ case: 'data', value: Buffer.alloc(65_536) });
  };
  expect(flood).toThrow(/is gone/);
  socket.reset();
  close(theirs);
});

test('whoever dissolves its end, and connects it anew, reaches nobody', async () => {
  const server = createServer((socket) => socket.on('error', () => {}).end('in')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connect = koffi.load('libc.so.6').func('int connect(int fd, const void *address, uint length)');
  const address = Buffer.from([2, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  const hasReached = async (fd: number): Promise<boolean> => {
    connect(fd, Buffer.alloc(16), 16);
    connect(fd, address, 16);
    await new Promise((resolve) => setTimeout(resolve, 100));
    try {
      return receive(fd, new Uint8Array(2)) === 2;
    } catch {
      return false;
    }
  };
  const [ours, theirs] = makeConnection();
  expect(await hasReached(theirs)).toBe(false);
  // Also where nobody may make a network: by the filter alone.
  const fds = [connectTo({ host: '127.0.0.1', port }), connectTo({ host: '127.0.0.1', port })] as const;
  hearsOnly(fds[0], port === 1 ? 2 : port - 1);
  expect([await hasReached(fds[0]), await hasReached(fds[1])]).toEqual([false, true]);
  for (const fd of [ours, theirs, ...fds]) close(fd);
  server.close();
});

test('a line of connections gives them one by one, and says so; who passed them on and is gone ends it', () => {
  const [line, taken] = makeNamedListener();
  expect(accept(taken)).toBeUndefined();
  const [ours, theirs] = makeConnection();
  expect(pass(line, theirs)).toBe(true);
  close(theirs);
  const connection = accept(taken)!;
  expect(connection).toBeGreaterThan(2);
  endsWell(connection);
  for (const fd of [connection, ours, line]) close(fd);
  expect(() => accept(taken)).toThrow(/ECONNABORTED/);
  close(taken);
  const [pipe, other] = makeSocketPair();
  expect(() => accept(pipe)).toThrow(/EINVAL/);
  for (const fd of [pipe, other]) close(fd);
});

test('a virtual kernel uses the names of its user, and what was said of it', () => {
  expect(fullName('web', 'alice')).toBe('alice:web');
  expect(fullName('bob:web', 'alice')).toBe('bob:web');
  for (const name of ['', ':', 'a b', 'bob:', 'a:b:c', 'x'.repeat(80)])
    expect(fullName(name, 'alice')).toBeUndefined();
  const names = new VkernelNames([], ({ user, name }) => `${user}/${name}`);
  const may = (what: 'listen' | 'connect', name: string) => names.may('alice/default', 'alice', what, name);
  expect([may('listen', 'alice:x'), may('connect', 'bob:x'), may('listen', ':x')]).toEqual([
    true,
    false,
    false,
  ]);
  const alice = { name: 'default', user: 'alice' };
  const set = (said: { listen?: string[]; connect?: string[]; none?: boolean }) =>
    names.set('alice/default', { ...alice, names: { listen: [], connect: [], none: false, ...said } });
  set({ connect: ['bob:*', ':clock'] });
  expect([may('connect', 'bob:x'), may('listen', 'bob:x'), may('connect', ':clock2')]).toEqual([
    true,
    false,
    false,
  ]);
  set({ listen: ['alice:a*'], none: true });
  expect([may('listen', 'alice:ab'), may('listen', 'alice:b'), may('connect', 'alice:ab')]).toEqual([
    true,
    false,
    false,
  ]);
  for (const rule of ['*', 'x', 'bob', 'bob:*x', 'bob:\u0000'])
    expect(() => set({ listen: [rule] })).toThrow(/is no name/);
  set({});
  expect(names.of('alice/default')).toBeUndefined();
});

test('names of another cluster are meant by nothing that does not name it', () => {
  const said = (connect: string[]) => ({
    name: 'v',
    user: 'alice',
    names: { listen: [], connect, none: false },
  });
  const may = (rule: string, name: string): boolean => {
    const names = new VkernelNames([], () => 'k');
    names.set('k', said([rule]));
    return names.may('k', 'alice', 'connect', name);
  };
  expect(may('bob:*', 'bob:db@west')).toBe(false);
  expect(may('bob:db', 'bob:db@west')).toBe(false);
  expect(may('bob:db@west', 'bob:db@west')).toBe(true);
  expect(may('bob:*@west', 'bob:db@west')).toBe(true);
  expect(may('bob:*@west', 'bob:db@north')).toBe(false);
  expect(may('bob:*@west', 'bob:db')).toBe(false);
  // Their own here are not their own there.
  expect(new VkernelNames([], () => 'k').may('k', 'alice', 'connect', 'alice:web@west')).toBe(false);
  expect(fullName('web@west', 'alice')).toBe('alice:web@west');
});
