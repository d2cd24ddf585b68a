// The policy against a plain model: arrays instead of queues, and all looked through each time.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PageoutPolicy, type PageoutStep } from './pageout.ts';

const INACTIVE_MAX = 24;

interface Page {
  readonly space: bigint;
  readonly page: number;
}

class Model {
  readonly active: Page[] = [];
  readonly inactive: Page[] = [];
  readonly fresh: Page[] = [];
  readonly probation: Page[] = [];
  /** Pages that left, of all spaces. */
  private readonly left: Page[] = [];

  private get lists(): Page[][] {
    return [this.active, this.inactive, this.fresh, this.probation];
  }

  private take(list: Page[], space: bigint, page: number): boolean {
    const at = list.findIndex((each) => each.space === space && each.page === page);
    if (at >= 0) list.splice(at, 1);
    return at >= 0;
  }

  came(space: bigint, page: number): void {
    const isThere = (list: Page[]) => list.some((each) => each.space === space && each.page === page);
    if (isThere(this.active) || isThere(this.fresh)) return;
    const isUsed = this.take(this.inactive, space, page) || this.take(this.probation, space, page);
    const left = this.left.filter((each) => each.space === space);
    const at = left.findLastIndex((each) => each.page === page);
    const lately = Math.max(16, this.of(space));
    const isLate = at >= 0 && left.length - at <= lately;
    const isFresh = !isUsed && left.length > 0 && !isLate;
    (isFresh ? this.fresh : this.active).push({ space, page });
    for (const [i, each] of this.left.entries())
      if (each.space === space && each.page === page) this.left[i] = { space, page: -1 };
  }

  gone(space: bigint, page: number): void {
    for (const list of this.lists) this.take(list, space, page);
  }

  /** Does one step. @throws where the policy may not do it */
  step({ type, space, page }: PageoutStep): void {
    const ways: [Page[], Page[]][] =
      type === 'deactivate'
        ? [
            [this.active, this.inactive],
            [this.fresh, this.probation],
          ]
        : [
            [this.inactive, this.left],
            [this.probation, this.left],
          ];
    // The oldest of its space, of one of them.
    const heads = ways.map(([from]) => from.find((each) => each.space === space));
    expect(heads).toContainEqual({ space, page });
    const [from, to] = ways[heads.findIndex((head) => head?.page === page)]!;
    if (type === 'evict') {
      // Those that came last leave first, as long as they are more than an eighth.
      const fresh = this.ofList(this.fresh, space) + this.ofList(this.probation, space);
      const all = this.of(space);
      expect(from === this.probation).toBe(fresh > all / 8 || fresh === all);
    }
    this.take(from, space, page);
    to.push({ space, page });
  }

  private ofList(list: Page[], space: bigint): number {
    return list.filter((each) => each.space === space).length;
  }

  of(space: bigint): number {
    return this.lists.reduce((sum, list) => sum + this.ofList(list, space), 0);
  }
}

const space = fc.bigInt({ min: 1n, max: 3n });
const page = fc.integer({ min: 0, max: 60 });
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ does: fc.constant('came' as const), space, page }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('gone' as const), space, page }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('age' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('reclaim' as const), want: fc.integer({ min: 0, max: 40 }) }),
  },
);

test('it does what the plain model does: the oldest first, of whoever has the largest overdraft', () => {
  const share = 20;
  let evictions = 0;
  fc.assert(
    fc.property(fc.array(event, { maxLength: 300, size: 'max' }), (events) => {
      const policy = new PageoutPolicy(INACTIVE_MAX);
      const model = new Model();
      for (const each of [1n, 2n, 3n]) policy.open(each);
      for (const each of events) {
        if (each.does === 'came') {
          policy.came(each.space, each.page);
          model.came(each.space, each.page);
        } else if (each.does === 'gone') {
          policy.gone(each.space, each.page);
          model.gone(each.space, each.page);
        } else if (each.does === 'age') {
          for (const step of policy.age((one) => model.of(one) - share)) model.step(step);
        } else {
          const before = [1n, 2n, 3n].map((one) => model.of(one));
          const all = [1n, 2n, 3n].reduce((sum, one) => sum + model.of(one), 0);
          const steps = policy.reclaim(each.want, (one) => model.of(one) - share);
          let evicted = 0;
          for (const step of steps) {
            model.step(step);
            if (step.type === 'evict') evicted++;
          }
          evictions += evicted;
          expect(evicted).toBe(Math.min(each.want, all));
          // Who is within their share gives nothing while another one is far beyond.
          for (const [i, one] of [1n, 2n, 3n].entries())
            if (before[i]! <= share && Math.max(...before) - evicted > share)
              expect(model.of(one)).toBe(before[i]);
        }
        expect([policy.activePages, policy.inactivePages]).toEqual([
          model.active.length + model.fresh.length,
          model.inactive.length + model.probation.length,
        ]);
        expect(policy.inactivePages).toBeLessThanOrEqual(INACTIVE_MAX + 3 * 2 * 16);
      }
    }),
    { numRuns: 200 },
  );
  expect(evictions).toBeGreaterThan(1_000);
});

test('what is used again gets a second chance, and what is not leaves', () => {
  const policy = new PageoutPolicy(1_000);
  policy.open(1n);
  for (let page = 0; page < 100; page++) policy.came(1n, page);
  expect(policy.age(() => 0)).toHaveLength(16);
  for (let page = 0; page < 10; page++) policy.came(1n, page);
  const out = new Set<number>();
  for (let round = 0; round < 20; round++) {
    for (const { type, page } of policy.reclaim(2, () => 0)) if (type === 'evict') out.add(page);
    // Those below 10 are used all the time.
    for (let page = 0; page < 10; page++) if (policy.isInactive(1n, page)) policy.came(1n, page);
  }
  expect(out.size).toBe(40);
  expect([...out].filter((page) => page < 10)).toEqual([]);
});

test('a space that is gone has no pages', () => {
  const policy = new PageoutPolicy(100);
  policy.open(1n);
  policy.came(1n, 7);
  policy.close(1n);
  policy.came(1n, 8);
  expect([policy.activePages, policy.pagesOf(1n), policy.reclaim(1, () => 0)]).toEqual([0, 0, []]);
});

test('where nobody takes what was there, what came since leaves first', () => {
  const leaving = (freshFirst: boolean): number[] => {
    const policy = new PageoutPolicy(INACTIVE_MAX);
    policy.open(1n);
    for (let page = 0; page < 100; page++) policy.came(1n, page);
    policy.reclaim(1, () => 0);
    for (let page = 1_000; page < 1_006; page++) policy.came(1n, page);
    const steps = policy.reclaim(8, () => 0, freshFirst);
    return steps.filter(({ type }) => type === 'evict').map(({ page }) => page);
  };
  expect(leaving(true).slice(0, 6)).toEqual([1_000, 1_001, 1_002, 1_003, 1_004, 1_005]);
  expect(leaving(true)).toHaveLength(8);
  expect(leaving(false).every((page) => page < 100)).toBe(true);
});
