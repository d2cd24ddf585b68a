// Runs of pages against a plain map of pages.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endOf, type RunEntry, RunMap } from './run-map.ts';

class Painted implements RunEntry<Painted> {
  firstPage: number;
  pageCount: number;
  colour: number;

  constructor(firstPage: number, pageCount: number, colour: number) {
    this.firstPage = firstPage;
    this.pageCount = pageCount;
    this.colour = colour;
  }

  copy(firstPage: number, pageCount: number): Painted {
    return new Painted(firstPage, pageCount, this.colour);
  }

  isLike({ colour }: Painted): boolean {
    return colour === this.colour;
  }
}

const PAGES = 3_000;
const span = fc
  .tuple(fc.nat(PAGES - 1), fc.integer({ min: 1, max: 40 }))
  .map(([firstPage, count]) => ({ firstPage, pageCount: Math.min(count, PAGES - firstPage) }));
const change = fc.record({ what: fc.constantFrom('paint', 'take', 'join'), span, colour: fc.nat(2) });

test('what is painted, cut, taken and joined is as in a plain map, and entries that are alike are one', () => {
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 400 }), (changes) => {
      const cuts: [Painted, Painted][] = [];
      const map = new RunMap<Painted>((from, to) => cuts.push([from, to]));
      const plain = new Map<number, number>();
      for (const { what, span, colour } of changes) {
        const { firstPage, pageCount } = span;
        if (what === 'paint') {
          for (const piece of map.pieces(firstPage, pageCount)) {
            const make = (first: number, count: number) => new Painted(first, count, colour);
            map.cut(piece.firstPage, piece.pageCount, make).colour = colour;
          }
          for (let i = 0; i < pageCount; i++) plain.set(firstPage + i, colour);
        } else if (what === 'take') {
          for (const taken of map.take(firstPage, pageCount))
            for (let page = taken.firstPage; page < endOf(taken); page++) {
              expect(plain.get(page)).toBe(taken.colour);
              plain.delete(page);
            }
        } else map.join(firstPage, pageCount);
      }
      for (let page = 0; page < PAGES; page++) expect(map.get(page)?.colour).toBe(plain.get(page));
      for (const [from, to] of cuts) expect(to).not.toBe(from);
      map.joinAll();
      let last: Painted | undefined;
      let entries = 0;
      for (const entry of map) {
        entries++;
        expect(entry.pageCount).toBeGreaterThan(0);
        if (last !== undefined) {
          expect(entry.firstPage).toBeGreaterThanOrEqual(endOf(last));
          if (entry.firstPage === endOf(last)) expect(entry.colour).not.toBe(last.colour);
        }
        for (let page = entry.firstPage; page < endOf(entry); page++)
          expect(plain.get(page)).toBe(entry.colour);
        last = entry;
      }
      expect(map.size).toBe(entries);
      const pieces = map.pieces(0, PAGES);
      expect(pieces.reduce((sum, { pageCount }) => sum + pageCount, 0)).toBe(PAGES);
    }),
    { numRuns: 60 },
  );
});

test('100,000 runs are found, and joined to one', () => {
  const map = new RunMap<Painted>();
  for (let page = 99_999; page >= 0; page--) map.put(new Painted(page, 1, page % 2));
  expect(map.get(51_234)).toMatchObject({ firstPage: 51_234, colour: 0 });
  expect(map.pieces(10, 5)).toHaveLength(5);
  for (const entry of map) entry.colour = 7;
  map.join(10, 5);
  expect(map.get(12)).toMatchObject({ firstPage: 9, pageCount: 7 });
  map.joinAll();
  expect(map.size).toBe(1);
  expect(map.get(99_999)).toMatchObject({ firstPage: 0, pageCount: 100_000 });
});
