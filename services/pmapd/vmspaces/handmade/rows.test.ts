// Tables of rows against a plain map: whatever is taken and given back, in whatever order, and whoever copies it meanwhile.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdIndex } from './id-index.ts';
import { CHUNK_ROWS, Rows } from './rows.ts';

class Pairs extends Rows {
  readonly large = this.column('f64');
  readonly small = this.column('u32');
}

const asMap = (rows: Pairs): Map<number, [number, number]> =>
  new Map([...rows.all()].map((row) => [row, [rows.large.get(row), rows.small.get(row)]]));

const op = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), count: fc.oneof(fc.nat(3), fc.nat(CHUNK_ROWS + 100)) }),
  fc.record({
    kind: fc.constant('give' as const),
    each: fc.integer({ min: 1, max: 5 }),
    seed: fc.nat(1_000),
  }),
  fc.record({ kind: fc.constant('change' as const), each: fc.integer({ min: 1, max: 500 }) }),
  fc.record({ kind: fc.constant('copy' as const), chunks: fc.nat(3) }),
);

test('what is in it is in a copy, also where it changed while that was made', () => {
  fc.assert(
    fc.property(fc.array(op, { maxLength: 24, size: 'max' }), (ops) => {
      const rows = new Pairs();
      const model = new Map<number, [number, number]>();
      const copy = new Pairs();
      let value = 0;
      const write = (row: number) => {
        value++;
        rows.large.set(row, value * 2 ** 33);
        rows.small.set(row, value);
        model.set(row, [value * 2 ** 33, value]);
      };
      rows.follow();
      for (const each of ops) {
        if (each.kind === 'take')
          for (let i = 0; i < each.count; i++) {
            const row = rows.take();
            expect(model.has(row)).toBe(false);
            write(row);
          }
        if (each.kind === 'give')
          for (const row of [...model.keys()].filter((_, i) => (i + each.seed) % each.each === 0)) {
            rows.give(row);
            model.delete(row);
          }
        if (each.kind === 'change')
          for (const row of [...model.keys()].filter((_, i) => i % each.each === 0)) write(row);
        for (let i = 0; each.kind === 'copy' && i < each.chunks; i++) {
          const chunk = rows.takeChanged();
          if (chunk !== undefined) copy.adopt(chunk.at, chunk.bytes);
        }
        expect(rows.size).toBe(model.size);
      }
      expect(asMap(rows)).toEqual(model);
      for (let chunk = rows.takeChanged(); chunk !== undefined; chunk = rows.takeChanged())
        copy.adopt(chunk.at, chunk.bytes);
      expect(asMap(copy)).toEqual(model);
      expect(copy.size).toBe(model.size);
      // It goes on: rows that it takes are nobody's.
      for (let i = 0; i < 10; i++) expect(model.has(copy.take())).toBe(false);
    }),
    { numRuns: Number(process.env.RUNS ?? 40) },
  );
});

test('rows are taken where numbers are lowest, and what nobody has takes no memory', () => {
  const rows = new Pairs();
  const all = Array.from({ length: 3 * CHUNK_ROWS }, () => rows.take());
  expect(all).toEqual([...all.keys()]);
  for (const row of all) if (row >= CHUNK_ROWS) rows.give(row);
  expect(rows.large.chunks.filter((chunk) => chunk !== undefined)).toHaveLength(1);
  rows.give(7);
  expect([rows.take(), rows.take()]).toEqual([7, CHUNK_ROWS]);
  expect(() => rows.give(3 * CHUNK_ROWS)).toThrow('given back twice');
});

test('ids come in order, wherever their rows are', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(5_000), { maxLength: 200 }), fc.nat(5_000), (ids, from) => {
      const index = new IdIndex();
      for (const [row, id] of ids.entries()) index.add(id, row);
      for (const id of ids.filter((each) => each % 3 === 0)) index.delete(id);
      const left = ids.filter((each) => each % 3 !== 0).sort((a, b) => a - b);
      expect([...index.from(from)]).toEqual(
        left.filter((id) => id >= from).map((id) => [id, ids.indexOf(id)]),
      );
      for (const id of ids) expect(index.get(id)).toBe(id % 3 === 0 ? undefined : ids.indexOf(id));
    }),
    { numRuns: 50 },
  );
});
