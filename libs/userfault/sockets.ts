// Sockets of the internet as descriptors, which Node keeps to itself: what is listened on for a program, and what a program does
// with its connections. None of it blocks but `poll`, for as long as it is told. named-sockets.ts has those that others pass on.
import { koffi, libcFunction } from './koffi.ts';
import { checked, SystemCallError } from './libc.ts';
import { hearsItsPeerOnly, hearsNoAnswer } from './locked-filter.ts';
import { isNamedListener, takePassed } from './named-sockets.ts';

const c = {
  socket: libcFunction('int socket(int domain, int type, int protocol)'),
  setsockopt: libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  getsockopt: libcFunction(
    'int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)',
  ),
  bind: libcFunction('int bind(int fd, const void *address, uint length)'),
  listen: libcFunction('int listen(int fd, int backlog)'),
  connect: libcFunction('int connect(int fd, const void *address, uint length)'),
  accept4: libcFunction('int accept4(int fd, void *address, void *length, int flags)'),
  poll: libcFunction('int poll(_Inout_ uint8_t *fds, ulong count, int timeoutMs)'),
  recv: libcFunction('long recv(int fd, _Out_ uint8_t *buffer, size_t n, int flags)'),
  send: libcFunction('long send(int fd, const uint8_t *buffer, size_t n, int flags)'),
  shutdown: libcFunction('int shutdown(int fd, int how)'),
  close: libcFunction('int close(int fd)'),
};

const AF_INET = 2;
const AF_INET6 = 10;
const STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_ERROR = 4;
const MSG_PEEK = 2;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const EINVAL = 22;
const EINPROGRESS = 115;
const BACKLOG = 511;
const POLL_BYTES = 8;

/** An address by number; names are looked up elsewhere. */
export interface InternetAddress {
  readonly host: string;
  readonly port: number;
}

function sockaddr({ host, port }: InternetAddress): Buffer {
  const isV6 = host.includes(':');
  const bytes = Buffer.alloc(isV6 ? 28 : 16);
  bytes.writeUInt16LE(isV6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  if (isV6) bytesOfV6(host).copy(bytes, 8);
  else for (const [i, part] of host.split('.').entries()) bytes[4 + i] = Number(part);
  return bytes;
}

function bytesOfV6(host: string): Buffer {
  const bytes = Buffer.alloc(16);
  const [head = '', tail] = host.split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const [first, last] = [groups(head), groups(tail ?? '')];
  for (const [i, group] of first.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  for (const [i, group] of last.entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), 16 - (last.length - i) * 2);
  return bytes;
}

function stream(address: InternetAddress): number {
  const domain = address.host.includes(':') ? AF_INET6 : AF_INET;
  return checked('socket', c.socket(domain, STREAM_NONBLOCK_CLOEXEC, 0));
}

/** A socket that listens, and can be nothing else, whoever has it. @throws SystemCallError EADDRINUSE… */
export function listenOn(address: InternetAddress): number {
  const fd = stream(address);
  try {
    const one = Buffer.from([1, 0, 0, 0]);
    checked('setsockopt', c.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, one.length));
    const bytes = sockaddr(address);
    checked('bind', c.bind(fd, bytes, bytes.length));
    hearsNoAnswer(fd);
    checked('listen', c.listen(fd, BACKLOG));
    return fd;
  } catch (error) {
    c.close(fd);
    throw error;
  }
}

/** A socket that connects: writable once it has, or has failed. @throws SystemCallError */
export function connectTo(address: InternetAddress): number {
  const fd = stream(address);
  const bytes = sockaddr(address);
  if (c.connect(fd, bytes, bytes.length) === 0) return fd;
  const errno = koffi().errno();
  if (errno === EINPROGRESS) return fd;
  c.close(fd);
  throw new SystemCallError('connect', errno);
}

/** What a connect came to; from then on it leads nowhere else, whoever has it. @throws SystemCallError ECONNREFUSED… */
export function expectConnected(fd: number): void {
  const value = Buffer.alloc(4);
  checked('getsockopt', c.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, [4]));
  const errno = value.readInt32LE(0);
  if (errno !== 0) throw new SystemCallError('connect', errno);
  hearsItsPeerOnly(fd);
}

/** The next connection; undefined where none waits. @throws SystemCallError EINVAL where it does not listen */
export function accept(fd: number): number | undefined {
  try {
    return unlessBusy('accept4', () => c.accept4(fd, null, null, STREAM_NONBLOCK_CLOEXEC & ~1));
  } catch (error) {
    const notThis = error instanceof SystemCallError && error.errno === EINVAL;
    if (notThis && isNamedListener(fd)) return takePassed(fd);
    throw error;
  }
}

/** Bytes that came, 0 at the end; undefined where none are there yet. */
export const receive = (fd: number, buffer: Uint8Array, peek = false): number | undefined =>
  unlessBusy('recv', () => c.recv(fd, buffer, buffer.length, peek ? MSG_PEEK : 0));

/** How many went; undefined where there is no room now. */
export const send = (fd: number, bytes: Uint8Array): number | undefined =>
  unlessBusy('send', () => c.send(fd, bytes, bytes.length, MSG_NOSIGNAL));

export const shutdown = (fd: number, how: 0 | 1 | 2): void => void checked('shutdown', c.shutdown(fd, how));

function unlessBusy(call: string, run: () => number | bigint): number | undefined {
  for (;;) {
    const result = Number(run());
    if (result >= 0) return result;
    const errno = koffi().errno();
    if (errno === EAGAIN) return undefined;
    if (errno !== EINTR) throw new SystemCallError(call, errno);
  }
}

export const PollEvent = { in: 1, out: 4, error: 8, hangup: 16 } as const;

export interface Polled {
  readonly fd: number;
  /** Of PollEvent. */
  readonly events: number;
}

/** What happened to each, of PollEvent; all 0 when the time is over. */
export function poll(fds: readonly Polled[], timeoutMs: number): number[] {
  const bytes = Buffer.alloc(fds.length * POLL_BYTES);
  for (const [i, { fd, events }] of fds.entries()) {
    bytes.writeInt32LE(fd, i * POLL_BYTES);
    bytes.writeInt16LE(events, i * POLL_BYTES + 4);
  }
  // EINTR: nothing yet.
  const count = c.poll(bytes, fds.length, timeoutMs);
  return fds.map((_, i) => (count > 0 ? bytes.readInt16LE(i * POLL_BYTES + 6) : 0));
}
