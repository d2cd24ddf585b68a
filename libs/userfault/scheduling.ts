// Time slices. A service that serves faults runs for microseconds at a time, while guests compute
// without end: with a short slice the scheduler lets a service that wakes up run at once instead of
// after the guest's slice (sched_setattr(2), Linux 6.12 and later; earlier ones take it and ignore it).
import { sched_setattr } from './libc.ts';

/** The shortest that the kernel takes. */
const SHORT_NS = 100_000n;

/** For threads that serve others. Threads and processes started afterwards inherit it. */
export function useShortSlices(): void {
  setSlice(SHORT_NS);
}

/** For threads that compute. */
export function useDefaultSlices(): void {
  setSlice(0n);
}

// A hint: where it is refused all works, only later.
function setSlice(sliceNs: bigint): void {
  // struct sched_attr: u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period.
  const attributes = new BigUint64Array(6);
  attributes[0] = 48n;
  attributes[3] = sliceNs;
  sched_setattr(attributes);
}
