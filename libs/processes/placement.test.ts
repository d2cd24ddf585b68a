import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Candidate, choosePlace } from './placement.ts';

const GIB = 2 ** 30;
const node = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  ...{ node: name, processes: 0, cores: 2, freeBytes: 4 * GIB },
  ...more,
});
const chosen = (all: Candidate[], memoryBytes = 0) => choosePlace(all, memoryBytes)?.node;

test('the fewest processes a core, then the most free memory, then the first', () => {
  expect(chosen([node('a', { processes: 3 }), node('b', { processes: 4, cores: 8 })])).toBe('b');
  expect(chosen([node('a'), node('b', { freeBytes: 5 * GIB })])).toBe('a');
  expect(chosen([node('a'), node('b', { freeBytes: 8 * GIB })])).toBe('b');
  expect(chosen([node('a', { processes: 1, cores: 0 }), node('b', { processes: 1, cores: 1 })])).toBe('a');
});

test('memory that it needs comes first, but not where nobody has it', () => {
  const small = node('a', { freeBytes: GIB });
  expect(chosen([small, node('b', { processes: 9 })], 2 * GIB)).toBe('b');
  expect(chosen([small, node('b', { processes: 9, freeBytes: 0 })], 2 * GIB)).toBe('a');
});

test('near its dataspace, also where more runs; spread among its kin; apart whatever else is', () => {
  expect(chosen([node('a', { pages: 3 }), node('b', { pages: 4, processes: 5 })])).toBe('b');
  expect(chosen([node('a', { kin: 1 }), node('b', { kin: 0, processes: 5 })])).toBe('b');
  expect(chosen([node('a', { isShunned: true, pages: 9 }), node('b', { processes: 5 })])).toBe('b');
  expect(chosen([node('a', { isShunned: true })])).toBeUndefined();
});

test('what is chosen is one of them, never one to be apart from, and no order of the list changes how good it is', () => {
  const candidate = fc.record({
    node: fc.string(),
    processes: fc.nat(9),
    cores: fc.nat(4),
    freeBytes: fc.nat(2 ** 31 - 1),
    pages: fc.nat(3),
    kin: fc.nat(3),
    isShunned: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(candidate), fc.nat(2 ** 31 - 1), (all, bytes) => {
      const place = choosePlace(all, bytes);
      expect(place === undefined).toBe(all.every(({ isShunned }) => isShunned));
      if (place === undefined) return;
      expect(all).toContain(place);
      expect(place.isShunned).toBe(false);
      const other = choosePlace(all.toReversed(), bytes)!;
      expect([other.pages, other.kin]).toEqual([place.pages, place.kin]);
      expect(other.processes / Math.max(other.cores, 1)).toBe(place.processes / Math.max(place.cores, 1));
    }),
  );
});
