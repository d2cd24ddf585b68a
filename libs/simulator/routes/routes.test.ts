// A hundred routers in random graphs: after churn, cuts and lost advertisements everybody reaches everybody by the shortest
// way again, within a bound of rounds and messages. And each fault in the machine is found.

import { describe, expect, test } from 'vitest';
import { LONG } from '../../../test/long.ts';
import { settle } from './check-routes.ts';
import { ROUTE_MUTANTS } from './mutants.ts';
import { type GraphOptions, RouterGraph } from './router-graph.ts';

const SEED = 20_060_902;

/** Churn, a cut, churn on both sides of it; then it must settle. */
function episode(options: GraphOptions, rounds = 60) {
  const graph = new RouterGraph(options);
  for (let i = 0; i < rounds; i++) {
    if (i === rounds / 3) graph.cut();
    graph.step(2);
  }
  try {
    return { ...settle(graph), graph };
  } catch (error) {
    throw new Error(`seed=${options.seed}: ${(error as Error).message}`, { cause: error });
  }
}

describe('a hundred routers', () => {
  for (let i = 0; i < (LONG ? 40 : 1); i++) {
    const options = { seed: SEED + i, routers: 100, links: 3 + (i % 3), lostOneIn: 12 };
    test(`settle after churn, a cut and losses (seed=${options.seed}, ${options.links} links each)`, () => {
      const { rounds, messages, targets } = episode(options);
      console.log(`${rounds} rounds, ${messages} messages, ${targets} targets`);
    });
  }

  test('at rest say nothing but that they are there', () => {
    const graph = new RouterGraph({ seed: SEED, routers: 100, links: 3, lostOneIn: 0 });
    settle(graph);
    graph.sent = { routes: 0, targets: 0, alive: 0 };
    for (let i = 0; i < 100; i++) graph.step();
    expect(graph.sent).toEqual({ routes: 0, targets: 0, alive: graph.edges.length * 2 * 10 });
  });
});

const SMALL = { routers: 24, links: 3, lostOneIn: 8 };

test('the routes pass the seeds of the mutants', () => {
  for (let i = 0; i < 8; i++) episode({ ...SMALL, seed: SEED + i }, 90);
});

test.each(ROUTE_MUTANTS)('found: %s', (_, make) => {
  expect(() => {
    for (let i = 0; i < 8; i++) episode({ ...SMALL, seed: SEED + i, make }, 90);
  }).toThrow();
});
