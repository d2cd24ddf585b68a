// A node with 8 MiB of memory and some swap: programs touch four times as much, and every byte is as it must be, whatever else is
// done to the node meanwhile.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster, until } from './cluster.ts';

const MIB = 2 ** 20;
const MEMORY = 8 * MIB;

let cluster: TestCluster;
beforeAll(async () => {
  // Page tables are emptied by chance, too.
  cluster = await TestCluster.up({ nodes: 1, framesBytes: MEMORY, swapBytes: 80 * MIB, flushMs: 300 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

interface Result {
  pages: number;
  wrong_pages: number;
  first_wrong: number;
}
interface Pageout {
  pageouts: number;
  droppedPages: number;
  swapIns: number;
  refaults: number;
  activations: number;
  swapUsedBytes: number;
}
async function pageout(): Promise<Pageout & { framesPrivate: number }> {
  const { nodes } = JSON.parse((await cluster.vkctl(['status', '--json'])).stdout);
  return { ...nodes[0].stats.pageout, framesPrivate: nodes[0].stats.framesPrivate };
}

/** What the memory files of the node have. */
const residentMib = (): number => {
  const { pid } = cluster.service('node1/pmapd').process!;
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const dir = words[words.indexOf('--memory-dir') + 1]!;
  return Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0]) / 1024;
};

test('four times the memory of the node, gone through in every way: exact, and never more than there is', async () => {
  let most = 0;
  const watching = setInterval(() => {
    most = Math.max(most, residentMib());
  }, 50);
  for (const pattern of ['random', 'mix']) {
    const result = await cluster.json<Result>('node1', 'paging', ['32', '4000', pattern, '1']);
    expect(result).toMatchObject({ pages: 8_192, wrong_pages: 0 });
  }
  clearInterval(watching);
  const { pageouts, droppedPages, swapIns, activations, swapUsedBytes } = await pageout();
  console.log(
    `most in memory ${most.toFixed(1)} MiB; ${pageouts} out, ${droppedPages} dropped, ${swapIns} in, ${activations} used again`,
  );
  expect(most).toBeGreaterThan(4);
  expect(most).toBeLessThanOrEqual(8.5);
  expect(pageouts).toBeGreaterThan(10_000);
  expect(swapIns).toBeGreaterThan(10_000);
  // What ended has nothing there.
  expect(swapUsedBytes).toBe(0);
  const { stdout } = await cluster.vkctl(['status']);
  expect(stdout).toMatch(
    /PAGEOUT +ACTIVE +INACTIVE +ACTIVATED +PAGEOUTS +DROPPED +SWAP-INS +REFAULTS +SWAP +OF\nnode1 /,
  );
}, 120_000);

test('the swap file has no name, and nobody else may open it', () => {
  const { pid } = cluster.service('node1/pmapd').process!;
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  expect(links.filter((link) => link.includes('/swap-'))).toEqual([expect.stringMatching(/ \(deleted\)$/)]);
});

test('three at once, and their pmap manager is replaced while they run', async () => {
  // These have an image, and write some of it.
  await cluster.connection.dataspaces('node1').create({ name: 'go', sizeBytes: 4_096n });
  const images = await Promise.all(
    ['3', '40'].map((step) =>
      cluster.start('node1', 'small-image', ['--write', step, '--wait', 'go'], { memoryBytes: 4 * MIB }),
    ),
  );
  for (const image of images) await image.wrote(/"wrong":0/);
  const programs = await Promise.all(
    ['random', 'mix', 'phases'].map((pattern, i) =>
      cluster.start('node1', 'paging', ['10', '24000', pattern, `${i}`]),
    ),
  );
  await until('pages are in swap', async () => (await pageout()).swapUsedBytes > 4 * MIB);
  const { code, stderr } = await cluster.vkctl(['restart', 'node1/pmapd']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const program of programs) {
    const end = await program.end();
    expect(end).toMatchObject({ code: 0, reason: '' });
    expect(JSON.parse(String(end.stdout))).toMatchObject({ wrong_pages: 0 });
  }
  await cluster.output('node1', 'peek', ['go', '0', '--write', '1']);
  for (const image of images) {
    expect(await image.end()).toMatchObject({ code: 0, reason: '' });
    expect(String(image.stdout)).toMatch(/"wrong":0,.*\n.*"wrong":0,/);
  }
  // The new one pages as well, also where those three had ended before it had to.
  expect(JSON.parse(await cluster.output('node1', 'paging', ['10', '2000', 'mix', '7']))).toMatchObject({
    wrong_pages: 0,
  });
  const { pageouts } = await pageout();
  expect(pageouts).toBeGreaterThan(0);
}, 120_000);

test('where memory and swap are full who took most ends, with the reason; others go on', async () => {
  const modest = await cluster.start('node1', 'paging', ['2', '200', 'mix', '5']);
  const hog = await cluster.run('node1', 'hog', ['private', '150']);
  expect(hog.code).toBe(137);
  expect(hog.reason).toMatch(
    /out of memory: node1 has no frame for .* and its swap is full \(vkctl up --node-swap gives more\)/,
  );
  expect(await modest.end()).toMatchObject({ code: 0, reason: '' });
  expect(await cluster.output('node1', 'hello')).toBeTruthy();
  await until('nothing is in swap', async () => (await pageout()).swapUsedBytes === 0);
  // All frames came back, and can be had again.
  const again = await cluster.run('node1', 'hog', ['private', '150']);
  expect(again.reason).toMatch(/it has [5-8] MiB of the 8 MiB of node1/);
}, 120_000);

test('a quota counts what is in swap, too', async () => {
  const { code, reason } = await cluster.run('node1', 'hog', ['private', '40'], { memoryBytes: 24 * MIB });
  expect({ code, reason }).toEqual({
    code: 137,
    reason: expect.stringContaining('more than its quota of 24 MiB'),
  });
}, 60_000);
