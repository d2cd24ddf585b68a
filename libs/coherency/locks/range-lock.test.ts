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
  expect(locks.unlock(1n, 10n, 99n)).toBeUndefined();
});

test('an unlock within a range splits it, a lock beside it merges, a part is upgraded and downgraded', () => {
  const locks = new RangeLocks();
  const held = () => locks.rangesOf(1n).map((r) => `${r.begin}..${r.end} ${r.mode}`);
  locks.lock(ask(1n, 0, 19, 'SHARED'), 0);
  locks.lock(ask(1n, 5, 9, 'MODIFYING'), 0);
  expect(held()).toEqual(['0..4 SHARED', '5..9 MODIFYING', '10..19 SHARED']);
  locks.unlock(1n, 7n, 12n);
  expect(held()).toEqual(['0..4 SHARED', '5..6 MODIFYING', '13..19 SHARED']);
  locks.lock(ask(1n, 7, 12, 'SHARED'), 0);
  expect(held()).toEqual(['0..4 SHARED', '5..6 MODIFYING', '7..19 SHARED']);
  expect(locks.lock(ask(2n, 6, 6, 'SHARED'), 0)).toEqual([]);
  expect(outcomes(locks.lock(ask(1n, 5, 6, 'SHARED'), 0))).toEqual(['1 OK', '2 OK']);
  expect(held()).toEqual(['0..19 SHARED']);
});

test('two readers that both want to write: the second upgrade is a deadlock, the first waits for the reader', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'SHARED'), 0);
  locks.lock(ask(2n, 0, 9, 'SHARED'), 0);
  expect(locks.lock(ask(3n, 0, 9, 'MODIFYING'), 0)).toEqual([]);
  // It does not queue behind the writer, who waits for it.
  expect(locks.lock(ask(1n, 0, 9, 'MODIFYING'), 0)).toEqual([]);
  expect(outcomes(locks.lock(ask(2n, 4, 4, 'EXCLUSIVE'), 0))).toEqual(['2 DEADLOCK']);
  expect(outcomes(locks.unlock(2n, 0n, 9n)!)).toEqual(['1 OK']);
  expect(outcomes(locks.unlock(1n, 0n, 9n)!)).toEqual(['3 OK']);
});

test('a cycle of three, closed by the queue: nobody holds what the last one asks for', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'SHARED'), 0);
  locks.lock(ask(2n, 20, 29, 'MODIFYING'), 0);
  locks.lock(ask(3n, 40, 49, 'MODIFYING'), 0);
  expect(locks.lock(ask(3n, 0, 5, 'MODIFYING'), 0)).toEqual([]);
  expect(locks.lock(ask(1n, 20, 20, 'SHARED'), 0)).toEqual([]);
  // Only readers hold byte 5, but the writer who waits for it waits for 1, who waits for 2.
  expect(outcomes(locks.lock(ask(2n, 5, 5, 'SHARED'), 0))).toEqual(['2 DEADLOCK']);
  expect(outcomes(locks.unlock(2n, 20n, 29n)!)).toEqual(['1 OK']);
});

test('no stream of readers keeps a writer out', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'SHARED'), 0);
  expect(locks.lock(ask(1000n, 0, 9, 'MODIFYING'), 0)).toEqual([]);
  // Each reader ends only after the next one came.
  for (let reader = 2n; reader < 500n; reader++)
    expect(locks.lock(ask(reader, 0, 9, 'SHARED'), 0)).toEqual([]);
  expect(outcomes(locks.unlock(1n, 0n, 9n)!)).toEqual(['1000 OK']);
  expect(locks.unlock(1000n, 0n, 9n)).toHaveLength(498);
});

test('a lock of before is taken over only where nobody holds it now', () => {
  const locks = new RangeLocks();
  expect(locks.reclaim(ask(1n, 0, 9, 'MODIFYING'))).toBe(true);
  expect(locks.reclaim(ask(2n, 9, 12, 'SHARED'))).toBe(false);
  expect(locks.rangesOf(2n)).toEqual([]);
});

test('a lock that is reclaimed twice is held once', () => {
  const locks = new RangeLocks();
  const request = ask(1n, 0, 9, 'MODIFYING');
  locks.reclaim(request);
  locks.reclaim(request);
  expect(locks.heldCount).toBe(1);
  locks.unlock(1n, 0n, 9n);
  expect(outcomes(locks.lock(ask(2n, 0, 9, 'MODIFYING'), 0))).toEqual(['2 OK']);
});

test('who asks again before it hears that its time was over does not wait anew, and is granted nothing late', () => {
  const locks = new RangeLocks();
  locks.lock(ask(1n, 0, 9, 'MODIFYING'), 0);
  const late = { ...ask(2n, 0, 9, 'MODIFYING'), request: 7n, deadlineMs: 50 };
  expect(locks.lock(late, 0)).toEqual([]);
  expect(outcomes(locks.tick(50))).toEqual(['2 TIMED_OUT']);
  expect(outcomes(locks.lock({ ...late, deadlineMs: 150 }, 100))).toEqual(['2 TIMED_OUT']);
  expect(locks.waitingCount).toBe(0);
  // Another request of it is a new one.
  expect(locks.lock({ ...late, request: 8n, deadlineMs: 150 }, 100)).toEqual([]);
  expect(outcomes(locks.unlock(1n, 0n, 9n) ?? [])).toEqual(['2 OK']);
});
