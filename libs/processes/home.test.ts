// Whatever is lost, doubled or late, whoever starts anew or dies: each child is waited for once, with what it ended with, each
// wait ends, and nothing is left. And each fault in the machine is found.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONG } from '../../test/long.ts';
import { Home } from './home.ts';
import { HOME_MUTANTS } from './mutants.ts';
import { type MakeHome, PIDS, type Step, World } from './world.ts';

const small = fc.nat({ max: 40 });
const weighted = (...ops: [number, Step['op']][]) =>
  fc.oneof(...ops.map(([weight, op]) => ({ weight, arbitrary: fc.constant(op) })));
const ops = weighted(
  [8, 'spawn'],
  [5, 'end'],
  [5, 'wait'],
  [8, 'tell'],
  [3, 'hold'],
  [16, 'deliver'],
  [3, 'restart'],
  [1, 'tear'],
  [1, 'die'],
  [1, 'cut'],
);
const calm = weighted(
  [8, 'spawn'],
  [5, 'end'],
  [5, 'wait'],
  [8, 'tell'],
  [3, 'hold'],
  [12, 'deliver'],
  [5, 'restart'],
);
const steps = (of: fc.Arbitrary<Step['op']>) =>
  fc.array(fc.record({ op: of, a: small, b: small, luck: fc.nat({ max: 6 }) }), {
    minLength: 10,
    maxLength: 160,
    size: 'max',
  });

function check(
  of: fc.Arbitrary<Step['op']>,
  { runs, seed, make }: { runs: number; seed?: number; make?: MakeHome },
): void {
  fc.assert(
    fc.property(steps(of), (todo) => {
      const world = new World(3, make);
      for (const step of todo) world.step(step);
      world.settle();
    }),
    { numRuns: runs, ...(seed !== undefined && { seed }), endOnFailure: make !== undefined },
  );
}

describe('homes of three nodes', () => {
  test('that start anew', () => check(calm, { runs: LONG ? 20_000 : 400 }));
  test('that die, are cut off, or lose their records', () => check(ops, { runs: LONG ? 20_000 : 400 }));
});

test.each(HOME_MUTANTS)('found: %s', (_, make) => {
  expect(() => {
    check(calm, { runs: 300, seed: 20_060_902, make });
    check(ops, { runs: 300, seed: 20_060_902, make });
  }).toThrow();
});

test('a group is orphaned where nobody of its session would let it go on', () => {
  const home = new Home({ node: 1, nodeOf: (pid) => Number(pid / PIDS) });
  const [shell, job, child, elsewhere] = [PIDS + 1n, PIDS + 2n, PIDS + 3n, PIDS + 4n];
  home.begin(shell);
  expect(home.isOrphaned(shell)).toBe(true);
  const session = shell;
  home.begin(job, { parent: shell, group: job, session });
  home.begin(child, { parent: job, group: job, session });
  expect(home.isOrphaned(job)).toBe(false);
  expect(home.isOrphaned(shell)).toBe(true);
  home.begin(elsewhere, { parent: 2n * PIDS + 1n, token: 9n, group: elsewhere, session });
  expect(home.isOrphaned(elsewhere)).toBe(false);
  home.end(shell, { code: 0, signal: '', reason: '' });
  expect(home.isOrphaned(job)).toBe(true);
});

test('what a child is told of before the answer to its spawn does not answer that', () => {
  const home = new Home({ node: 1, nodeOf: (pid) => Number(pid / PIDS) });
  const parent = PIDS + 1n;
  home.begin(parent);
  home.spawning(parent, 7n, 2, 0n);
  const held = { kind: 'held', token: 7n, child: 2n * PIDS, hold: { turn: 1, signal: 'SIGSTOP' } } as const;
  expect(home.receive(2, [held]).reply.taken).toEqual([]);
  home.spawned(7n, 2n * PIDS);
  expect(home.receive(2, [held]).reply.taken).toEqual([held]);
});
