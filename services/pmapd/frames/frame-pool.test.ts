import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { Charges } from './charge.ts';
import { FramePool } from './frame-pool.ts';
import { Frames } from './frames.ts';

it('what one cluster has, another one does not get, and gets when it is given back', () => {
  const own = FramePool.of(1_000);
  const frames = new Frames(1_000, new Charges(), own);
  const theirs = new Frames(600, new Charges(), new FramePool(own.buffer, 1));
  while (frames.grant(100) > 0);
  expect([frames.privateFrames, theirs.free, theirs.grant(1)]).toEqual([1_000, 0, 0]);
  expect([theirs.missingToOthers, frames.missingToOthers]).toEqual([1_000, 0]);
  frames.giveBack(300);
  while (theirs.grant(100) > 0);
  expect([theirs.privateFrames, frames.free, own.hadBy(1)]).toEqual([300, 0, 300]);
  frames.giveBack(700);
  // Its own bound, however much is free.
  while (theirs.grant(1_000) > 0);
  expect([theirs.privateFrames, frames.free]).toEqual([600, 400]);
  theirs.reserve(0);
  theirs.unreserve(0);
  theirs.taken(0);
  expect(own.hadBy(1)).toBe(601);
  theirs.dropped(0, 1);
  // A new life of it has nothing.
  new Frames(600, new Charges(), new FramePool(own.buffer, 1));
  expect([own.hadBy(1), frames.free]).toEqual([0, 1_000]);
});

it('threads that take at the same time never have more than there is', async () => {
  const pool = FramePool.of(500);
  const peer = new Worker(new URL('./testdata/takes-frames.ts', import.meta.url), {
    workerData: pool.buffer,
  });
  const heard = new Promise((resolve) => peer.once('message', resolve));
  await new Promise((resolve) => peer.once('online', resolve));
  let most = 0;
  let held = 0;
  for (let turn = 0; turn < 200_000; turn++) {
    if (turn % 3 < 2) held += pool.take(7);
    else {
      pool.add(-held);
      held = 0;
    }
    most = Math.max(most, held);
  }
  pool.add(-held);
  const theirs = (await heard) as { most: number; held: number };
  await peer.terminate();
  expect([most > 0, most <= 500, theirs.most <= 500, pool.left + theirs.held]).toEqual([
    true,
    true,
    true,
    500,
  ]);
});
