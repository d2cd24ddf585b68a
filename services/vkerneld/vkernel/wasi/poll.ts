// poll_oneoff: waits for clocks and descriptors.
//
// Files are always ready, and so are the streams that a program writes (a write waits by itself). Standard input is
// what can be waited for, sockets, and the earliest clock.

import { PollEvent, type Polled } from '@odonata/userfault/sockets.ts';
import { Clockid, eventBytes, Rights, subscriptionBytes } from './abi.ts';
import { clockNs } from './clock.ts';
import { isDirectory, type SocketDescriptor } from './descriptor-table.ts';
import { Errno, errnoOf, WasiError } from './errno.ts';
import { sizeOf } from './file-calls.ts';
import { waitFor } from './socket-calls.ts';
import { type Calls, type System, sleep } from './system.ts';

const EventType = { clock: 0, fdRead: 1, fdWrite: 2 } as const;
const subclockAbstime = 1;
const hangup = 1;
const subscriptionsMax = 4096;
/** A sleep that is shorter is not worth the end of a thread. */
const LONG_MS = 500;
/** How long sockets are waited for, before standard input is looked at. */
const turnMs = 10;

interface Event {
  readonly userdata: bigint;
  readonly errno: number;
  readonly type: number;
  readonly availableBytes: bigint;
  readonly flags: number;
}

interface Timer {
  readonly userdata: bigint;
  /** On the monotonic clock, or the wall clock where one is awaited. */
  readonly clock: number;
  readonly dueNs: bigint;
}

export function pollCalls(system: System): Calls {
  const { memory } = system;
  return {
    poll_oneoff: (subscriptionsAt: number, eventsAt: number, count: number, storedAt: number) => {
      if (count === 0 || count > subscriptionsMax) throw new WasiError(Errno.inval);
      memory.expectReadable(subscriptionsAt, count * subscriptionBytes);
      memory.expectWritable(eventsAt, count * eventBytes);
      memory.expectWritable(storedAt, 4);
      const events = wait(system, subscriptionsAt, count);
      if (events.every(({ type }) => type === EventType.clock))
        memory.transfers?.tell('TIMEOUT', 'poll_oneoff');
      events.forEach((event, i) => {
        const at = eventsAt + i * eventBytes;
        memory.fillZero(at, eventBytes);
        memory.setU64(at, event.userdata);
        memory.setU16(at + 8, event.errno);
        memory.setU8(at + 10, event.type);
        memory.setU64(at + 16, event.availableBytes);
        memory.setU16(at + 24, event.flags);
      });
      memory.setU32(storedAt, events.length);
    },
  };
}

function wait(system: System, subscriptionsAt: number, count: number): Event[] {
  const { memory } = system;
  const ready: Event[] = [];
  const timers: Timer[] = [];
  const inputs: bigint[] = [];
  const sockets: { userdata: bigint; type: number; socket: SocketDescriptor }[] = [];
  for (let i = 0; i < count; i++) {
    const at = subscriptionsAt + i * subscriptionBytes;
    const userdata = memory.u64(at);
    const type = memory.u8(at + 8);
    switch (type) {
      case EventType.clock: {
        const clock = memory.u32(at + 16);
        try {
          timers.push({
            userdata,
            clock,
            dueNs: dueNs(system, clock, memory.u64(at + 24), memory.u16(at + 40)),
          });
        } catch (error) {
          ready.push(failed(userdata, type, error));
        }
        break;
      }
      case EventType.fdRead:
      case EventType.fdWrite:
        try {
          const available = availableBytes(system, memory.u32(at + 16), type);
          if (available === 'input') inputs.push(userdata);
          else if (typeof available === 'object') sockets.push({ userdata, type, socket: available });
          else ready.push({ userdata, errno: 0, type, availableBytes: available, flags: 0 });
        } catch (error) {
          ready.push(failed(userdata, type, error));
        }
        break;
      default:
        throw new WasiError(Errno.inval);
    }
  }
  for (;;) {
    // What is ready already makes this a look without waiting.
    const waitMs = ready.length > 0 ? 0 : nextTimerMs(timers);
    if (sockets.length > 0) {
      // Beside standard input, of which another thread knows, in turns.
      const sliceMs = inputs.length === 0 || (waitMs >= 0 && waitMs < turnMs) ? waitMs : turnMs;
      const polled = sockets.map(({ type, socket }) => pollOf(type, socket));
      const happened = waitFor(system, polled, sliceMs);
      const isIdle = ready.length === 0 && happened.every((events) => events === 0);
      if (isIdle && memory.gate?.isDue) throw new WasiError(Errno.intr);
      sockets.forEach(({ userdata, type }, i) => {
        const events = happened[i]!;
        if (events === 0) return;
        const flags = events & PollEvent.hangup ? hangup : 0;
        ready.push({ userdata, errno: 0, type, availableBytes: 1n, flags });
      });
    }
    if (inputs.length > 0) {
      const {
        ready: hasInput,
        availableBytes,
        ended,
      } = system.streams.pollInput(sockets.length > 0 ? 0 : waitMs);
      if (hasInput) {
        const flags = ended && availableBytes === 0 ? hangup : 0;
        for (const userdata of inputs) {
          const event = { userdata, errno: 0, type: EventType.fdRead, flags };
          ready.push({ ...event, availableBytes: BigInt(availableBytes) });
        }
      }
    } else if (waitMs !== 0 && sockets.length === 0) {
      const sleepMs = waitMs < 0 ? Number.POSITIVE_INFINITY : waitMs;
      if (system.waits !== undefined && sleepMs >= LONG_MS) system.waits.sleep(sleepMs);
      else sleep(sleepMs);
    }
    for (const { userdata, clock, dueNs } of timers) {
      if (clockNs(clock) < dueNs) continue;
      ready.push({ userdata, errno: 0, type: EventType.clock, availableBytes: 0n, flags: 0 });
    }
    if (ready.length > 0) return ready;
  }
}

function failed(userdata: bigint, type: number, error: unknown): Event {
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  return { userdata, errno, type, availableBytes: 0n, flags: 0 };
}

function dueNs({ waits }: System, clock: number, timeoutNs: bigint, flags: number): bigint {
  // Time that a thread computes does not pass while it waits.
  if (clock !== Clockid.realtime && clock !== Clockid.monotonic) throw new WasiError(Errno.inval);
  const beganNs = waits?.beganNs(clock) ?? clockNs(clock);
  return flags & subclockAbstime ? timeoutNs : beganNs + timeoutNs;
}

/** At most a day at once: what is left then is computed anew. */
const sleepMaxMs = 86_400_000;

/** -1: there is no timer. */
function nextTimerMs(timers: readonly Timer[]): number {
  let least = -1;
  for (const { clock, dueNs } of timers) {
    const leftNs = dueNs - clockNs(clock);
    const leftMs = leftNs <= 0n ? 0 : Math.min(Number(leftNs) / 1e6, sleepMaxMs);
    if (least < 0 || leftMs < least) least = leftMs;
  }
  return least;
}

const pollOf = (type: number, { host: fd }: SocketDescriptor): Polled => ({
  fd,
  events: type === EventType.fdRead ? PollEvent.in : PollEvent.out,
});

/** Bytes that can be read or written; 'input' when standard input has to be asked, a socket that has to be. */
function availableBytes(system: System, fd: number, type: number): bigint | 'input' | SocketDescriptor {
  const descriptor = system.descriptors.get(fd, Rights.pollFdReadwrite);
  if (descriptor.kind === 'socket') return descriptor;
  if (descriptor.kind === 'stream') {
    if (type === EventType.fdRead && descriptor.stream === 0) return 'input';
    return type === EventType.fdWrite ? 65536n : 0n;
  }
  if (isDirectory(descriptor)) throw new WasiError(Errno.badf);
  if (type === EventType.fdWrite || descriptor.kind === 'device') return 1n;
  if (descriptor.kind === 'file' && !descriptor.seekable) return 1n;
  const left = sizeOf(system, descriptor) - descriptor.positionBytes;
  return left > 0n ? left : 0n;
}
