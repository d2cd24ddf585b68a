// The memory of the cluster is one pool: a node with 8 MiB beside two with 32, and no swap. Programs of it touch four times as much, and
// every byte is as it must be, whoever dies.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster } from './cluster.ts';

const MIB = 2 ** 20;
const MEMORY = 8 * MIB;

let cluster: TestCluster;
beforeAll(async () => {
  // Page tables are emptied by chance, too.
  cluster = await TestCluster.up({ nodes: 3, framesBytes: 32 * MIB, node1Bytes: MEMORY, flushMs: 300 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

interface Result {
  pages: number;
  wrong_pages: number;
  first_wrong: number;
}
interface Stats {
  name: string;
  stats: {
    framesTotal: number;
    framesPrivate: number;
    pagesShared: number;
    pool?: Record<string, number>;
  };
}
const nodes = async (): Promise<Stats[]> =>
  JSON.parse((await cluster.vkctl(['status', '--json'])).stdout).nodes;
const pool = async (node = 'node1') => (await nodes()).find(({ name }) => name === node)!.stats.pool ?? {};

/** What the memory files of the short node have. */
const residentMib = (): number => {
  const { pid } = cluster.service('node1/pmapd').process!;
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const dir = words[words.indexOf('--memory-dir') + 1]!;
  return Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0]) / 1024;
};

async function watched<T>(work: () => Promise<T>): Promise<{ result: T; mostMib: number }> {
  const seen = { mostMib: 0 };
  const watching = setInterval(() => {
    seen.mostMib = Math.max(seen.mostMib, residentMib());
  }, 50);
  try {
    const result = await work();
    return { result, ...seen };
  } finally {
    clearInterval(watching);
  }
}

test('a dataspace of four times the memory of its node, written and read in every way: exact, and never more than there is', async () => {
  for (const pattern of ['random', 'mix']) {
    const { result, mostMib } = await watched(() =>
      cluster.json<Result>('node1', 'paging', ['32', '3000', pattern, '1', `pages-${pattern}`]),
    );
    console.log(`${pattern}: most in memory ${mostMib.toFixed(1)} MiB`, JSON.stringify(await pool()));
    expect(result).toMatchObject({ pages: 8_192, wrong_pages: 0 });
    expect(mostMib).toBeLessThanOrEqual(8.5);
    expect((await cluster.vkctl(['ds', 'rm', `pages-${pattern}`])).code).toBe(0);
  }
  const { givenPages } = await pool();
  expect(givenPages).toBeGreaterThan(6_000);
}, 180_000);
