// Whether a thread ended in time: waiting for a processor is no time of its own.
import { expect, test } from 'vitest';
import { inTime } from './process-end.ts';

const never = new Promise<void>(() => {});
const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

test('one that ends is in time, one that does not is not, and a failure is told', async () => {
  expect(await inTime(after(1), { maxMs: 5_000 })).toBe(true);
  expect(await inTime(never, { maxMs: 30 })).toBe(false);
  await expect(inTime(Promise.reject(new Error('broken')), { maxMs: 30 })).rejects.toThrow('broken');
});

test('one that waits for a processor is given as long again, and not for ever', async () => {
  const beganMs = performance.now();
  const waitedMs = () => performance.now() - beganMs;
  expect(await inTime(after(120), { maxMs: 30, waitedMs })).toBe(true);
  expect(await inTime(never, { maxMs: 30, waitedMs })).toBe(false);
  expect(waitedMs()).toBeLessThan(5_000);
});

test('one that ended while nobody could hear of it has ended in time', async () => {
  const ended = after(20);
  const isInTime = inTime(ended, { maxMs: 30 });
  // This thread has no processor for a while.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60);
  expect(await isInTime).toBe(true);
});
