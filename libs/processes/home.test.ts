// Whatever is lost, doubled or late, whoever starts anew or dies: each child is waited for once, with what it ended with, each
// wait ends, and nothing is left. And each fault in the machine is found.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONG } from '../../test/long.ts';
import { HOME_MUTANTS } from './mutants.ts';
import { type MakeHome, type Step, World } from './world.ts';

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
