// Connections that a process makes for another one, on the same machine, and passes on: pairs of sockets, and lines by which they are
// taken as from a socket that listens.
//
// A pair is of TCP on the loopback address, and not of unix sockets, since TCP tells an end from a reset: both sides begin with a
// linger of 0, so whoever is killed resets it, as the kernel closes what they had. Who means a good end takes the linger away first.

import { apartSocket } from './apart-sockets.ts';
import { koffi, libcFunction } from './koffi.ts';
import {
  checked,
  close,
  Errno,
  makeSocketPair,
  type Received,
  receiveDescriptor,
  SystemCallError,
  sendDescriptor,
} from './libc.ts';
import { hearsOnly } from './locked-filter.ts';

const c = {
  setsockopt: libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  getsockopt: libcFunction(
    'int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)',
  ),
  bind: libcFunction('int bind(int fd, const void *address, uint length)'),
  listen: libcFunction('int listen(int fd, int backlog)'),
  connect: libcFunction('int connect(int fd, const void *address, uint length)'),
  accept4: libcFunction('int accept4(int fd, void *address, _Inout_ uint32_t *length, int flags)'),
  getsockname: libcFunction('int getsockname(int fd, void *address, _Inout_ uint32_t *length)'),
  poll: libcFunction('int poll(_Inout_ uint8_t *fds, ulong count, int timeoutMs)'),
};

const AF_UNIX = 1;
const AF_INET = 2;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_PRIORITY = 12;
const SO_LINGER = 13;
const SO_DOMAIN = 39;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_LINGER2 = 8;
const EINPROGRESS = 115;
const ECONNABORTED = 103;
const EMFILE = 24;
const ADDRESS_BYTES = 16;
/** Others of this machine may knock meanwhile. */
const TRIES = 16;
const WAIT_MS = 250;
/** Of each of the four buffers of a pair; the kernel takes it twice, for its own records. */
const BUFFER_BYTES = 64 * 1024;
/** Connections that may wait on a line until they are taken. */
export const BACKLOG_MAX = 128;
/** What marks a line of connections: nothing else sets it. */
const MARK = 5;

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

function set(fd: number, level: number, option: number, value: Buffer): void {
  checked('setsockopt', c.setsockopt(fd, level, option, value, value.length));
}

function addressOf(fd: number): Buffer {
  const address = Buffer.alloc(ADDRESS_BYTES);
  checked('getsockname', c.getsockname(fd, address, [ADDRESS_BYTES]));
  return address;
}

function loopbackSocket(): number {
  const fd = apartSocket();
  set(fd, SOL_SOCKET, SO_SNDBUF, int(BUFFER_BYTES));
  set(fd, SOL_SOCKET, SO_RCVBUF, int(BUFFER_BYTES));
  return fd;
}

/** Two ends of one connection, the second one to be given away: neither blocks, and each resets it unless `endsWell` was said of it. @throws SystemCallError */
export function makeConnection(): [number, number] {
  const open: number[] = [];
  try {
    const listener = loopbackSocket();
    open.push(listener);
    set(listener, SOL_SOCKET, SO_REUSEADDR, int(1));
    bindOurs(listener);
    checked('listen', c.listen(listener, TRIES));
    const one = loopbackSocket();
    open.push(one);
    const there = addressOf(listener);
    if (c.connect(one, there, there.length) < 0 && koffi().errno() !== EINPROGRESS) checked('connect', -1);
    const other = acceptFrom(listener, addressOf(one));
    open.push(other);
    for (const fd of [one, other]) {
      set(fd, IPPROTO_TCP, TCP_NODELAY, int(1));
      set(fd, SOL_SOCKET, SO_LINGER, Buffer.concat([int(1), int(0)]));
    }
    hearsOnly(other, addressOf(one).readUInt16BE(2));
    close(listener);
    return [one, other];
  } catch (error) {
    for (const fd of open) close(fd);
    throw error;
  }
}

/**
 * The port of the last pair again: what waits there for its end after a close (TIME_WAIT) takes no port of the machine's then, however many
 * connections there were in the last minute.
 */
let ours = place(0);

function bindOurs(listener: number): void {
  if (c.bind(listener, ours, ours.length) < 0) {
    // Somebody has it, for the moment between.
    const any = place(0);
    checked('bind', c.bind(listener, any, any.length));
  }
  ours = addressOf(listener);
}

/** Of the loopback address. */
function place(port: number): Buffer {
  const address = Buffer.alloc(ADDRESS_BYTES);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  address.set([127, 0, 0, 1], 4);
  return address;
}

/** The connection from there; any other is of somebody who knocks at what is not theirs. */
function acceptFrom(listener: number, from: Buffer): number {
  for (let tries = 0; tries < TRIES; tries++) {
    const waited = Buffer.alloc(8);
    waited.writeInt32LE(listener, 0);
    waited.writeInt16LE(1, 4);
    if (c.poll(waited, 1, WAIT_MS) <= 0) break;
    const address = Buffer.alloc(ADDRESS_BYTES);
    const fd = checked('accept4', c.accept4(listener, address, [ADDRESS_BYTES], NONBLOCK_CLOEXEC));
    if (address.equals(from)) return fd;
    close(fd);
  }
  throw new SystemCallError('accept4', ECONNABORTED);
}

/** The next close of this end is no reset, but an end after what was sent. Of what is no end of such a pair nothing comes. */
export function endsWell(fd: number): void {
  const linger = Buffer.alloc(8);
  if (c.getsockopt(fd, SOL_SOCKET, SO_LINGER, linger, [8]) < 0 || linger.readInt32LE(0) === 0) return;
  const none = Buffer.alloc(8);
  c.setsockopt(fd, SOL_SOCKET, SO_LINGER, none, none.length);
  // The kernel need not wait for the other side, either, once that has all.
  const atOnce = int(-1);
  c.setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, atOnce, atOnce.length);
}

/** A line of connections: by the first end they are passed, from the second one they are taken. */
export function makeNamedListener(): [number, number] {
  const [pass, take] = makeSocketPair();
  set(take, SOL_SOCKET, SO_PRIORITY, int(MARK));
  return [pass, take];
}

export function isNamedListener(fd: number): boolean {
  const value = Buffer.alloc(4);
  return (
    c.getsockopt(fd, SOL_SOCKET, SO_PRIORITY, value, [4]) === 0 &&
    value.readInt32LE(0) === MARK &&
    c.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, value, [4]) === 0 &&
    value.readInt32LE(0) === AF_UNIX
  );
}

/** Passes a copy of a descriptor on. False: too many wait. @throws SystemCallError where nobody takes them any more */
export function pass(line: number, fd: number): boolean {
  const errno = sendDescriptor(line, new Uint8Array([1]), fd);
  if (errno === Errno.EAGAIN || errno === Errno.ETOOMANYREFS) return false;
  if (errno !== 0) throw new SystemCallError('sendmsg', errno);
  return true;
}

/**
 * The next connection; undefined where none waits. Whoever passes them on is told with a byte.
 * @throws SystemCallError ECONNABORTED where there will be no more, EMFILE where no descriptor was left for one
 */
export function takePassed(line: number): number | undefined {
  const message = received(line);
  if (message === undefined) return undefined;
  if (message.data.length === 0) throw new SystemCallError('accept', ECONNABORTED);
  sendDescriptor(line, new Uint8Array([1]));
  if (message.fd === undefined) throw new SystemCallError('accept', EMFILE);
  return message.fd;
}

/** As at an end where whoever passed them on is gone, and had not heard of all that were taken. */
function received(line: number): Received | undefined {
  try {
    return receiveDescriptor(line, 1);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ECONNRESET') return { data: new Uint8Array() };
    throw error;
  }
}
