// What the control group of a virtual kernel holds it to.

import type { CgroupBounds } from '@odonata/userfault/sandbox/cgroup.ts';
import { FREE_COMPILE_BYTES } from './vkernel/wasm/compile-allowance.ts';

/** Node itself, its compiled code and its threads. */
const BASE_BYTES = 2 ** 30;
const BASE_THREADS = 64;
/** Beside the memory that it may touch: its thread, its code, what compiling takes for a while. */
const PROCESS_BYTES = 256 * 2 ** 20 + FREE_COMPILE_BYTES;
const PROCESS_THREADS = 4;

/** What its control group holds it to: the quotas of its processes, and what they cost beside them. */
export function boundsOf(processes: number, quotaBytes = 0): CgroupBounds {
  return {
    memoryBytes: BASE_BYTES + quotaBytes + processes * PROCESS_BYTES,
    threads: BASE_THREADS + 256 * PROCESS_THREADS,
  };
}
