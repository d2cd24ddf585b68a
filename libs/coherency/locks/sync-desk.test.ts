import { expect, test } from 'vitest';
import { SyncDesk } from './sync-desk.ts';

const lock = (request: bigint, owner: bigint, reclaim = false) => ({
  request,
  dataspace: 1n,
  begin: 0n,
  end: 9n,
  mode: 'MODIFYING' as const,
  owner,
  timeoutMs: -1,
  reclaim,
});

test('an answer goes to the holder where the owner lives', () => {
  const desk = new SyncDesk();
  expect(desk.lock(1, lock(10n, 100n), 0)).toEqual([
    { type: 'lock', holder: 1, request: 10n, outcome: 'OK', waited: false },
  ]);
  expect(desk.lock(2, lock(20n, 200n), 0)).toEqual([]);
  expect(desk.unlock(1n, 100n, 0n, 9n)).toEqual([
    { type: 'lock', holder: 2, request: 20n, outcome: 'OK', waited: true },
  ]);
});

test('the death of a holder releases the locks of all its owners', () => {
  const desk = new SyncDesk();
  desk.lock(1, lock(10n, 100n), 0);
  desk.lock(2, lock(20n, 200n), 0);
  expect(desk.holderGone(1)).toEqual([
    { type: 'lock', holder: 2, request: 20n, outcome: 'OK', waited: true },
  ]);
  expect(desk.lockCount(1n)).toBe(1);
});

test('a lock of an earlier directory is held again without an answer', () => {
  const desk = new SyncDesk();
  expect(desk.lock(1, lock(10n, 100n, true), 0)).toEqual([]);
  expect(desk.lock(2, lock(20n, 200n), 0)).toEqual([]);
});

test('a wait is registered, then woken or timed out', () => {
  const desk = new SyncDesk();
  const wait = (request: bigint, timeoutMs: number) => ({
    request,
    dataspace: 1n,
    offset: 64n,
    owner: 100n,
    timeoutMs,
  });
  expect(desk.wait(1, wait(1n, -1), 0)).toMatchObject([{ outcome: 'REGISTERED' }]);
  desk.wait(1, wait(2n, 50), 0);
  expect(desk.wake(2, { request: 3n, dataspace: 1n, offset: 64n, count: 1 })).toEqual([
    { type: 'wait', holder: 1, request: 1n, outcome: 'OK' },
    { type: 'wake', holder: 2, request: 3n, woken: 1 },
  ]);
  expect(desk.tick(49)).toEqual([]);
  expect(desk.tick(50)).toEqual([{ type: 'wait', holder: 1, request: 2n, outcome: 'TIMED_OUT' }]);
});

test('an unlock that is heard again does not undo a later lock', () => {
  const desk = new SyncDesk();
  desk.lock(1, lock(1n, 100n), 0);
  desk.unlock(1n, 100n, 0n, 9n, 2n);
  desk.lock(1, lock(3n, 100n), 0);
  expect(desk.unlock(1n, 100n, 0n, 9n, 2n)).toEqual([]);
  expect(desk.lockCount(1n)).toBe(1);
  desk.unlock(1n, 100n, 0n, 9n, 4n);
  expect(desk.lockCount(1n)).toBe(0);
});
