import { expect, test } from 'vitest';
import { type LockMode, RangeLocks } from './range-lock.ts';

let next = 0n;
const ask = (
  owner: bigint,
  begin: number,
  end: number,
  mode: LockMode,
  deadlineMs = Number.POSITIVE_INFINITY,
) => ({
  request: ++next,
  owner,
  begin: BigInt(begin),
  end: BigInt(end),
  mode,
  deadlineMs,
});
const outcomes = (answers: { owner: bigint; outcome: string }[]) =>
  answers.map((a) => `${a.owner} ${a.outcome}`);

test('readers share a range, a writer waits for all of them, the end is inclusive', () => {
  const locks = new RangeLocks();
  expect(outcomes(locks.lock(ask(1n, 0, 99, 'SHARED'), 0))).toEqual(['1 OK']);
  expect(outcomes(locks.lock(ask(2n, 50, 150, 'SHARED'), 0))).toEqual(['2 OK']);
  expect(locks.lock(ask(3n, 99, 99, 'MODIFYING'), 0)).toEqual([]);
  expect(outcomes(locks.lock(ask(4n, 151, 200, 'MODIFYING'), 0))).toEqual(['4 OK']);
  expect(outcomes(locks.unlock(1n, 0n, 99n)!)).toEqual([]);
  expect(outcomes(locks.unlock(2n, 50n, 150n)!)).toEqual(['3 OK']);
});

test('negative offsets are ranges like any other', () => {
  const locks = new RangeLocks();
  expect(outcomes(locks.lock(ask(1n, -10, -1, 'MODIFYING'), 0))).toEqual(['1 OK']);
  expect(outcomes(locks.lock(ask(2n, 0, 10, 'MODIFYING'), 0))).toEqual(['2 OK']);
  expect(locks.lock(ask(3n, -1, 0, 'SHARED'), 0)).toEqual([]);
});

test('a reader that comes after a waiting writer waits behind it', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'SHARED'), 0);
  expect(locks.lock(ask(2n, 0, 9, 'MODIFYING'), 0)).toEqual([]);
  expect(locks.lock(ask(3n, 5, 5, 'SHARED'), 0)).toEqual([]);
  expect(outcomes(locks.unlock(1n, 0n, 9n)!)).toEqual(['2 OK']);
  expect(outcomes(locks.unlock(2n, 0n, 9n)!)).toEqual(['3 OK']);
});

test('a wait ends at its deadline and lets those behind it go', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'SHARED'), 0);
  locks.lock(ask(2n, 0, 9, 'MODIFYING', 100), 0);
  locks.lock(ask(3n, 0, 9, 'SHARED'), 0);
  expect(locks.tick(99)).toEqual([]);
  expect(outcomes(locks.tick(100))).toEqual(['2 TIMED_OUT', '3 OK']);
  expect(outcomes(locks.lock(ask(4n, 0, 0, 'EXCLUSIVE', 100), 100))).toEqual(['4 TIMED_OUT']);
});

test('two owners that would wait for each other: the second is told', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 0, 'MODIFYING'), 0);
  locks.lock(ask(2n, 1, 1, 'MODIFYING'), 0);
  expect(locks.lock(ask(1n, 1, 1, 'MODIFYING'), 0)).toEqual([]);
  expect(outcomes(locks.lock(ask(2n, 0, 0, 'MODIFYING'), 0))).toEqual(['2 DEADLOCK']);
});

test('the death of an owner releases what it held and what it waited for', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'MODIFYING'), 0);
  locks.lock(ask(2n, 0, 9, 'MODIFYING'), 0);
  locks.lock(ask(3n, 0, 9, 'SHARED'), 0);
  expect(locks.release(2n)).toEqual([]);
  expect(outcomes(locks.release(1n))).toEqual(['3 OK']);
  expect(locks.heldCount).toBe(1);
});

test('a request that is asked again is not held twice', () => {
  const locks = new RangeLocks();
  const request = ask(1n, 0, 9, 'MODIFYING');
  locks.lock(request, 0);
  expect(outcomes(locks.lock(request, 0))).toEqual(['1 OK']);
  expect(locks.heldCount).toBe(1);
  expect(locks.unlock(1n, 0n, 8n)).toBeUndefined();
});
