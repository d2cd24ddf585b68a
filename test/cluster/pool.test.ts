// The memory of the cluster is one pool: a node with 8 MiB beside two with 32, and no swap. Programs of it touch four times as much, and
// every byte is as it must be, whoever dies.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { TestCluster, until } from './cluster.ts';
import type { Program } from './program.ts';

const MIB = 2 ** 20;
const MEMORY = 8 * MIB;
/** The others take a minute more. */
const PATTERNS = process.env.ODONATA_LONG ? ['random', 'scan', 'mix'] : ['mix'];

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

/** Programs that have filled their memory wait for this. */
const heldBack = async () => {
  await cluster.vkctl(['ds', 'rm', 'go']);
  await cluster.connection.dataspaces('node1').create({ name: 'go', sizeBytes: 4_096n });
};
const go = () => cluster.output('node2', 'peek', ['go', '0', '--write', '1']);
async function filled(mib: number, pattern = 'random') {
  const program = await cluster.start('node1', 'paging', [`${mib}`, '300', `${pattern}+wait`, '8']);
  await program.wrote(/filled\n/);
  return program;
}
async function expectExact(program: Program): Promise<void> {
  const { code, reason } = await program.end();
  expect({ code, reason, said: program.stdout }).toEqual({
    ...{ code: 0, reason: '', said: expect.stringContaining('"wrong_pages":0,') },
  });
}
const lodgedElsewhere = async () =>
  ((await pool('node2')).lodgedPages ?? 0) + ((await pool('node3')).lodgedPages ?? 0);
/** A neighbour that had no room is not asked again for a while, and what finds none meanwhile ends. */
const neighboursTakePages = () =>
  until('neighbours take pages', async () => {
    const { code } = await cluster.run('node1', 'paging', ['12', '100', 'random', '3']);
    return code === 0;
  });

test('what is larger than a node is loaded through it, and saved from each', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-pool-'));
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  writeFileSync(from, randomBytes(26 * MIB));
  expect(await cluster.vkctl(['ds', 'load', '--node', 'node2', 'large', from])).toMatchObject({ code: 0 });
  for (const node of ['node2', 'node3', 'node2']) {
    expect(await cluster.vkctl(['ds', 'save', '-q', '--node', node, 'large', to])).toEqual({
      ...{ code: 0, stdout: '', stderr: '' },
    });
    expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
    rmSync(to);
  }
  await cluster.vkctl(['ds', 'rm', 'large']);
  rmSync(folder, { recursive: true });
});

test('a node that is full, beside neighbours that take no more, reads and saves what is larger than its room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-pool-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  // The most that is taken.
  let isLoaded = false;
  for (let mib = 48; !isLoaded; mib--) {
    expect(mib).toBeGreaterThan(36);
    writeFileSync(from, randomBytes(mib * MIB));
    isLoaded = (await cluster.vkctl(['ds', 'load', '--node', 'node2', 'full', from])).code === 0;
  }
  for (let round = 0; round < 2; round++) {
    expect(await cluster.vkctl(['ds', 'save', '-q', '--node', 'node2', 'full', to])).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
    rmSync(to);
  }
  expect(await cluster.vkctl(['ds', 'rm', 'full'])).toMatchObject({ code: 0 });
  await neighboursTakePages();
});

test('a dataspace of four times the memory of its node, written and read in every way: exact, and never more than there is', async () => {
  for (const pattern of PATTERNS) {
    const { result, mostMib } = await watched(() =>
      cluster.json<Result>('node1', 'paging', ['32', '2000', pattern, '1', `pages-${pattern}`]),
    );
    console.log(`${pattern}: most in memory ${mostMib.toFixed(1)} MiB`, JSON.stringify(await pool()));
    expect(result).toMatchObject({ pages: 8_192, wrong_pages: 0 });
    expect(mostMib).toBeLessThanOrEqual(8.5);
    expect((await cluster.vkctl(['ds', 'rm', `pages-${pattern}`])).code).toBe(0);
  }
  const { givenPages } = await pool();
  expect(givenPages).toBeGreaterThan(5_000);
}, 180_000);

test('private memory of four times what its node has, at its neighbours: exact, and all of it is gone with its process', async () => {
  for (const pattern of PATTERNS) {
    const { result, mostMib } = await watched(() =>
      cluster.json<Result>('node1', 'paging', ['32', '2000', pattern, '1']),
    );
    console.log(`${pattern}: most in memory ${mostMib.toFixed(1)} MiB`, JSON.stringify(await pool()));
    expect(result).toMatchObject({ pages: 8_192, wrong_pages: 0 });
    expect(mostMib).toBeLessThanOrEqual(8.5);
  }
  const { neighbourOuts, neighbourIns, neighbourPages } = await pool();
  expect(neighbourOuts).toBeGreaterThan(5_000);
  expect(neighbourIns).toBeGreaterThan(2_000);
  expect(neighbourPages).toBe(0);
  await until('neighbours have nothing of it', async () =>
    (await nodes()).every(({ stats }) => (stats.pool?.lodgedPages ?? 0) === 0),
  );
  const { stdout } = await cluster.vkctl(['status']);
  expect(stdout).toMatch(
    /POOL +GIVEN +SPARED +REFUSED +LEAVING +AT NEIGHBOURS +OUT +IN +LODGED +GIVEN BACK\nnode1 /,
  );
  // It is nobody's dataspace.
  expect((await cluster.vkctl(['ds', 'ls'])).stdout).not.toContain('~node1');
}, 180_000);

test('a neighbour that needs its frames itself has them, and what it had for others is exact', async () => {
  const paging = await cluster.start('node1', 'paging', ['18', '6000', 'random', '3']);
  await until('its memory is at node2', async () => ((await pool('node2')).lodgedPages ?? 0) > 1_000);
  const hog = await cluster.run('node2', 'hog', ['private', '24', '2000']);
  expect(hog).toMatchObject({ code: 0, reason: '' });
  expect(await paging.end()).toMatchObject({ code: 0, reason: '' });
  expect(JSON.parse(String(paging.stdout))).toMatchObject({ wrong_pages: 0 });
}, 180_000);

/** Programs that need nearly all frames of both neighbours there, and keep them until they are ended. */
async function hogsElsewhere(mib: number): Promise<Program[]> {
  const start = (node: string) => cluster.start(node, 'hog', ['private', `${mib}`, '600000']);
  const hogs = await Promise.all(['node2', 'node3'].map(start));
  onTestFinished(async () => {
    for (const hog of hogs) {
      await hog.signal('SIGKILL').catch(() => {});
      await hog.end();
    }
  });
  return hogs;
}
const haveAll = (hogs: Program[]) => Promise.all(hogs.map((hog) => hog.wrote(/"done"/)));

test('another pmap manager goes on while pages are at neighbours: exact', async () => {
  await heldBack();
  const [waiting, running] = await Promise.all([
    filled(12),
    cluster.start('node1', 'paging', ['10', '8000', 'random', '9']),
  ]);
  await until('pages of both are at neighbours', async () => (await lodgedElsewhere()) > 2_000);
  expect(await cluster.vkctl(['restart', 'node1/pmapd'])).toMatchObject({ code: 0, stderr: '' });
  await go();
  await expectExact(waiting);
  await expectExact(running);
  await until('neighbours have nothing of them', async () => (await lodgedElsewhere()) === 0);
}, 180_000);

test('what neighbours need themselves comes home where no other node has room: exact', async () => {
  await heldBack();
  const waiting = await filled(7);
  const other = await filled(7);
  await until('pages of it are at neighbours', async () => (await lodgedElsewhere()) > 500);
  await other.signal('SIGKILL');
  await other.end();
  const lodged = await lodgedElsewhere();
  expect(lodged).toBeGreaterThan(100);
  const hogs = await hogsElsewhere(30);
  await haveAll(hogs);
  // They are counted when the home has all of an offer.
  const back = async () => ((await pool('node2')).givenBack ?? 0) + ((await pool('node3')).givenBack ?? 0);
  await until('pages came home', async () => (await back()) > 0);
  console.log(`${lodged} pages were at neighbours, ${await back()} came home`);
  await go();
  await expectExact(waiting);
}, 180_000);

test('what neighbours need themselves, and nobody has room for, ends whose it is, with the reason', async () => {
  await heldBack();
  const waiting = await filled(18);
  await until('pages of it are at neighbours', async () => (await lodgedElsewhere()) > 1_500);
  const hogs = await hogsElsewhere(30);
  const end = await waiting.end();
  expect(end).toMatchObject({
    code: 137,
    reason: expect.stringMatching(/node[23].* needs the frames back that it had for this process/),
  });
  await haveAll(hogs);
  expect(await cluster.output('node1', 'hello')).toBeTruthy();
  await until('neighbours have nothing of it', async () => (await lodgedElsewhere()) === 0);
}, 180_000);

test('who fills /tmp is told that there is no room, soon, and what is there stays', async () => {
  await neighboursTakePages();
  const files = async (...args: string[]) => String((await cluster.run('node1', 'files', args)).stdout);
  await files('write', '/tmp/note', 'kept');
  // Three quarters of the node: its other pages leave for that, but those of programs that begin need not.
  expect(await files('fill', '/tmp/big')).toMatch(/^[3-6] MiB, then: No space left on device\n$/);
  expect(await files('cat', '/tmp/note')).toBe('kept\n');
  for (const name of ['note', 'big']) await files('rm', `/tmp/${name}`);
  const { stdout } = await cluster.vkctl(['events', '--json', '--kind', 'files-lost']);
  expect(JSON.parse(stdout)).toEqual([]);
}, 180_000);

test('the death of a neighbour ends whoever needs what was there, with the reason; others go on', async () => {
  await neighboursTakePages();
  const paging = await cluster.start('node1', 'paging', ['18', '1000000', 'random', '4']);
  let host: string | undefined;
  await until('its memory is at a neighbour', async () => {
    for (const name of ['node2', 'node3']) if (((await pool(name)).lodgedPages ?? 0) > 500) host = name;
    return host !== undefined;
  });
  await cluster.kill(`${host}/pmapd`);
  const end = await paging.end();
  expect(end).toMatchObject({
    code: 137,
    reason: expect.stringContaining('was at another node, which is gone'),
  });
  const { stdout } = await cluster.vkctl(['events', '--json', '--kind', 'process-ended-for-memory']);
  const said = (JSON.parse(stdout) as { text: string }[]).map(({ text }) => text);
  expect(said).toContainEqual(expect.stringContaining('was at another node, which is gone'));
  expect(await cluster.output('node1', 'hello')).toBeTruthy();
}, 180_000);

test('pages of a node that dies are gone where they were lodged', async () => {
  await until('it is back', async () => (await nodes()).every(({ stats }) => stats?.framesTotal > 0));
  const paging = await cluster.start('node1', 'paging', ['18', '1000000', 'random', '5']);
  const lodged = async () =>
    ((await pool('node2')).lodgedPages ?? 0) + ((await pool('node3')).lodgedPages ?? 0);
  await until('its memory is at neighbours', async () => (await lodged()) > 500);
  await cluster.kill('node1/pmapd');
  expect((await paging.end()).code).not.toBe(0);
  await until('neighbours have nothing of it', async () => (await lodged()) === 0);
  // The next one is there, and pages as well.
  expect(await cluster.json<Result>('node1', 'paging', ['12', '4000', 'mix', '6'])).toMatchObject({
    wrong_pages: 0,
  });
}, 180_000);
