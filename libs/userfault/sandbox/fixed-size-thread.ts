// See fixed-size.ts.
import { openSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { Turn } from './fixed-size.ts';
import { TRUNCATE } from './landlock.ts';
import { restrictThread } from './landlock-rules.ts';

const turn = workerData as Int32Array;

/** The errno below zero. */
function open(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, 'r+');
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? -koffi.os.errno.EIO!;
  }
}

const give = (value: number): void => {
  Atomics.store(turn, 0, value);
  Atomics.notify(turn, 0);
};

try {
  // No rule: it may truncate nothing, and all else as before.
  restrictThread({ fs: TRUNCATE });
} catch (error) {
  give(Turn.FAILED);
  throw error;
}
for (give(Turn.OURS); ; give(Turn.OURS)) {
  while (Atomics.load(turn, 0) === Turn.OURS) Atomics.wait(turn, 0, Turn.OURS);
  turn[1] = open(turn[1]!);
}
