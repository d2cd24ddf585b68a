import { expect, test } from 'vitest';
import { WAITERS_MAX, Waiters } from './waiters.ts';

const waiter = (request: bigint, deadlineMs = Number.POSITIVE_INFINITY, owner = 1n) => ({
  request,
  owner,
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
  expect(waiters.count).toBe(1);
});

test('takes off who no longer waits: late, cancelled, dead', () => {
  const waiters = new Waiters();
  waiters.add(7n, 0n, waiter(1n, 100));
  waiters.add(7n, 0n, waiter(2n, 200));
  waiters.add(7n, 0n, waiter(3n));
  waiters.add(7n, 0n, waiter(4n, 50, 2n));
  waiters.add(7n, 8n, waiter(5n, 50, 2n));
  waiters.add(7n, 0n, waiter(6n));
  waiters.removeOwner(2n);
  expect(waiters.tick(100).map((w) => w.request)).toEqual([1n]);
  waiters.cancel(1, 3n);
  expect(waiters.wake(7n, 0n, 9).map((w) => w.request)).toEqual([2n, 6n]);
  expect(waiters.tick(1_000)).toEqual([]);
  expect(waiters.count).toBe(0);
});

test('one that is told again waits once, and the bound of an address holds', () => {
  const waiters = new Waiters();
  for (let request = 1n; request <= BigInt(WAITERS_MAX); request++)
    expect(waiters.add(7n, 0n, waiter(request))).toBe(true);
  expect(waiters.add(7n, 0n, waiter(1n))).toBe(true);
  expect(waiters.add(7n, 0n, waiter(0n))).toBe(false);
  expect(waiters.wake(7n, 0n, 1).map((w) => w.request)).toEqual([1n]);
  expect(waiters.wake(7n, 0n, Number.POSITIVE_INFINITY)).toHaveLength(WAITERS_MAX - 1);
});
