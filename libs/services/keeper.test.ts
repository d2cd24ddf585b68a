// Whatever is lost, late, cut off, killed or dead: no instance runs twice, and in the end each that is wanted runs once. And each fault
// in the machine is found.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONG } from '../../test/long.ts';
import { KEEPER_MUTANTS } from './mutants.ts';
import { type MakeKeeper, type Step, World } from './world.ts';

const weighted = (...ops: [number, Step['op']][]) =>
  fc.oneof(...ops.map(([weight, op]) => ({ weight, arbitrary: fc.constant(op) })));
const ops = weighted(
  ...([
    [30, 'pass'],
    [4, 'cut'],
    [4, 'mend'],
    [3, 'kill'],
    [1, 'die'],
    [3, 'revive'],
  ] as [number, Step['op']][]),
  ...([
    [3, 'crash'],
    [2, 'sick'],
    [4, 'apply'],
    [1, 'bad'],
    [2, 'scale'],
    [1, 'remove'],
  ] as [number, Step['op']][]),
);
const small = fc.nat({ max: 47 });

function check({
  runs,
  seed,
  path,
  make,
}: {
  runs: number;
  seed?: number;
  path?: string;
  make?: MakeKeeper;
}): void {
  const steps = fc.array(fc.record({ op: ops, a: small, b: small }), {
    ...{ minLength: 20, maxLength: 120, size: 'max' },
  });
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.nat({ max: 11 })), (todo, chance) => {
      const world = new World(3, () => chance.next().value, make);
      for (const step of todo) world.step(step);
      world.settle();
    }),
    {
      numRuns: runs,
      ...(seed !== undefined && { seed }),
      ...(path !== undefined && { path }),
      endOnFailure: make !== undefined || !LONG,
    },
  );
}

describe('keepers of three nodes', () => {
  test(
    'run each instance once at most, and in the end once',
    () => check({ runs: LONG ? 5_000 : 60 }),
    600_000,
  );
});

test.each(KEEPER_MUTANTS)('found: %s', (name, make) => {
  // By which it is found soon.
  const where = name.includes('epoch') ? { seed: 20_060_902, path: '165' } : { seed: 9 };
  expect(() => check({ runs: 1_000, ...where, make })).toThrow();
});
