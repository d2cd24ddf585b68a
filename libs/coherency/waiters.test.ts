import { expect, test } from 'vitest';
import { Waiters } from './waiters.ts';

const waiter = (request: bigint, deadlineMs = Number.POSITIVE_INFINITY) => ({
  request,
  owner: 1n,
  holder: 1,
  deadlineMs,
});

test('wakes the oldest of one address, and no others', () => {
  const waiters = new Waiters();
  for (const request of [1n, 2n, 3n]) waiters.add(7n, 64n, waiter(request));
  waiters.add(7n, 68n, waiter(4n));
  expect(waiters.wake(7n, 64n, 2).map((w) => w.request)).toEqual([1n, 2n]);
  expect(waiters.wake(7n, 64n, 9).map((w) => w.request)).toEqual([3n]);
  expect(waiters.wake(7n, 64n, 9)).toEqual([]);
});

test('takes off who no longer waits', () => {
  const waiters = new Waiters();
  waiters.add(7n, 0n, waiter(1n, 100));
  waiters.add(7n, 0n, waiter(2n, 200));
  expect(waiters.remove((w) => w.deadlineMs <= 100).map((w) => w.request)).toEqual([1n]);
  expect(waiters.wake(7n, 0n, 9).map((w) => w.request)).toEqual([2n]);
});
