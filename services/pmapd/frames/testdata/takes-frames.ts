// A member of a pool in a thread of its own: takes and gives back, and never sees more than all had by what it was given.
import { parentPort, workerData } from 'node:worker_threads';
import { FramePool } from '../frame-pool.ts';

const pool = new FramePool(workerData as SharedArrayBuffer, 1);
let held = 0;
let most = 0;
for (let turn = 0; turn < 200_000; turn++) {
  if (turn % 4 < 3) held += pool.take(11);
  else {
    pool.add(-held);
    held = 0;
  }
  most = Math.max(most, held);
}
parentPort!.postMessage({ most, held });
