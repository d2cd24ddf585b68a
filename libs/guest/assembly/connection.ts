/**
 * What a program does with a connection or listener, by WASI preview 1: those of `connectToName`, `listenOn` and `connectTo`
 * (odonata.ts), and those that it was started with. A result below 0 is a negated errno.
 */

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_accept")
declare function sock_accept(fd: i32, flags: i32, outFd: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_recv")
declare function sock_recv(fd: i32, vectors: usize, count: i32, flags: i32, outRead: usize, outFlags: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_send")
declare function sock_send(fd: i32, vectors: usize, count: i32, flags: i32, outSent: usize): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_shutdown")
declare function sock_shutdown(fd: i32, how: i32): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_close")
declare function fd_close(fd: i32): i32;
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "poll_oneoff")
declare function poll_oneoff(subscriptions: usize, events: usize, count: i32, outCount: usize): i32;

const out = memory.data(24, 8);
const SHUT_WRITE: i32 = 2;
const SUBSCRIPTION: i32 = 48;
const EVENT: i32 = 32;
const CLOCK: u8 = 0;
const READ: u8 = 1;
const MONOTONIC: u32 = 1;

/** The next connection of a listener; waits for it. */
export function accept(listener: i32): i32 {
  const errno = sock_accept(listener, 0, out);
  return errno == 0 ? load<i32>(out) : -errno;
}

/** Waits for bytes, at most as many as there is room for; how many came, 0 at the end. */
export function receive(fd: i32, into: ArrayBuffer): i32 {
  store<usize>(out, changetype<usize>(into));
  store<i32>(out, into.byteLength, 4);
  const errno = sock_recv(fd, out, 1, 0, out + 8, out + 12);
  return errno == 0 ? load<i32>(out, 8) : -errno;
}

/** Sends all of it; 0, or an errno below 0. */
export function send(fd: i32, bytes: ArrayBuffer): i32 {
  let at = changetype<usize>(bytes);
  let left = bytes.byteLength;
  while (left > 0) {
    store<usize>(out, at);
    store<i32>(out, left, 4);
    const errno = sock_send(fd, out, 1, 0, out + 8);
    if (errno != 0) return -errno;
    const sent = load<i32>(out, 8);
    at += sent;
    left -= sent;
  }
  return 0;
}

/** Nothing more is sent: the other side reads an end after what was. */
export function end(fd: i32): i32 {
  return -sock_shutdown(fd, SHUT_WRITE);
}

export function close(fd: i32): i32 {
  return -fd_close(fd);
}

/** Waits until one of them has bytes, a connection or an end, or the time is over; below 0 it waits for ever. Those that have. */
export function readable(fds: i32[], timeoutMs: i64): i32[] {
  const count = fds.length + (timeoutMs < 0 ? 0 : 1);
  const subscriptions = heap.alloc(count * SUBSCRIPTION);
  const events = heap.alloc(count * EVENT);
  memory.fill(subscriptions, 0, count * SUBSCRIPTION);
  for (let i = 0; i < count; i++) {
    const at = subscriptions + i * SUBSCRIPTION;
    const isClock = i == fds.length;
    store<u64>(at, isClock ? u64.MAX_VALUE : <u64>fds[i]);
    store<u8>(at, isClock ? CLOCK : READ, 8);
    store<u32>(at, isClock ? MONOTONIC : <u32>fds[i], 16);
    if (isClock) store<u64>(at, <u64>timeoutMs * 1_000_000, 24);
  }
  const found: i32[] = [];
  if (poll_oneoff(subscriptions, events, count, out) == 0)
    for (let i = 0; i < load<i32>(out); i++) {
      const fd = load<u64>(events + i * EVENT);
      if (fd != u64.MAX_VALUE) found.push(<i32>fd);
    }
  heap.free(subscriptions);
  heap.free(events);
  return found;
}
