// A pmap manager is replaced by another one of its node, and nobody notices: no process ends, no fault fails.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster } from './cluster.ts';

vi.setConfig({ testTimeout: 120_000 });

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

async function restart(name: string): Promise<number> {
  const { pid } = cluster.service(name).process!;
  const { code, stderr, stdout } = await cluster.vkctl(['restart', name, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(cluster.service(name).process!.pid).not.toBe(pid);
  return (JSON.parse(stdout) as { tookMs: number }[])[0]!.tookMs;
}

test('under load: the programs of its own node go on, and count right', async () => {
  await cluster.output('node1', 'counter', ['rolling', 'read']);
  const counters = await Promise.all(
    ['node1', 'node1', 'node2'].map((node) => cluster.start(node, 'counter', ['rolling', 'lock', '4000'])),
  );
  for (const name of ['node1/pmapd', 'node2/pmapd', 'node1/pmapd']) await restart(name);
  const ends = await Promise.all(counters.map((counter) => counter.end()));
  for (const end of ends) expect(end).toMatchObject({ code: 0, stderr: '', reason: '' });
  const { seen } = await cluster.json<{ seen: number }>('node1', 'counter', ['rolling', 'read']);
  expect(seen).toBe(12_000);
  const log = readFileSync(cluster.service('node1/pmapd').logFile, 'utf8');
  expect(log).not.toMatch(/did not answer|did not come back|"level":"(error|fatal)"/);
});
