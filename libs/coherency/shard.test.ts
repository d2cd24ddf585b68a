import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BLOCK_PAGES, DEFAULT_SHARDS, runsOfShard, shardOf, splitByShard } from './shard.ts';
import { planShards } from './shard-plan.ts';

const shardCount = fc.integer({ min: 1, max: 130 });

test('every page is of one shard, however a run is cut', () => {
  const run = fc.record({
    dataspace: fc.bigInt({ min: 1n, max: 1n << 60n }),
    firstPage: fc.nat(1 << 20),
    pageCount: fc.integer({ min: 1, max: 5 * BLOCK_PAGES }),
  });
  fc.assert(
    fc.property(run, shardCount, (all, shards) => {
      const parts = splitByShard(all, shards);
      let next = all.firstPage;
      for (const { shard, run: part } of parts) {
        expect(part.firstPage).toBe(next);
        for (let page = next; page < next + part.pageCount; page += 97) {
          expect(shardOf(all.dataspace, page, shards)).toBe(shard);
        }
        next += part.pageCount;
      }
      expect(next).toBe(all.firstPage + all.pageCount);
    }),
  );
});

test('the shards of a dataspace are all of it, and share it evenly', () => {
  const pageCount = 4_000 * BLOCK_PAGES + 7;
  const counts = Array.from({ length: DEFAULT_SHARDS }, (_, shard) =>
    runsOfShard(shard, DEFAULT_SHARDS, 77n, pageCount).reduce((sum, run) => sum + run.pageCount, 0),
  );
  expect(counts.reduce((sum, count) => sum + count)).toBe(pageCount);
  expect(Math.max(...counts) / (pageCount / DEFAULT_SHARDS)).toBeLessThan(1.7);
});

test('a plan is even, needs no more moves than that takes, and is the same for all who see the same', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const live = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 });
  const leaders = fc.array(fc.option(fc.constantFrom(...names), { nil: undefined }), {
    minLength: 1,
    maxLength: 80,
  });
  fc.assert(
    fc.property(leaders, live, (now, replicas) => {
      const plan = planShards(now, replicas);
      expect(planShards(now, [...replicas].reverse())).toEqual(plan);
      expect(planShards(plan, replicas)).toEqual(plan);
      const loads = replicas.map((replica) => plan.filter((leader) => leader === replica).length);
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1);
      // Nobody that lives gives up a shard unless it has more than its share.
      for (const replica of replicas) {
        const had = now.filter((leader) => leader === replica).length;
        const kept = now.filter((leader, shard) => leader === replica && plan[shard] === replica).length;
        expect(kept).toBeGreaterThanOrEqual(Math.min(had, Math.floor(now.length / replicas.length)));
      }
    }),
  );
});
