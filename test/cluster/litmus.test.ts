// What a sequentially consistent memory forbids, between processes on two to four nodes, 1,000 rounds each; 10,000 where
// ODONATA_LONG is set, as make test-long does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LONG } from '../long.ts';
import { TestCluster } from './cluster.ts';

const ROUNDS = LONG ? 10_000 : 1_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 4, flushMs: 100 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

interface Histogram {
  test: string;
  rounds: number;
  layout: string;
  outcomes: Record<string, number>;
  forbidden: number;
  anomalies: number;
  ns: number;
}

/** Where each role runs: node and virtual kernel. */
type Place = [node: string, vkernel: string];

interface Case {
  name: string;
  what: string;
  places: Place[];
  layout: 'pages' | 'same-page';
  /** Rounds between two barriers. Few, where there are two roles: one that runs ahead of the other proves little. */
  batch: number;
}

const on = (...nodes: string[]): Place[] => nodes.map((node) => [node, 'default']);
const four = on('node1', 'node2', 'node3', 'node4');
const mixed: Place[] = ['node1', 'node2'].flatMap((node): Place[] => [
  [node, 'first'],
  [node, 'second'],
]);
const cases: Case[] = [
  { name: 'mp', what: 'message passing', places: on('node1', 'node2'), layout: 'pages', batch: 16 },
  { name: 'mp', what: 'message passing', places: on('node3', 'node4'), layout: 'same-page', batch: 64 },
  { name: 'sb', what: 'store buffering', places: on('node3', 'node4'), layout: 'pages', batch: 16 },
  { name: 'sb', what: 'store buffering', places: on('node2', 'node1'), layout: 'same-page', batch: 64 },
  {
    name: 'sb',
    what: 'store buffering within a node',
    places: mixed.slice(0, 2),
    layout: 'pages',
    batch: 16,
  },
  { name: 'corr', what: 'coherence', places: on('node2', 'node4'), layout: 'pages', batch: 16 },
  { name: 'corr', what: 'coherence', places: on('node1', 'node3'), layout: 'same-page', batch: 64 },
  { name: 'iriw', what: 'independent reads', places: four, layout: 'pages', batch: 256 },
  { name: 'iriw', what: 'independent reads', places: four, layout: 'same-page', batch: 256 },
  { name: 'iriw', what: 'independent reads, two on a node', places: mixed, layout: 'pages', batch: 256 },
];

test.each(cases)(
  '$name ($what), $layout',
  async ({ name, what, places, layout, batch }) => {
    const ds = `litmus-${name}-${what.replaceAll(/\W+/g, '-')}-${layout}`;
    const args = (role: number): string[] => [
      ...[ds, name, `${role}`, `${ROUNDS}`, '--batch', `${batch}`, '--seed', `${role + 1}`],
      ...(layout === 'same-page' ? ['--same-page'] : []),
    ];
    const [first, ...others] = await Promise.all(
      places.map(([node, vkernel], role) => cluster.output(node, 'litmus', args(role), { vkernel })),
    );
    expect(others.every((output) => output === '')).toBe(true);
    const result = JSON.parse(first!) as Histogram;
    expect(result).toMatchObject({ test: name, rounds: ROUNDS, layout, forbidden: 0, anomalies: 0 });
    expect(Object.values(result.outcomes).reduce((sum, count) => sum + count, 0)).toBe(ROUNDS);
  },
  180_000,
);
