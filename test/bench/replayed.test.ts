import { expect, test } from 'vitest';
import { leastRefaults } from './belady.ts';
import { replay } from './replayed.ts';

const PAGES = 2_048;
const FRAMES = PAGES / 4;
const USES = 5_000;
const each = Array.from({ length: PAGES }, (_, page) => page);

/** All pages begin, are used in some way, and are looked at once more; as test/guests/paging.c does. */
function besideLeast(next: (i: number, chance: (below: number) => number) => number): number {
  let state = 1;
  const chance = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
  const uses = [...each, ...Array.from({ length: USES }, (_, i) => next(i, chance) % PAGES), ...each];
  return replay(uses, FRAMES).refaults / leastRefaults(uses, FRAMES);
}

test('what is used again and again stays while a scan goes through more than there is', () => {
  const mix = besideLeast((i, chance) => (chance(4) === 0 ? Math.floor(i / 4) : chance(PAGES / 10)));
  expect(mix).toBeLessThan(1.5);
});

test('a scan and a loop through more than there is find a part of it there', () => {
  expect(besideLeast((i) => i)).toBeLessThan(1.25);
  expect(besideLeast((i) => i % ((PAGES * 5) / 8))).toBeLessThan(1.25);
});

test('who uses pages by chance, or others every time, is served as well as by the oldest first', () => {
  expect(besideLeast((_, chance) => chance(PAGES))).toBeLessThan(1.75);
  const phase = PAGES / 8;
  expect(besideLeast((i, chance) => Math.floor(i / 500) * phase + chance(phase))).toBeLessThan(1.5);
});

test('who goes on with other pages than those that came first has them all, where they have room', () => {
  for (const part of [0.5, 0.7, 0.85])
    expect(besideLeast((i) => PAGES / 2 + (i % (FRAMES * part)))).toBeLessThan(2);
});
