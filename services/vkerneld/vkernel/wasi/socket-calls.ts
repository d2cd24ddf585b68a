// sock_*, and what fd_read and fd_write are for a socket: listeners that came with the program, and connections.
//
// Sockets of the host never block. A thread that waits in the host cannot be ended: the first one of a process waits for a bell, too, which
// rings for signals and at the end; others wait in slices, and each slice looks whether the process may go on.

import { silence } from '@odonata/userfault/bell.ts';
import { SystemCallError } from '@odonata/userfault/libc.ts';
import { isNamedListener } from '@odonata/userfault/named-sockets.ts';
import { accept, PollEvent, type Polled, poll, receive, send, shutdown } from '@odonata/userfault/sockets.ts';
import { Fdflags, Rights } from './abi.ts';
import type { DescriptorTable, SocketDescriptor } from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { type GuestSlice, guestSlices } from './guest-memory.ts';
import { gather, scatter, totalBytes } from './slices.ts';
import { bellOfThread, type Calls, type System } from './system.ts';

const sliceMs = 25;
/** Where a bell rings: no more than a precaution. */
const bellSliceMs = 1000;
const receiveFlags = { peek: 1, waitall: 2 } as const;
const shutdownFlags = { read: 1, write: 2 } as const;
/** What is received or sent at once. */
const pieceBytes = 1 << 18;
const buffer = new Uint8Array(pieceBytes);

export function socketCalls(system: System): Calls {
  const { memory, descriptors } = system;
  return {
    sock_accept: (fd: number, flags: number, at: number) => {
      memory.expectWritable(at, 4);
      if ((flags & ~Fdflags.nonblock) !== 0) throw new WasiError(Errno.inval);
      const listener = socketOf(descriptors, fd, Rights.sockAccept);
      descriptors.expectRoom();
      const connection = whenReady(system, listener, PollEvent.in, () => acceptOf(system, listener.host));
      memory.setU32(at, descriptors.addConnection(connection, flags));
    },
    sock_recv: (
      fd: number,
      slicesAt: number,
      count: number,
      flags: number,
      readAt: number,
      outAt: number,
    ) => {
      memory.expectWritable(readAt, 4);
      memory.expectWritable(outAt, 2);
      if ((flags & ~(receiveFlags.peek | receiveFlags.waitall)) !== 0) throw new WasiError(Errno.notsup);
      const socket = socketOf(descriptors, fd, Rights.fdRead);
      const slices = guestSlices(memory, slicesAt, count);
      memory.setU32(readAt, readSocket(system, socket, slices, flags));
      memory.setU16(outAt, 0);
    },
    sock_send: (fd: number, slicesAt: number, count: number, flags: number, writtenAt: number) => {
      memory.expectWritable(writtenAt, 4);
      if (flags !== 0) throw new WasiError(Errno.notsup);
      const socket = socketOf(descriptors, fd, Rights.fdWrite);
      memory.setU32(writtenAt, writeSocket(system, socket, guestSlices(memory, slicesAt, count)));
    },
    sock_shutdown: (fd: number, how: number) => {
      const socket = socketOf(descriptors, fd, Rights.sockShutdown);
      if (how === 0 || (how & ~(shutdownFlags.read | shutdownFlags.write)) !== 0)
        throw new WasiError(Errno.inval);
      // A listener is not this program's alone.
      if (socket.preopen !== undefined) throw new WasiError(Errno.notconn);
      shutdown(socket.host, (how - 1) as 0 | 1 | 2);
    },
  };
}

/** As accept. A listener by name whose supervisor started anew goes on with a line to the new one. */
function acceptOf({ listenAgain }: System, host: number): number | undefined {
  try {
    return accept(host);
  } catch (error) {
    const isOver = error instanceof SystemCallError && error.code === 'ECONNABORTED' && isNamedListener(host);
    if (!isOver || listenAgain === undefined) throw error;
    const errno = listenAgain(host);
    if (errno !== Errno.success) throw new WasiError(errno);
    return undefined;
  }
}

/** EBADF where nothing is open, ENOTSOCK where it is something else. */
function socketOf(descriptors: DescriptorTable, fd: number, rights: bigint): SocketDescriptor {
  const descriptor = descriptors.get(fd);
  if (descriptor.kind !== 'socket') throw new WasiError(Errno.notsock);
  return descriptors.get(fd, rights) as SocketDescriptor;
}

/** Bytes received, 0 at the end. */
export function readSocket(
  system: System,
  socket: SocketDescriptor,
  slices: readonly GuestSlice[],
  flags = 0,
): number {
  if (socket.preopen !== undefined) throw new WasiError(Errno.notconn);
  const wanted = Math.min(totalBytes(slices), pieceBytes);
  if (wanted === 0) return 0;
  let done = 0;
  do {
    const into = buffer.subarray(done, wanted);
    const peeks = (flags & receiveFlags.peek) !== 0;
    const bytes = whenReady(system, socket, PollEvent.in, () => receive(socket.host, into, peeks));
    done += bytes;
    if (bytes === 0 || peeks) break;
  } while ((flags & receiveFlags.waitall) !== 0 && done < wanted);
  scatter(system, slices, buffer.subarray(0, done));
  return done;
}

/** Bytes sent: all, unless it must not wait. */
export function writeSocket(system: System, socket: SocketDescriptor, slices: readonly GuestSlice[]): number {
  if (socket.preopen !== undefined) throw new WasiError(Errno.notconn);
  let done = 0;
  for (const { at, length } of slices) {
    for (let from = 0; from < length; ) {
      const bytes = gather(system, [{ at: at + from, length: Math.min(length - from, pieceBytes) }]);
      const sent = send(socket.host, bytes);
      if (sent !== undefined) {
        from += sent;
        done += sent;
      } else if ((socket.flags & Fdflags.nonblock) === 0) {
        waitFor(system, [{ fd: socket.host, events: PollEvent.out }], -1, false);
      } else if (done > 0) {
        return done;
      } else {
        throw new WasiError(Errno.again);
      }
    }
  }
  return done;
}

/** Until `run` has an answer. EAGAIN where the program does not want to wait. */
function whenReady<T>(system: System, socket: SocketDescriptor, events: number, run: () => T | undefined): T {
  for (;;) {
    const answer = run();
    if (answer !== undefined) return answer;
    if ((socket.flags & Fdflags.nonblock) !== 0) throw new WasiError(Errno.again);
    waitFor(system, [{ fd: socket.host, events }], -1);
    if (system.memory.gate?.isDue) throw new WasiError(Errno.intr);
  }
}

/**
 * What happened to each of them, of PollEvent; all 0 when the time is over, or a signal came. timeoutMs < 0 waits for ever.
 * @throws what the end of the process throws
 */
export function waitFor(
  { memory }: System,
  polled: readonly Polled[],
  timeoutMs: number,
  heedsSignals = true,
): number[] {
  const endMs = timeoutMs < 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  const bell = bellOfThread();
  const all = bell === undefined ? polled : [...polled, { fd: bell, events: PollEvent.in }];
  const mostMs = bell === undefined ? sliceMs : bellSliceMs;
  for (;;) {
    const leftMs = Math.max(0, endMs - performance.now());
    const happened = poll(all, Math.ceil(Math.min(leftMs, mostMs)));
    const rang = bell !== undefined && happened.pop() !== 0;
    if (rang) silence(bell);
    memory.expectRunning();
    const isSignalled = heedsSignals && memory.gate?.isDue;
    if (leftMs === 0 || isSignalled || happened.some((events) => events !== 0)) return happened;
  }
}
