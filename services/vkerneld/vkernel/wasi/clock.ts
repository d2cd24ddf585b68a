// Clocks, in nanoseconds.

import { Clockid } from './abi.ts';
import { Errno, WasiError } from './errno.ts';

const nsPerMs = 1_000_000n;

/** Looked up once: to find it takes as long as to ask it. */
export const monotonicNs = process.hrtime.bigint;

/** Wall clock minus monotonic clock. The wall clock of JavaScript has milliseconds; this gives it the rest. */
let wallOffsetNs = 0n;
/** The wall clock was set, or the two drifted: follow it. */
const driftMaxNs = 2n * nsPerMs;
/** Until then, by the monotonic clock, the two are what they were. */
let lookAgainNs = 0n;

export function realtimeNs(): bigint {
  const monotonic = monotonicNs();
  if (monotonic >= lookAgainNs) follow(monotonic);
  return monotonic + wallOffsetNs;
}

function follow(monotonic: bigint): void {
  const wallNs = BigInt(Date.now()) * nsPerMs;
  lookAgainNs = monotonic + nsPerMs;
  const driftNs = monotonic + wallOffsetNs - wallNs;
  if (driftNs > driftMaxNs || driftNs < -driftMaxNs) wallOffsetNs = wallNs - monotonic;
}

/** EINVAL for a clock that there is not. */
export function clockNs(clock: number): bigint {
  switch (clock) {
    case Clockid.realtime:
      return realtimeNs();
    case Clockid.monotonic:
      return monotonicNs();
    case Clockid.processCputime:
    case Clockid.threadCputime: {
      // A process is one thread of the virtual kernel.
      const used = process.threadCpuUsage();
      return BigInt(used.user + used.system) * 1000n;
    }
    default:
      throw new WasiError(Errno.inval);
  }
}

export function clockResolutionNs(clock: number): bigint {
  switch (clock) {
    case Clockid.realtime:
    case Clockid.monotonic:
      return 1n;
    case Clockid.processCputime:
    case Clockid.threadCputime:
      return 1000n;
    default:
      throw new WasiError(Errno.inval);
  }
}
