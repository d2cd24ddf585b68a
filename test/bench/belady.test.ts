import { expect, test } from 'vitest';
import { leastRefaults, lruRefaults } from './belady.ts';

test('as worked out by hand, and as by trying every choice', () => {
  // The classic one: 12 uses, 3 frames, 7 faults, of which 5 are of pages that were never there.
  expect(leastRefaults([1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], 3)).toBe(2);
  expect(leastRefaults([1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], 5)).toBe(0);
  // As this one, 10 faults by LRU.
  expect(lruRefaults([1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], 3)).toBe(5);
  expect(lruRefaults([1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5], 5)).toBe(0);
  expect(leastRefaults([1, 2, 1, 2], 1)).toBe(2);
  expect(leastRefaults([1, 2, 1, 2], 1, (page) => page === 2)).toBe(1);
  let state = 7;
  const chance = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
  for (let round = 0; round < 200; round++) {
    const uses = Array.from({ length: 9 }, () => chance(5));
    const frames = 1 + chance(3);
    expect(leastRefaults(uses, frames)).toBe(byTrying(uses, frames, new Set(), new Set()));
  }
});

function byTrying(
  [page, ...rest]: readonly number[],
  frames: number,
  resident: ReadonlySet<number>,
  before: ReadonlySet<number>,
): number {
  if (page === undefined) return 0;
  if (resident.has(page)) return byTrying(rest, frames, resident, before);
  const seen = new Set(before).add(page);
  const cost = before.has(page) ? 1 : 0;
  if (resident.size < frames) return cost + byTrying(rest, frames, new Set(resident).add(page), seen);
  return (
    cost +
    Math.min(
      ...[...resident].map((gone) => {
        const left = new Set(resident).add(page);
        left.delete(gone);
        return byTrying(rest, frames, left, seen);
      }),
    )
  );
}
