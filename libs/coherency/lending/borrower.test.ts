// What another cluster cannot say: its line is to end.
import { expect, test } from 'vitest';
import { PageBorrower } from './borrower.ts';
import type { BorrowerAction } from './borrower-messages.ts';
import { takeBackMsOf } from './home-lease.ts';

const LEASE_MS = 10_000;
const run = { dataspace: 7n, firstPage: 0, pageCount: 2 };

function joined(nodeLeaseMs = 1_000): PageBorrower {
  const borrower = new PageBorrower(nodeLeaseMs);
  borrower.step({ type: 'open', dataspace: 7n, pageCount: 4 }, 0);
  borrower.step({ type: 'joined', life: 1n }, 0);
  borrower.step({ type: 'renewed', sentMs: 0, leaseMs: LEASE_MS }, 10);
  return borrower;
}

const types = (actions: readonly BorrowerAction[]): string[] => actions.map(({ type }) => type);

test('pages that were not asked for, twice, or past the end', () => {
  const borrower = joined();
  const lent = { type: 'lent', run, lending: 1, mode: 'READ' } as const;
  expect(() => borrower.step(lent, 20)).toThrow(/was not asked for/);
  expect(() => borrower.step({ type: 'refused', run, withdrawn: true }, 20)).toThrow(/was not asked for/);
  expect(types(borrower.step({ type: 'asked', run, mode: 'READ' }, 20))).toEqual(['want']);
  expect(types(borrower.step(lent, 30))).toEqual(['serve']);
  expect(() => borrower.step(lent, 40)).toThrow(/was not asked for/);
  const past = { dataspace: 7n, firstPage: 3, pageCount: 2 };
  expect(() => borrower.step({ type: 'revoked', run: past, lending: 1 }, 40)).toThrow(/which has 4/);
});

test('a run is asked for, given and taken back as a run', () => {
  const borrower = joined();
  expect(borrower.step({ type: 'asked', run, mode: 'READ' }, 20)).toEqual([
    { type: 'want', run, mode: 'READ' },
  ]);
  expect(borrower.step({ type: 'lent', run, lending: 5, mode: 'READ' }, 30)).toEqual([
    { type: 'serve', run },
  ]);
  expect(borrower.step({ type: 'revoked', run, lending: 5 }, 40)).toEqual([{ type: 'take', run }]);
  expect(borrower.step({ type: 'alone', run }, 50)).toEqual([
    { type: 'forget', run },
    { type: 'return', run, lending: 5, as: 'READ' },
  ]);
});

/** Nodes have page 0 to write. */
function writing(): PageBorrower {
  const borrower = joined();
  const one = { ...run, pageCount: 1 };
  borrower.step({ type: 'asked', run: one, mode: 'WRITE' }, 20);
  expect(types(borrower.step({ type: 'lent', run: one, lending: 5, mode: 'WRITE' }, 30))).toEqual(['serve']);
  return borrower;
}

const one = { ...run, pageCount: 1 };
const returned = (as: 'WRITTEN' | 'LOST') => ({ type: 'return', run: one, lending: 5, as });

test('what is on its way home when its dataspace is closed is lost only where home says so', () => {
  for (const gone of [false, true]) {
    const borrower = writing();
    borrower.step({ type: 'drain', dataspace: 7n }, 40);
    expect(borrower.step({ type: 'alone', run: one }, 50)).toEqual([
      { type: 'keep', run: one },
      returned('WRITTEN'),
    ]);
    borrower.step({ type: 'lost' }, 60);
    expect(borrower.step({ type: 'close', dataspace: 7n }, 70)).toEqual([]);
    // It is said again, and nobody asks for it before home has answered.
    expect(borrower.step({ type: 'joined', life: 1n }, 80)).toContainEqual(returned('WRITTEN'));
    borrower.step({ type: 'renewed', sentMs: 80, leaseMs: LEASE_MS }, 85);
    borrower.step({ type: 'open', dataspace: 7n, pageCount: 4 }, 90);
    expect(borrower.step({ type: 'asked', run: one, mode: 'READ' }, 95)).toEqual([]);
    expect(borrower.step({ type: 'revoked', run: one, lending: 6 }, 97)).not.toContainEqual(returned('LOST'));
    const settled = types(borrower.step({ type: 'settled', run: one, lending: 5, gone }, 100));
    expect(settled).toEqual([...(gone ? ['gone'] : []), 'forget', 'want']);
  }
});

test('what nodes have to write when its dataspace is closed is lost, and home is told so until it has heard', () => {
  const borrower = writing();
  expect(borrower.step({ type: 'close', dataspace: 7n }, 40)).toEqual([
    { type: 'gone', run: one },
    returned('LOST'),
  ]);
  borrower.step({ type: 'lost' }, 50);
  expect(borrower.step({ type: 'joined', life: 1n }, 60)).toContainEqual(returned('LOST'));
  expect(types(borrower.step({ type: 'settled', run: one, lending: 5, gone: true }, 70))).toEqual(['forget']);
  borrower.step({ type: 'lost' }, 80);
  expect(types(borrower.step({ type: 'joined', life: 1n }, 90))).toEqual(['renew']);
});

test('what comes for a dataspace that was closed goes back unwritten', () => {
  const borrower = joined();
  borrower.step({ type: 'asked', run: one, mode: 'WRITE' }, 20);
  borrower.step({ type: 'close', dataspace: 7n }, 30);
  expect(borrower.step({ type: 'lent', run: one, lending: 5, mode: 'WRITE' }, 40)).toEqual([
    { type: 'return', run: one, lending: 5, as: 'UNWRITTEN' },
  ]);
});

test('where the lease is too short for the own cluster nothing is given', () => {
  const borrower = joined(LEASE_MS / 2);
  expect(takeBackMsOf(LEASE_MS / 2)).toBeGreaterThan(LEASE_MS);
  expect(borrower.isTooShort).toBe(true);
  expect(types(borrower.step({ type: 'asked', run, mode: 'READ' }, 20))).toEqual([]);
});

test('before the lease ends all is taken back, and what is asked for waits', () => {
  const borrower = joined();
  borrower.step({ type: 'asked', run, mode: 'READ' }, 20);
  borrower.step({ type: 'lent', run, lending: 1, mode: 'READ' }, 30);
  borrower.step({ type: 'lost' }, 40);
  expect(types(borrower.tick(borrower.nextMs))).toEqual(['take']);
  const endMs = borrower.endMs;
  expect(endMs).toBeLessThan(LEASE_MS);
  borrower.step({ type: 'alone', run }, endMs - 500);
  expect(types(borrower.step({ type: 'asked', run, mode: 'READ' }, endMs - 400))).toEqual([]);
  expect(types(borrower.tick(endMs))).toEqual(['forget']);
  // The line is back, and a lease with it.
  expect(types(borrower.step({ type: 'joined', life: 1n }, endMs + 100))).toEqual(['renew']);
  expect(
    types(borrower.step({ type: 'renewed', sentMs: endMs + 100, leaseMs: LEASE_MS }, endMs + 200)),
  ).toEqual(['want']);
});
