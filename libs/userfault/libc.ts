// The C library calls that Node does not offer, through koffi.
// All are synchronous; each throws a SystemCallError that names the call and its errno.
import { constants } from 'node:os';
import { koffi, libcFunction } from './koffi.ts';

const c = {
  syscall: libcFunction('long syscall(long n, long a)'),
  syscall3: libcFunction('long syscall(long n, long a, void *b, long c)'),
  openat2: libcFunction('long syscall(long n, long dir, const char *path, void *how, size_t size)'),
  openTree: libcFunction('long syscall(long n, long dir, const char *path, uint flags)'),
  mountSetattr: libcFunction(
    'long syscall(long n, long dir, const char *path, uint flags, void *attributes, size_t size)',
  ),
  ioctl: libcFunction('int ioctl(int fd, unsigned long request, void *arg)'),
  fcntl: libcFunction('int fcntl(int fd, int command, int argument)'),
  close: libcFunction('int close(int fd)'),
  dup3: libcFunction('int dup3(int from, int to, int flags)'),
  mmap: libcFunction('intptr_t mmap(uintptr_t addr, size_t n, int prot, int flags, int fd, int64_t offset)'),
  munmap: libcFunction('int munmap(uintptr_t addr, size_t n)'),
  mremap: libcFunction('intptr_t mremap(uintptr_t from, size_t fromLen, size_t n, int flags, uintptr_t to)'),
  madvise: libcFunction('int madvise(uintptr_t addr, size_t n, int advice)'),
  fallocate: libcFunction('int fallocate(int fd, int mode, int64_t offset, int64_t n)'),
  lseek: libcFunction('int64_t lseek(int fd, int64_t offset, int whence)'),
  memchr: libcFunction('uintptr_t memchr(const uint8_t *p, int c, size_t n)'),
  memset: libcFunction('uintptr_t memset(uintptr_t at, int c, size_t n)'),
  socket: libcFunction('int socket(int domain, int type, int protocol)'),
  connect: libcFunction('int connect(int fd, const void *addr, uint len)'),
  socketpair: libcFunction('int socketpair(int domain, int type, int protocol, _Out_ int *fds)'),
  accept4: libcFunction('int accept4(int fd, void *addr, void *len, int flags)'),
  sendmsg: libcFunction('long sendmsg(int fd, const void *msg, int flags)'),
  recvmsg: libcFunction('long recvmsg(int fd, void *msg, int flags)'),
  setsockopt: libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  getsockopt: libcFunction(
    'int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)',
  ),
  eventfd: libcFunction('int eventfd(uint initial, int flags)'),
  mkfifo: libcFunction('int mkfifo(const char *path, uint mode)'),
  setitimer: libcFunction('int setitimer(int which, const int64_t *value, void *before)'),
  signal: libcFunction('intptr_t signal(int number, uintptr_t handler)'),
  flock: libcFunction('int flock(int fd, int operation)'),
};

const ERRNO_NAMES = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number as number, name]),
);

/** A system call that failed. `errno` is the Linux error number, `code` its name. */
const NONBLOCK_CLOEXEC = 0x800 | 0x80000;
const STREAM_NONBLOCK_CLOEXEC = 1 | NONBLOCK_CLOEXEC;

export class SystemCallError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;
  constructor(call: string, errno: number) {
    const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
    super(`${call}: ${code}`);
    this.name = 'SystemCallError';
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** Linux error numbers that the memory code tells apart. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  EINVAL: 22,
  ENOSPC: 28,
  ENOSYS: 38,
  ELOOP: 40,
  ETOOMANYREFS: 109,
} as const;

/** @throws SystemCallError where a call says that it failed */
export function checked(call: string, result: number | bigint): number {
  if (result === -1 || result === -1n) throw new SystemCallError(call, koffi().errno());
  return Number(result);
}

export const Prot = { NONE: 0, READ: 1, WRITE: 2 } as const;
export const MapFlag = {
  SHARED: 0x01,
  PRIVATE: 0x02,
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  NORESERVE: 0x4000,
} as const;

/** ioctl(2) on a descriptor with a pointer argument. Returns 0 or the errno; it does not throw. */
export function ioctl(fd: number, request: number, argument: BigUint64Array): number {
  return c.ioctl(fd, request, argument) === -1 ? koffi().errno() : 0;
}

/** userfaultfd(2). Flags: O_CLOEXEC, O_NONBLOCK, 1 for user mode only. */
export function userfaultfd(flags: number): number {
  const number = process.arch === 'arm64' ? 282 : 323;
  return checked('userfaultfd', c.syscall(number, flags));
}

/** sched_setattr(2) for the calling thread. Returns 0 or the errno. */
export function sched_setattr(attributes: BigUint64Array): number {
  const number = process.arch === 'arm64' ? 274 : 314;
  return Number(c.syscall3(number, 0, attributes, 0)) === -1 ? koffi().errno() : 0;
}

/** A second descriptor of the same open file, closed on exec. */
export function duplicate(fd: number): number {
  return checked('fcntl', c.fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/** `to` is of the same open file as `from` from now on, and closed on exec. */
export function duplicateAs(from: number, to: number): void {
  checked('dup3', c.dup3(from, to, O_CLOEXEC));
}

export function close(fd: number): void {
  checked('close', c.close(fd));
}

/** mmap(2). Addresses are bigints; fd -1 for anonymous memory. */
export function mmap(
  address: bigint,
  lengthBytes: number,
  prot: number,
  flags: number,
  fd: number,
  offsetBytes: number | bigint,
): bigint {
  const at = c.mmap(address, lengthBytes, prot, flags, fd, offsetBytes);
  if (at === -1 || at === -1n) throw new SystemCallError('mmap', koffi().errno());
  return BigInt(at);
}

export function munmap(address: bigint, lengthBytes: number): void {
  checked('munmap', c.munmap(address, lengthBytes));
}

/** Shows the first `lengthBytes` of a shared mapping at another address, too, in the place of what is mapped there. */
export function mapAgain(from: bigint, lengthBytes: number, to: bigint): void {
  const at = c.mremap(from, 0, lengthBytes, 0x01 | 0x02, to);
  if (at === -1 || at === -1n) throw new SystemCallError('mremap', koffi().errno());
}

/** Memory that nobody else has yet. */
export function fillBytes(address: bigint, byte: number, lengthBytes: number): void {
  c.memset(address, byte, lengthBytes);
}

/** MADV_DONTNEED: empties the page tables of a range; a file's pages stay in the file. */
export function madviseDontNeed(address: bigint, lengthBytes: number): void {
  checked('madvise', c.madvise(address, lengthBytes, 4));
}

/** Drops pages of a memory file. Every mapping of them, in every process, is emptied in the same step. */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): void {
  checked('fallocate', c.fallocate(fd, 0x02 | 0x01, offsetBytes, lengthBytes));
}

/** Gives a range of a file its memory, and changes no byte that is there. Returns 0 or the errno. */
export function allocate(fd: number, offsetBytes: number, lengthBytes: number): number {
  return c.fallocate(fd, 0, offsetBytes, lengthBytes) === -1 ? koffi().errno() : 0;
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

function seek(fd: number, offsetBytes: number, whence: number): number | undefined {
  const at = Number(c.lseek(fd, offsetBytes, whence));
  if (at >= 0) return at;
  const errno = koffi().errno();
  // Nothing but a hole from there on.
  if (errno === Errno.ENXIO) return undefined;
  throw new SystemCallError('lseek', errno);
}

/** True where a file has memory at an offset. */
export const hasData = (fd: number, offsetBytes: number): boolean =>
  seek(fd, offsetBytes, SEEK_DATA) === offsetBytes;

/** The first range of a file, from an offset on, that has memory. */
export function nextData(
  fd: number,
  fromBytes: number,
): { offsetBytes: number; endBytes: number } | undefined {
  const offsetBytes = seek(fd, fromBytes, SEEK_DATA);
  const endBytes = offsetBytes === undefined ? undefined : seek(fd, offsetBytes, SEEK_HOLE);
  return endBytes === undefined ? undefined : { offsetBytes: offsetBytes!, endBytes };
}

/**
 * The address of a typed array's first byte: memchr finds the byte that is put there for a moment.
 * The array must not be empty, must be the caller's, and must stand on an ArrayBuffer of its own: small
 * typed arrays without one live on the JavaScript heap, where they move.
 */
export function addressOf(bytes: Uint8Array): bigint {
  // An empty one may be the begin of something that grows.
  if (bytes.length === 0) return koffi().address(bytes);
  const kept = bytes[0]!;
  bytes[0] = 1;
  const address = BigInt(c.memchr(bytes, 1, 1));
  bytes[0] = kept;
  if (address === 0n) throw new Error('addressOf: the array was copied on the way to C');
  return address;
}

const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0o2000000;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_PEERCRED = 17;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

function socketAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > 107) throw new Error(`socket path is longer than 107 bytes: ${path}`);
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** The next connection that waits at a listening socket that does not block, or undefined. */
export function acceptUnix(fd: number): number | undefined {
  for (;;) {
    const connection = c.accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) return connection;
    const errno = koffi().errno();
    if (errno === Errno.EAGAIN) return undefined;
    if (errno !== Errno.EINTR) throw new SystemCallError('accept4', errno);
  }
}

/** Connects at once, or throws: where too many wait there already, that is EAGAIN. */
export function connectUnix(path: string): number {
  const fd = checked('socket', c.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const address = socketAddress(path);
  if (c.connect(fd, address, address.length) === -1) {
    const errno = koffi().errno();
    c.close(fd);
    throw new SystemCallError(`connect ${path}`, errno);
  }
  return fd;
}

/** How much may be on its way on a socket, in bytes as the kernel counts them. */
export function setSendBuffer(fd: number, bytes: number): void {
  checked('setsockopt', c.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, new Uint32Array([bytes]), 4));
}

/** The process at the other end of a unix socket, as it connected; undefined where that is not known. */
export function peerOf(fd: number): { pid: number; uid: number } | undefined {
  const value = Buffer.alloc(12);
  if (c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, [12]) !== 0) return undefined;
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4) };
}

/** Room for so many descriptors in a message; more the kernel closes. */
const CONTROL_DESCRIPTORS = 4;
const CONTROL_HEAD_BYTES = 16;

// struct msghdr { name, namelen, iov, iovlen, control, controllen, flags } with one iovec and one
// cmsghdr { len, SOL_SOCKET, SCM_RIGHTS } that carries descriptors.
function messageHeader(
  data: Uint8Array,
  controlBytes: number,
): { header: BigUint64Array; control: Uint8Array; kept: unknown[] } {
  // Over buffers of their own: small typed arrays live on the JavaScript heap, where they may move.
  const iovec = new BigUint64Array(new ArrayBuffer(16));
  iovec.set([addressOf(data), BigInt(data.length)]);
  const control = new Uint8Array(new ArrayBuffer(controlBytes));
  const header = new BigUint64Array(new ArrayBuffer(56));
  header[2] = addressOf(new Uint8Array(iovec.buffer));
  header[3] = 1n;
  header[4] = addressOf(control);
  header[5] = BigInt(control.length);
  return { header, control, kept: [iovec, data] };
}

/** Sends bytes, perhaps with one descriptor beside them, and waits for nothing. Returns 0 or the errno. */
export function sendDescriptor(socket: number, data: Uint8Array, fd?: number): number {
  const sent = new Uint8Array(new ArrayBuffer(data.length));
  sent.set(data);
  const { header, control, kept } = messageHeader(sent, 24);
  const view = new DataView(control.buffer);
  view.setBigUint64(0, 20n, true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, 1, true);
  if (fd === undefined) header.set([0n, 0n], 4);
  else view.setInt32(16, fd, true);
  for (;;) {
    const n = Number(c.sendmsg(socket, header, MSG_DONTWAIT | MSG_NOSIGNAL));
    const errno = n === -1 ? koffi().errno() : 0;
    if (kept.length === 0) throw new Error('unreachable');
    if (errno !== Errno.EINTR) return errno;
  }
}

export interface Received {
  /** Empty: the other side closed. */
  readonly data: Uint8Array;
  readonly fd?: number;
}

/**
 * Receives bytes and, where one came, a descriptor; of several the first one, and the others are closed. Undefined when
 * nothing waits.
 */
export function receiveDescriptor(socket: number, maxBytes: number): Received | undefined {
  const data = new Uint8Array(new ArrayBuffer(maxBytes));
  const { header, control, kept } = messageHeader(data, CONTROL_HEAD_BYTES + 4 * CONTROL_DESCRIPTORS);
  const n = Number(c.recvmsg(socket, header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
  if (n === -1) {
    const errno = koffi().errno();
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return undefined;
    throw new SystemCallError('recvmsg', errno);
  }
  if (kept.length === 0) throw new Error('unreachable');
  const [fd, ...others] = descriptorsIn(control, Number(header[5]!));
  for (const other of others) c.close(other);
  return { data: data.slice(0, n), ...(fd !== undefined && { fd }) };
}

function descriptorsIn(control: Uint8Array, controlBytes: number): number[] {
  const view = new DataView(control.buffer);
  const isRights = controlBytes > CONTROL_HEAD_BYTES && view.getInt32(8, true) === SOL_SOCKET;
  if (!isRights || view.getInt32(12, true) !== 1) return [];
  const lengthBytes = Math.min(Number(view.getBigUint64(0, true)), control.length) - CONTROL_HEAD_BYTES;
  return Array.from({ length: Math.floor(lengthBytes / 4) }, (_, i) =>
    view.getInt32(CONTROL_HEAD_BYTES + 4 * i, true),
  );
}

/** Two ends of one stream, neither of which blocks. */
export function makeSocketPair(): [number, number] {
  const fds = new Int32Array(2);
  checked('socketpair', c.socketpair(AF_UNIX, STREAM_NONBLOCK_CLOEXEC, 0, fds));
  return [fds[0]!, fds[1]!];
}

/** A counter that starts at 0; a read takes all of it, and does not wait. */
export const eventfd = (): number => checked('eventfd', c.eventfd(0, NONBLOCK_CLOEXEC));

/** A pipe with a name, for ourselves only. */
export function makePipe(path: string): void {
  checked(`mkfifo ${path}`, c.mkfifo(path, 0o600));
}

const LOCK_EXCLUSIVE_NOW = 2 | 4;

/**
 * Locks an open file exclusively (flock), until the descriptor and all copies of it are closed, as the kernel does when
 * processes end. False: somebody else has it.
 */
export function tryLock(fd: number): boolean {
  for (;;) {
    if (c.flock(fd, LOCK_EXCLUSIVE_NOW) === 0) return true;
    const errno = koffi().errno();
    if (errno === Errno.EAGAIN) return false;
    if (errno !== Errno.EINTR) throw new SystemCallError('flock', errno);
  }
}

// The numbers of system calls that came after 2019 are the same on all machines.
const SYS_OPEN_TREE = 428;
export const SYS_OPENAT2 = 437;
const SYS_MOUNT_SETATTR = 442;

/** How openat2(2) resolves a path. */
export const Resolve = { NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8 } as const;

/** openat2(2). */
export function openat2(directory: number, path: string, flags: number, resolve: number): number {
  const how = new BigUint64Array(new ArrayBuffer(24));
  how.set([BigInt(flags), 0n, BigInt(resolve)]);
  return checked('openat2', c.openat2(SYS_OPENAT2, directory, path, how, 24));
}

const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;

/** open_tree(2): a mount of its own of an open directory, without what is mounted below it, and part of no namespace. */
export function cloneMount(directory: number): number {
  const flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  return checked('open_tree', c.openTree(SYS_OPEN_TREE, directory, '', flags));
}

export const MountAttribute = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, IDMAP: 0x10_0000 } as const;

/** mount_setattr(2) on a mount that `cloneMount` made. @param idMapping with IDMAP: a user namespace */
export function setMountAttributes(mount: number, attributes: number, idMapping = 0): void {
  const value = new BigUint64Array(new ArrayBuffer(32));
  value[0] = BigInt(attributes);
  value[3] = BigInt(idMapping);
  checked('mount_setattr', c.mountSetattr(SYS_MOUNT_SETATTR, mount, '', AT_EMPTY_PATH, value, 32));
}

const SIGALRM = 14;
let exits = false;

/**
 * The kernel ends this process after so long, whatever its threads do, unless it is said again before. setitimer(2): its signal is
 * handled by the C library's own `_exit`, as process 1 of a namespace has no signal that ends it by itself. Exit code 14.
 */
export function endProcessAfter(delayMs: number): void {
  if (!exits) {
    if (c.signal(SIGALRM, functionAt('_exit')) === -1) throw new SystemCallError('signal', koffi().errno());
    exits = true;
  }
  const us = Math.max(1_000, Math.ceil(delayMs * 1_000));
  const value = new BigInt64Array([0n, 0n, BigInt(Math.floor(us / 1e6)), BigInt(us % 1_000_000)]);
  checked('setitimer', c.setitimer(0, value, null));
}

function functionAt(name: string): number | bigint {
  // Before 2.34 it is in a library of its own.
  for (const library of ['libc.so.6', 'libdl.so.2']) {
    try {
      const dlsym = koffi().load(library).func('uintptr_t dlsym(uintptr_t handle, const char *name)');
      return dlsym(0, name) as number | bigint;
    } catch {
      // The next one.
    }
  }
  throw new Error(`${name} is not found in the C library`);
}
