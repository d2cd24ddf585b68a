// Time slices. Who serves faults runs for microseconds at a time, and so does a guest that waits for them, while other guests compute
// without end: with short slices the scheduler lets whoever wakes up run at once instead of after somebody's slice (sched_setattr(2),
// Linux 6.12 and later; earlier ones take it and ignore it). Who computes is looked at by the clock of the kernel, as ever.
import { sched_setattr } from './libc.ts';

/** The shortest that the kernel takes. */
const SHORT_NS = 100_000n;

/** Threads and processes started afterwards inherit it. A hint: where it is refused all works, only later. */
export function useShortSlices(): void {
  // struct sched_attr: u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period.
  const attributes = new BigUint64Array(6);
  attributes[0] = 48n;
  attributes[3] = SHORT_NS;
  sched_setattr(attributes);
}
