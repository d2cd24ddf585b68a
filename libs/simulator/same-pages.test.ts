// Nodes that write the same pages by hand, all of them at one time: none of them waits for many turns of the others. The pages
// are of several shards, so that each node has some of them first.
import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import { Home } from '@odonata/coherency/node/home.ts';
import type { KeptPages, TakingWord } from '@odonata/coherency/node/memory/kept-pages.ts';
import { NodeMemory } from '@odonata/coherency/node/memory/memory.ts';
import { expect, test } from 'vitest';
import type { ProcessMapping } from './parts/mapping.ts';
import type { PageValues } from './parts/page-values.ts';
import { PROFILES } from './profiles.ts';
import type { Machines } from './world/machines.ts';
import { World } from './world/world.ts';

const NODES = 4;
const PAGES = 6;
/** Each turn moves the pages once, by messages of up to 2 ms. */
const TURN_MAX_MS = 25 * NODES;
const RUN_MS = 500;
const SEEDS = [1, 2, 3, 4, 5, 6];

/** @returns the longest time that a node waited for its turn */
function longestTurnMs(seed: number, machines: Partial<Machines> = {}): number {
  const calm = { ...PROFILES.calm, weather: { ...PROFILES.calm.weather, slowOneIn: 0 } };
  const world = new World({ seed, nodes: NODES, pages: PAGES, shards: 2, profile: calm, machines });
  world.quiet = true;
  const run = world.layout.allOf(world.layout.dataspaces[0]!);
  let longestMs = 0;
  for (const node of world.nodes) {
    const next = (): void => {
      const sinceMs = world.nowMs;
      node.memory.writeByHand(run, () => {
        longestMs = Math.max(longestMs, world.nowMs - sinceMs);
        node.after(0.3, next);
      });
    };
    next();
  }
  const endMs = world.nowMs + RUN_MS;
  while (world.nowMs < endMs) world.step();
  return longestMs;
}

class KeepsNothing extends NodeMemory<ProcessMapping, PageValues> {
  protected override makeKept(): KeptPages<ProcessMapping, PageValues> {
    return Object.assign(super.makeKept(), { sift: (word: TakingWord) => [word] });
  }
}

test('each has its turn', () => {
  for (const seed of SEEDS) expect(longestTurnMs(seed), `seed=${seed}`).toBeLessThan(TURN_MAX_MS);
});

test('found: pages are not kept for who needs several', () => {
  const machines: Partial<Machines> = {
    memory(ports, shards) {
      const holder = new ShardedHolder(shards, this.holder);
      return new KeepsNothing(ports, { holder, home: new Home(ports.tables, this.home()) });
    },
  };
  expect(Math.max(...SEEDS.map((seed) => longestTurnMs(seed, machines)))).toBeGreaterThan(TURN_MAX_MS);
});
