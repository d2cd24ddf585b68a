// The tree against a plain list, large enough for several levels, offsets beyond what a number holds included.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Interval, IntervalTree } from './interval-tree.ts';

const offset = fc.oneof(
  fc.bigInt({ min: -300n, max: 300n }),
  fc.bigInt({ min: (1n << 62n) - 40n, max: (1n << 62n) + 40n }),
  fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
);
const step = fc.record({ begin: offset, bytes: fc.bigInt({ min: 0n, max: 30n }), removes: fc.nat(3) });

const overlaps = (a: Interval, begin: bigint, end: bigint) => a.begin <= end && a.end >= begin;
const inOrder = (a: Interval, b: Interval) =>
  a.begin === b.begin ? a.order - b.order : a.begin < b.begin ? -1 : 1;

test('finds what a plain list finds', () => {
  const property = fc.property(fc.array(step, { minLength: 100, maxLength: 1000, size: 'max' }), (steps) => {
    const tree = new IntervalTree<Interval>();
    const list: Interval[] = [];
    steps.forEach(({ begin, bytes, removes }, order) => {
      const item = { begin, end: begin + bytes, order };
      tree.add(item);
      list.push(item);
      // More is taken out toward the end.
      const count = removes === 0 || order > steps.length * 0.8 ? 2 : 0;
      for (let i = 0; i < count && list.length > 1; i++) {
        const [gone] = list.splice(Number(BigInt.asUintN(16, begin * 31n)) % list.length, 1);
        tree.delete(gone!);
      }
      if (order % 10 !== 0) return;
      const found = list.filter((i) => overlaps(i, begin, begin + 40n)).sort(inOrder);
      expect(tree.overlapping(begin, begin + 40n)).toEqual(found);
      const latest = found.filter((i) => i.order < order - 5 && i.order % 3 !== 0);
      const wanted = latest.reduce<Interval | undefined>(
        (a, b) => (a && a.order > b.order ? a : b),
        undefined,
      );
      expect(tree.latest(begin, begin + 40n, order - 5, (i) => i.order % 3 !== 0)).toBe(wanted);
    });
    expect(tree.size).toBe(list.length);
    expect([...tree]).toEqual(list.sort(inOrder));
  });
  fc.assert(property, { numRuns: 15 });
});
