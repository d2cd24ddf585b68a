import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { KernelRequest } from '../kernel-call.ts';
import { SnapshotCell } from './snapshot-cell.ts';
import { HELD_MS, SnapshotPoint } from './snapshot-point.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const GLOBALS = [{ index: 3, type: 'i32' as const }];
const READ: KernelRequest = { call: 'stdin_read', maxBytes: 1, nonblock: false };
const STREAM = 1;
const FILE = 2;
const FOLDER = 3;

function setup({ numbers = [STREAM, STREAM, STREAM, FOLDER], mapped = 0 } = {}) {
  const cell = new SnapshotCell(1);
  const value = new WebAssembly.Global({ value: 'i32', mutable: true }, -5);
  const note = cell.noter({ odonata_global_3: value } as unknown as WebAssembly.Exports, GLOBALS, 4);
  // As it is called anew where it goes on in another thread.
  cell.noter({ odonata_global_3: value } as unknown as WebAssembly.Exports, GLOBALS, undefined);
  expect(cell.began).toBe(4);
  note();
  const point = new SnapshotPoint({
    ...{ cell, globals: GLOBALS, numbers: Uint8Array.from(numbers) },
    ...{ memoryBytes: () => 3 * 65_536, mappedRanges: () => mapped },
  });
  const told: unknown[] = [];
  const listener = { held: (held: unknown) => told.push(held), refused: (why: string) => told.push(why) };
  const answered: string[] = [];
  const answer = (what: string) => point.answer(() => answered.push(what));
  return { cell, point, told, listener, answered, answer };
}

const HELD = { memoryPages: 3, globals: [{ index: 3, bits: 0xffff_fffbn }] };

test('who waits is held at once, and its answer comes when it goes on', () => {
  const { cell, point, told, listener, answered, answer } = setup();
  point.arrives(READ);
  expect(point.ask(listener)).toBeUndefined();
  expect(told).toEqual([HELD]);
  expect(point.ask(listener)).toContain('is being taken already');
  answer('bytes');
  expect(answered).toEqual([]);
  expect(cell.asked).toBe(true);
  expect(point.release()).toBe(true);
  expect(answered).toEqual(['bytes']);
  expect(cell.asked).toBe(false);
  expect(point.release()).toBe(false);
});

test('who computes is held at the next point, not at any call', () => {
  const { point, told, listener, answered, answer } = setup();
  point.arrives(READ);
  answer('first');
  expect(answered).toEqual(['first']);
  point.ask(listener);
  point.arrives({ call: 'pipe' });
  answer('pipe');
  expect([told, answered]).toEqual([[], ['first', 'pipe']]);
  point.arrives({ call: 'snapshot' });
  expect(told).toEqual([HELD]);
  // Nothing comes of its call while it is held: it is let go without.
  expect(point.release()).toBe(true);
  answer('taken');
  expect(answered).toEqual(['first', 'pipe', 'taken']);
});

test('it goes on after a time, whoever asked', () => {
  const { point, told, listener, answered, answer } = setup();
  point.arrives(READ);
  point.ask(listener);
  answer('bytes');
  vi.advanceTimersByTime(HELD_MS + 1);
  expect(told).toEqual([HELD, expect.stringContaining('it went on after 60 s')]);
  expect(answered).toEqual(['bytes']);
  expect(point.release()).toBe(false);
  // And another one may be taken.
  point.arrives(READ);
  expect(point.ask(listener)).toBeUndefined();
});

test.each([
  [{ numbers: [STREAM, STREAM, STREAM, FOLDER, FILE] }, 'it has descriptor 4 open, a file'],
  [{ numbers: [STREAM, STREAM, STREAM, FILE] }, 'it has descriptor 3 open, a file'],
  [{ numbers: [STREAM, STREAM, STREAM, FOLDER, FOLDER] }, 'it has descriptor 4 open, a folder'],
  [{ numbers: [5, STREAM, STREAM] }, 'it has descriptor 0 open, a pipe'],
  [{ mapped: 2 }, 'it has 2 ranges of dataspaces mapped'],
])('%j: it goes on at once', (what, why) => {
  const { point, told, listener, answered, answer } = setup(what);
  point.ask(listener);
  point.arrives(READ);
  expect(told).toEqual([expect.stringContaining(why)]);
  answer('bytes');
  expect(answered).toEqual(['bytes']);
});

test('locks are in the way as long as it has them', () => {
  const { point, told, listener } = setup();
  const lock = { dataspace: 1n, begin: 0n, endInclusive: 7n };
  point.locked(lock);
  point.ask(listener);
  point.arrives(READ);
  expect(told).toEqual([expect.stringContaining('it has 1 lock,')]);
  point.unlocked({ ...lock, endInclusive: 100n });
  point.ask(listener);
  expect(told.at(-1)).toEqual(HELD);
});
