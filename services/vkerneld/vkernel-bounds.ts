// What the control group of a virtual kernel holds it to.

import type { CgroupBounds } from '@odonata/userfault/sandbox/cgroup.ts';
import { MEMORY_MOUNT_BYTES } from './vkernel/mounts/memory-mount.ts';
import { FREE_COMPILE_BYTES } from './vkernel/wasm/compile-allowance.ts';
import { NO_QUOTA, type Quota } from './vkernel-quotas.ts';

/** Node itself, its compiled code and its threads, and its /tmp. */
const BASE_BYTES = 2 ** 30 + MEMORY_MOUNT_BYTES;
const BASE_THREADS = 64;
/** Beside the memory that it may touch: its thread, its code, what compiling takes for a while. */
const PROCESS_BYTES = 256 * 2 ** 20 + FREE_COMPILE_BYTES;
const PROCESS_THREADS = 4;

/** What its control group holds it to: the quotas of its processes, what they cost beside them, and its part of the processors. */
export function boundsOf(
  processes: number,
  quotaBytes = 0,
  { cpuWeight, cpuMillis, memoryBytes }: Quota = NO_QUOTA,
): CgroupBounds {
  const most = memoryBytes === 0 ? quotaBytes : Math.min(quotaBytes, memoryBytes);
  return {
    memoryBytes: BASE_BYTES + most + processes * PROCESS_BYTES,
    threads: BASE_THREADS + 256 * PROCESS_THREADS,
    ...(cpuWeight > 0 && { cpuWeight }),
    cpuMillis,
  };
}
