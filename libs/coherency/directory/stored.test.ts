// Lost pages that begin anew with what the backing store keeps.
import { expect, test } from 'vitest';
import { Holder } from '../holder/holder.ts';
import { storedVersionOf, versionOfStored } from '../stored-version.ts';
import { Directory } from './directory.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const acquire = (holder: number, storedVersion?: number, lostVersion?: number): DirectoryEvent => ({
  ...{ type: 'acquire', holder, run, mode: 'WRITE', neededPages: 1, alone: true, storedVersion, lostVersion },
});
const gone = (holder: number, version: number): DirectoryEvent => ({
  ...{ type: 'ack', holder, run, version, kind: 'INVALIDATED' },
});

/** A directory whose only page was written by holder 1, who died. */
function afterLoss(): Directory {
  const directory = new Directory({ home: false });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 4, creator: 0, durable: true });
  for (const holder of [1, 2, 3]) directory.step({ type: 'join', holder });
  directory.step(acquire(1));
  directory.step({ type: 'leave', holder: 1 });
  return directory;
}

/** Holders 2 and 3 have said that they have nothing. */
function afterFence(): { directory: Directory; told: DirectoryAction[] } {
  const directory = afterLoss();
  expect(directory.step(acquire(2))).toMatchObject([
    { type: 'invalidate', holders: [2, 3], except: 0, version: 2, anew: true, resend: true },
  ]);
  directory.step(gone(2, 2));
  return { directory, told: directory.step(gone(3, 2)) };
}

test('LOST is said of a durable page when nobody can have it any more', () => {
  expect(afterFence().told).toEqual([
    { type: 'refuse', holder: 2, run, mode: 'WRITE', reason: 'LOST', version: 2 },
  ]);
});

test('the first who has the stored bytes gets the page, later than all that was; the next gets it from there', () => {
  const { directory } = afterFence();
  const granted = directory.step(acquire(2, 7, 2));
  expect(granted).toMatchObject([{ type: 'grant', holder: 2, state: 'MODIFIED', version: 8, stored: true }]);
  // Its grant was lost with its stream.
  expect(directory.step(acquire(2, 7, 2))).toMatchObject([{ type: 'grant', version: 8, stored: true }]);
  expect(directory.step(acquire(3, 7, 2))).toMatchObject([
    { type: 'recall', holder: 2, receiver: 3, version: 9 },
  ]);
});

test('the version grows also where the store is behind', () => {
  expect(afterFence().directory.step(acquire(2, 0, 2))).toMatchObject([{ version: 3, stored: true }]);
});

test('bytes that were read before the page was lost once more are of no use', () => {
  const { directory } = afterFence();
  directory.step(acquire(2, 7, 2));
  directory.step({ type: 'leave', holder: 2 });
  expect(directory.step(acquire(3, 7, 2))).toMatchObject([{ type: 'invalidate', holders: [3], version: 9 }]);
  expect(directory.step(gone(3, 9))).toMatchObject([
    { type: 'refuse', holder: 3, reason: 'LOST', version: 9 },
  ]);
  expect(directory.step(acquire(3, 7, 9))).toMatchObject([{ type: 'grant', version: 10, stored: true }]);
});

test('a writer that has the page after all loses it: its source died when the page had arrived', () => {
  const directory = new Directory({ home: false });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 4, creator: 0, durable: true });
  for (const holder of [1, 2]) directory.step({ type: 'join', holder });
  directory.step(acquire(1));
  expect(directory.step(acquire(2))).toMatchObject([{ type: 'recall', version: 2 }]);
  const writer = new Holder();
  writer.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  writer.step({ type: 'want', run, mode: 'WRITE', neededPages: 1 });
  writer.step({ type: 'data', run, state: 'MODIFIED', version: 2, zero: false });
  const before = writer.lineage(1n, 0);
  // Its RECEIVED is under way.
  const fence = directory.step({ type: 'leave', holder: 1 });
  expect(fence).toMatchObject([{ type: 'invalidate', holders: [2], version: 3, anew: true }]);
  expect(writer.step({ type: 'invalidate', run, version: 3, anew: true })).toEqual([
    { type: 'revoke', run, keep: 'NOTHING' },
    { type: 'drop', run },
    { type: 'ack', run, version: 3, kind: 'INVALIDATED' },
  ]);
  expect(writer.state(1n, 0)).toBe('INVALID');
  expect(writer.lineage(1n, 0)).toBeGreaterThan(before);
});

test('a holder asks with what it has at hand, asks again after a break, and takes it when it is granted', () => {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  holder.step({ type: 'refuse', run, mode: 'WRITE', reason: 'LOST', version: 2 });
  const asked = [{ type: 'acquire', run, mode: 'WRITE', needed: true, storedVersion: 7, lostVersion: 2 }];
  expect(holder.step({ type: 'stored', run, version: 7, lostVersion: 2 })).toEqual(asked);
  expect(holder.step({ type: 'rejoin', sameDirectory: true })).toEqual(asked);
  const about = { state: 'MODIFIED', version: 8, zero: false, restore: false, stored: true } as const;
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([
    { type: 'install-stored', run },
    { type: 'ready', run },
  ]);
  expect([holder.state(1n, 0), holder.version(1n, 0)]).toEqual(['MODIFIED', 8]);
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([{ type: 'ready', run }]);
});

test('bytes of another loss than the last one are not asked with, and a new leader is not asked with them', () => {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  holder.step({ type: 'refuse', run, mode: 'WRITE', reason: 'LOST', version: 4 });
  expect([2, 4].map((version) => holder.isLost(1n, 0, version))).toEqual([false, true]);
  const late = holder.step({ type: 'stored', run, version: 7, lostVersion: 2 });
  expect(late).toEqual([{ type: 'ready', run }]);
  holder.step({ type: 'stored', run, version: 7, lostVersion: 4 });
  holder.step({ type: 'refuse', run, mode: 'WRITE', reason: 'LOST', version: 6 });
  expect(holder.step({ type: 'rejoin', sameDirectory: true })).toEqual([]);
  holder.step({ type: 'stored', run, version: 8, lostVersion: 6 });
  expect(holder.step({ type: 'rejoin', sameDirectory: false }).slice(1)).toEqual([
    { type: 'acquire', run, mode: 'WRITE', needed: true },
  ]);
});

test('LOST of before does not take what arrived since the page began anew', () => {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  holder.step({ type: 'want', run, mode: 'WRITE', neededPages: 1 });
  holder.step({ type: 'data', run, state: 'INVALID', version: 5, zero: false });
  holder.step({ type: 'refuse', run, mode: 'READ', reason: 'LOST', version: 2 });
  const about = { state: 'MODIFIED', version: 5, zero: false, restore: false, stored: false } as const;
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([{ type: 'ready', run }]);
});

test('who waits for a page that begins anew asks once more: its grant may be under way, and too late', () => {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  const want = { type: 'want', run, mode: 'WRITE', neededPages: 1 } as const;
  holder.step(want);
  holder.step({ type: 'data', run, state: 'INVALID', version: 5, zero: false });
  const actions = holder.step({ type: 'invalidate', run, version: 7, anew: true });
  expect(actions).toContainEqual({ type: 'ready', run });
  expect(holder.step(want)).toMatchObject([{ type: 'acquire', mode: 'WRITE' }]);
  const about = { state: 'MODIFIED', version: 5, zero: false, restore: false, stored: false } as const;
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([]);
});

test('a master whose readers are gone when a new leader asks writes at a later version than they had', () => {
  const directory = new Directory({ home: false });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 4, creator: 0, durable: true });
  directory.step({ type: 'join', holder: 1 });
  directory.step({ type: 'report', holder: 1, held: [{ run, state: 'MASTER', version: 0 }], voided: [] });
  directory.step({ type: 'rebuilt' });
  expect(directory.step(acquire(1))).toMatchObject([{ type: 'grant', state: 'MODIFIED', version: 1 }]);
});

test('what is written after a reader died is later than what it read', () => {
  const directory = new Directory({ home: false });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 4, creator: 0, durable: true });
  for (const holder of [1, 2]) directory.step({ type: 'join', holder });
  directory.step(acquire(1));
  const read = { type: 'acquire', holder: 2, run, mode: 'READ', neededPages: 1, alone: true } as const;
  expect(directory.step(read)).toMatchObject([{ type: 'recall', holder: 1, version: 1 }]);
  // It had the page, and stored it as final; its RECEIVED is under way.
  directory.step({ type: 'leave', holder: 2 });
  // Said twice, since the owner did not answer the recall: it may not know yet that it is one.
  const granted = { type: 'grant', holder: 1, version: 2 };
  expect(directory.step(acquire(1))).toMatchObject([{ ...granted, restore: true }, granted]);
});

test('what a later leader lets be written is later in the store, whatever its version', () => {
  const inOrder = [
    storedVersionOf(3n, 7, 'MODIFIED'),
    storedVersionOf(3n, 7, 'SLAVE'),
    storedVersionOf(3n, 8, 'EXCLUSIVE'),
    storedVersionOf(4n, 1, 'SHARED'),
  ];
  expect([...inOrder].sort((a, b) => Number(a - b))).toEqual(inOrder);
  expect(inOrder.map(versionOfStored)).toEqual([7, 7, 8, 1]);
  expect(() => storedVersionOf(1n << 24n, 1, 'SHARED')).toThrow('epoch');
});
