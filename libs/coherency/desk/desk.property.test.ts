// Nodes of another cluster that lock, wait and wake by the desk of home, in every order, with letters that are lost, late, doubled and out
// of turn, a line that is cut, and processes, nodes and gateways that die: never do two believe that they hold a range alone, nobody sleeps
// who was to be woken, and everybody is answered.
import { expect, test } from 'vitest';
import { FarDesk } from './far-desk.ts';
import { HomeDesk } from './home-desk.ts';
import { type Chance, DeskWorld, type Making } from './testdata/desk-world.ts';

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

const STEPS = 300;
const MUTANT_SEEDS = 300;
const SEEDS = Number(process.env['SEEDS'] ?? 100);
const ALL = { line: true, nodes: true, gateway: true };

function run(seed: number, make: Making): DeskWorld {
  const world = new DeskWorld(chanceOf(seed), make);
  try {
    for (let i = 0; i < STEPS; i++) world.step();
    world.settle();
  } catch (error) {
    throw new Error(`seed=${seed}: ${(error as Error).message}`, { cause: error });
  }
  return world;
}

test.each<[string, Making['faults']]>([
  ['where nothing fails', {}],
  ['where the line fails', { line: true }],
  ['where nodes and gateways die, too', ALL],
])('%s', { timeout: 300_000 }, (_, faults) => {
  const sum = { home: 0, far: 0, wakes: 0, lost: 0, deadlocks: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { locks, wakes, lost, deadlocks } = run(seed, { faults });
    sum.home += locks.home;
    sum.far += locks.far;
    sum.wakes += wakes;
    sum.lost += lost;
    sum.deadlocks += deadlocks;
  }
  console.log(JSON.stringify({ seeds: SEEDS, ...sum }));
  for (const locks of [sum.home, sum.far]) expect(locks).toBeGreaterThan(5 * SEEDS);
  expect(sum.wakes).toBeGreaterThan(SEEDS);
  if (!faults?.line) expect(sum.lost).toBe(0);
  else expect(sum.lost).toBeGreaterThan(0);
});

/** Believes that it holds for as long as home does, and some more. */
class Trusting<Ask, Answer> extends FarDesk<Ask, Answer> {
  override heard(...[message, nowMs]: Parameters<FarDesk<Ask, Answer>['heard']>) {
    return super.heard({ ...message, leaseMs: message.leaseMs * 2 }, nowMs);
  }
}

/** Reckons its lease from when it heard of it. */
class Late<Ask, Answer> extends FarDesk<Ask, Answer> {
  override heard(...[message, nowMs]: Parameters<FarDesk<Ask, Answer>['heard']>) {
    const sentMs = message.sentMs > 0 ? nowMs : 0;
    return super.heard({ ...message, sentMs }, nowMs);
  }
}

/** Takes a session for one that goes on, whatever its number. */
class Forgetful extends HomeDesk {
  override heard(...[from, message, about]: Parameters<HomeDesk['heard']>) {
    return super.heard(from, { ...message, session: 1n }, about).map((action) => {
      if (action.type !== 'send') return action;
      return { ...action, message: { ...action.message, session: message.session } };
    });
  }
}

/** Grants for less than it told. */
class Impatient extends HomeDesk {
  override heard(...[from, message, about]: Parameters<HomeDesk['heard']>) {
    return super.heard(from, message, { ...about, leftMs: about.leftMs / 3 }).map((action) => {
      if (action.type !== 'send') return action;
      return { ...action, message: { ...action.message, leaseMs: action.message.leaseMs * 3 } };
    });
  }
}

/** Says nothing again. */
class Once<Ask, Answer> extends FarDesk<Ask, Answer> {
  override tick(...[nowMs]: Parameters<FarDesk<Ask, Answer>['tick']>) {
    return super.tick(nowMs).filter((action) => action.type !== 'send' || action.message.asks.length === 0);
  }
}

test.each<[string, Making]>([
  ['believes what home no longer does', { far: (session) => new Trusting(session), faults: ALL }],
  ['reckons its lease from when it heard', { far: (session) => new Late(session), faults: ALL }],
  ['takes a new session for the one before', { home: (options) => new Forgetful(options), faults: ALL }],
  ['believes a node for less than it told', { home: (options) => new Impatient(options), faults: ALL }],
  ['says nothing again', { far: (session) => new Once(session), faults: ALL }],
])('one that %s is found', { timeout: 120_000 }, (_, make) => {
  expect(() => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed++) run(seed, make);
  }).toThrow(/^seed=/);
});
