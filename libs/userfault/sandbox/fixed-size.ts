// Descriptors of files whose size nobody changes by them, ftruncate(2), whoever gets one. A file that somebody cuts under others
// who have it mapped ends those by SIGBUS. Seals, F_SEAL_SHRINK, are for memfds only, and a memfd has no name by which the next pmap
// manager finds it; a filter of system calls cannot tell one file from another. Landlock can: since ABI 3 (Linux 6.2) a
// descriptor that was opened behind its rules without the right to truncate never gets that right, wherever it is passed to.
//
// Rules bind a thread for good, so one of its own opens them. It waits in one place, and answers within some 15 us.
import { Worker } from 'node:worker_threads';
import { SystemCallError } from '../libc.ts';
import { landlockAbi } from './landlock-abi.ts';

/** Of Landlock: the first one that knows of truncation. */
const ABI = 3;
/** Its start, on a machine that does much else. */
const START_MS = 20_000;
const ANSWER_MS = 5_000;

/** What the two share: whose turn it is, and a descriptor, or the errno below zero. */
export const Turn = { STARTING: 0, OURS: 1, THEIRS: 2, FAILED: 3 } as const;

let shared: Int32Array | undefined;

/** Makes the thread, where this machine has what it takes. @param onMissing hears, once, why there is none */
export function startFixedSize(onMissing: (reason: string) => void): void {
  const why = whyNoFixedSize();
  if (why !== undefined) onMissing(why);
  if (why !== undefined || shared !== undefined) return;
  shared = new Int32Array(new SharedArrayBuffer(8));
  const thread = new Worker(new URL('./fixed-size-thread.ts', import.meta.url), {
    workerData: shared,
    name: 'fixed-size',
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  const at = shared;
  thread.on('error', ({ message }) => {
    Atomics.store(at, 0, Turn.FAILED);
    onMissing(message);
  });
  thread.unref();
}

/** Why this machine cannot; undefined where it can. */
export function whyNoFixedSize(abi = landlockAbi()): string | undefined {
  if (abi < ABI)
    return abi === 0
      ? 'the kernel has no Landlock, or a profile refuses it'
      : `Landlock has ABI ${abi}, and knows of truncation from ${ABI} on (Linux 6.2)`;
  return undefined;
}

/**
 * Opens what a descriptor is open on once more, for both, so that its size cannot be changed by it.
 * @returns undefined where this machine cannot, or `startFixedSize` was not called
 * @throws SystemCallError what open(2) says; ETIMEDOUT
 */
export function openFixedSize(fd: number): number | undefined {
  if (shared === undefined) return undefined;
  Atomics.wait(shared, 0, Turn.STARTING, START_MS);
  const turn = Atomics.load(shared, 0);
  if (turn === Turn.FAILED) return undefined;
  if (turn !== Turn.OURS) throw new SystemCallError(THREAD, ETIMEDOUT);
  shared[1] = fd;
  Atomics.store(shared, 0, Turn.THEIRS);
  Atomics.notify(shared, 0);
  Atomics.wait(shared, 0, Turn.THEIRS, ANSWER_MS);
  if (Atomics.load(shared, 0) !== Turn.OURS) throw new SystemCallError(THREAD, ETIMEDOUT);
  const opened = shared[1]!;
  if (opened < 0) throw new SystemCallError('open', -opened);
  return opened;
}

const THREAD = 'open, by the thread of fixed sizes';
const ETIMEDOUT = 110;
