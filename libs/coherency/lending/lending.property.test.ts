// A lender and a borrower in every order of reads, writes, lost lines, silent lines, cut nodes and dead gateways: nobody reads what was
// written over, everybody who waits is served, and no writer waits for longer than the leases allow.
import { expect, test } from 'vitest';
import { PageBorrower } from './borrower.ts';
import { Lender, PATIENCE_MS } from './lender.ts';
import { type Chance, HOME_LEASE_MS, NODE_LEASE_MS, TwoClusters } from './testdata/two-clusters.ts';

/** mulberry32 */
function chanceOf(seed: number): Chance {
  let state = seed;
  return (most) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % most;
  };
}

const STEPS = 400;
/** The first that finds it is the last. */
const MUTANT_SEEDS = 1_000;
const SEEDS = Number(process.env['SEEDS'] ?? 40);

function run(seed: number, make?: ConstructorParameters<typeof TwoClusters>[1]): TwoClusters {
  const clusters = new TwoClusters(chanceOf(seed), make);
  for (let i = 0; i < STEPS; i++) clusters.step();
  clusters.settle();
  return clusters;
}

test.each([
  ['', false, 1],
  [', where the gateway at home dies, too', true, 2],
])('a page is read as it was written last%s', { timeout: 60_000 }, (_, lenderMayDie, leases) => {
  let reads = 0;
  let writes = 0;
  let waitedMs = 0;
  for (let seed = 1; seed <= SEEDS; seed++)
    try {
      const clusters = run(seed, { lenderMayDie });
      reads += clusters.reads;
      writes += clusters.writes;
      waitedMs = Math.max(waitedMs, clusters.waitedMs);
    } catch (error) {
      throw new Error(`seed=${seed}: ${(error as Error).message}`, { cause: error });
    }
  console.log(`${reads} reads, ${writes} writes; a writer waited ${waitedMs} ms at most`);
  expect(reads).toBeGreaterThan(1_000);
  expect(writes).toBeGreaterThan(1_000);
  // Of the other cluster; and where its own gateway dies just before that is over, of this one.
  expect(waitedMs).toBeLessThanOrEqual(leases * HOME_LEASE_MS + PATIENCE_MS + 100);
});

/** Says that a page is back before it asked its own directory for it. */
class Hasty extends PageBorrower {
  override step(...[event, nowMs]: Parameters<PageBorrower['step']>): ReturnType<PageBorrower['step']> {
    const actions = super.step(event, nowMs);
    if (event.type !== 'revoked' || actions.some(({ type }) => type === 'return')) return actions;
    return [...actions, { type: 'return', run: event.run, lending: event.lending }];
  }
}

/** Believes a lease for half as long as it told. */
class Impatient extends Lender<number> {
  override step(...[event, nowMs]: Parameters<Lender<number>['step']>): ReturnType<Lender<number>['step']> {
    return super
      .step(event.type === 'renew' ? { ...event, homeLeaseMs: event.homeLeaseMs / 2 } : event, nowMs)
      .map((action) => (action.type === 'renewed' ? { ...action, leaseMs: action.leaseMs * 2 } : action));
  }
}

/** Takes an answer of before for one of now. */
class Forgetful extends Lender<number> {
  override step(...[event, nowMs]: Parameters<Lender<number>['step']>): ReturnType<Lender<number>['step']> {
    const lending = Number.POSITIVE_INFINITY;
    return super.step(event.type === 'returned' ? { ...event, lending } : event, nowMs);
  }
}

test.each([
  ['takes an answer of before for one of now', { lender: () => new Forgetful(Number.MAX_SAFE_INTEGER) }],
  ['returns before nodes have given it back', { borrower: () => new Hasty(NODE_LEASE_MS) }],
  ['takes back when its lease ends, and not before', { borrower: () => new PageBorrower(-300) }],
  ['waits for less than the lease that it told', { lender: () => new Impatient(Number.MAX_SAFE_INTEGER) }],
])('one that %s is found', { timeout: 60_000 }, (_, make) => {
  const found = (): void => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed++) run(seed, { ...make, lenderMayDie: false });
  };
  expect(found).toThrow(/reads page|nodes have it/);
});
