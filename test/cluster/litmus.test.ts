// What a sequentially consistent memory forbids, between processes on two to four nodes, 10,000 rounds each.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from './cluster.ts';

const ROUNDS = 10_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 4 });
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

const cases = [
  { name: 'mp', what: 'message passing', nodes: ['node1', 'node2'] },
  { name: 'sb', what: 'store buffering', nodes: ['node3', 'node4'] },
  { name: 'corr', what: 'coherence of one word', nodes: ['node2', 'node4'] },
  {
    name: 'iriw',
    what: 'independent reads of independent writes',
    nodes: ['node1', 'node2', 'node3', 'node4'],
  },
].flatMap((each) => [
  { ...each, layout: 'pages' },
  { ...each, layout: 'same-page' },
]);

test.each(cases)(
  '$name ($what), $layout',
  async ({ name, nodes, layout }) => {
    const args = (role: number) => [
      `litmus-${name}-${layout}`,
      name,
      `${role}`,
      `${ROUNDS}`,
      '--seed',
      `${role + 1}`,
      ...(layout === 'same-page' ? ['--same-page'] : []),
    ];
    const [first, ...others] = await Promise.all(
      nodes.map((node, role) => cluster.output(node, 'litmus', args(role))),
    );
    expect(others.every((output) => output === '')).toBe(true);
    const result = JSON.parse(first!) as Histogram;
    console.log(first!.trim());
    expect(result).toMatchObject({ test: name, rounds: ROUNDS, layout, forbidden: 0, anomalies: 0 });
    expect(Object.values(result.outcomes).reduce((sum, count) => sum + count, 0)).toBe(ROUNDS);
  },
  180_000,
);
