// A folder that one node has, for programs on the other: as if it were theirs, and what happens when that node's supervisor or virtual
// kernel dies or hangs meanwhile.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster } from './cluster.ts';

let cluster: TestCluster;
const outside = mkdtempSync(join(tmpdir(), 'odonata-elsewhere-'));
const folder = join(outside, 'granted');
const dirs = [{ hostPath: folder, guestPath: '/data', readOnly: false, node: 'node2' }];
const readOnly = [{ ...dirs[0]!, readOnly: true }];

beforeAll(async () => {
  mkdirSync(folder);
  writeFileSync(join(folder, 'a'), 'text');
  writeFileSync(join(outside, 'secret'), 'secret');
  cluster = await TestCluster.up({ nodes: 2 });
  expect(await cluster.vkctl(['allow', '--node', 'node2', folder])).toMatchObject({ code: 0 });
}, 150_000);
afterAll(async () => {
  await cluster.down();
  rmSync(outside, { recursive: true });
}, 90_000);

const files = (args: string[], given = dirs) => cluster.run('node1', 'files', args, { dirs: given });

async function hostPidOf(node: string): Promise<number> {
  const { stdout } = await cluster.vkctl(['vkernel', 'ls', '--json']);
  const found = (JSON.parse(stdout) as { node: string; hostPid: number }[]).find(
    (each) => each.node === node,
  );
  return found!.hostPid;
}

test('files are read, written, renamed and listed there; read-only stays so', async () => {
  expect((await files(['write', '/data/b', 'one', 'two'])).code).toBe(0);
  expect(readFileSync(join(folder, 'b'), 'utf8')).toBe('one two\n');
  await files(['append', '/data/b', 'three']);
  expect(`${(await files(['cat', '/data/b'])).stdout}`).toBe('one two\nthree\n');
  await files(['mkdir', '/data/d']);
  await files(['mv', '/data/b', '/data/d/b']);
  expect(`${(await files(['ls', '/data'])).stdout}`).toBe('a\nd/\n');
  expect(`${(await files(['ls', '/data/d'])).stdout}`).toBe('b\n');
  expect((await files(['write', '/data/c', 'no'], readOnly)).stderr).toContain('Read-only file system');
  await files(['rm', '/data/d/b']);
  await files(['rmdir', '/data/d']);
});

test('nothing leads out of it, and a node gives what it allows, to whoever', async () => {
  symlinkSync('../secret', join(folder, 'up'));
  symlinkSync(join(outside, 'secret'), join(folder, 'absolute'));
  for (const path of ['/data/../secret', '/data/up', '/data/absolute'])
    expect((await files(['cat', path])).code).not.toBe(0);
  for (const name of ['up', 'absolute']) rmSync(join(folder, name));
  const asked = (hostPath: string, node: string) => files(['ls', '/data'], [{ ...dirs[0]!, hostPath, node }]);
  await expect(asked(outside, 'node2')).rejects.toThrow(/is not allowed on node2/);
  await expect(asked(folder, 'node1')).rejects.toThrow(/is not allowed on node1/);
  await expect(asked(folder, 'node9')).rejects.toThrow('node node9 is not there');
});

test('its supervisor and its virtual kernel die, and hang: errors in time, stale files, and it works again', async () => {
  const program = await cluster.start('node1', 'files', ['keep', '/data/a'], { dirs });
  let seen = 0;
  /** The next lines, up to one that begins so. */
  const until = async (begin: string): Promise<string[]> => {
    const next = new RegExp(`(?<![\\s\\S])[\\s\\S]{${seen}}([\\s\\S]*?^${begin} in \\d+ ms\n)`, 'm');
    const [all, lines] = await program.wrote(next, 60_000);
    seen = all.length;
    return lines!.trim().split('\n');
  };
  const said = (lines: string[]) => lines.map((line) => line.replace(/ in \d+ ms$/, ''));
  await until('reads');

  await cluster.kill('node2/vkerneld');
  const killed = said(await until('reads'));
  expect(killed).toContain('Stale file handle');
  await cluster.well();

  process.kill(await hostPidOf('node2'), 'SIGKILL');
  expect(said(await until('reads'))).toContain('Stale file handle');

  const hung = await hostPidOf('node2');
  process.kill(hung, 'SIGSTOP');
  const late = (await until('I/O error')).at(-1)!;
  expect(Number(/ in (\d+) ms$/.exec(late)![1])).toBeLessThan(12_000);
  process.kill(hung, 'SIGCONT');
  expect(said(await until('reads')).at(-1)).toBe('reads');
  await cluster.vkctl(['kill', '-9', `${await program.pid}`]);
  await program.ended;
}, 120_000);

test('the home of another node is held to the quota that its virtual kernel has there', async () => {
  expect(await cluster.vkctl(['vkernel', 'create', 'disk', '--disk', '1M'])).toMatchObject({ code: 0 });
  const { vkernels } = await cluster.connection.vkerneld('node2').listVkernels({});
  const home = `/home/${vkernels.find(({ name }) => name === 'disk')!.user}`;
  const there = (...args: string[]) =>
    cluster.run('node1', 'files', args, { vkernel: 'disk', homeNode: 'node2' });
  // What is written while the home is looked at counts twice until the next look, which makes room again.
  await vi.waitFor(
    async () => {
      await there('fill', `${home}/all`);
      const bytes = Number(String((await there('size', `${home}/all`)).stdout));
      expect(bytes).toBeLessThanOrEqual(2 ** 20);
      expect(bytes).toBeGreaterThan(0.9 * 2 ** 20);
      expect((await there('append', `${home}/all`, 'x'.repeat(5_000))).stderr).toMatch(/[Qq]uota/);
      expect((await there('mkdir', `${home}/folder`)).stderr).toMatch(/[Qq]uota/);
    },
    { timeout: 60_000, interval: 500 },
  );
  await there('rm', `${home}/all`);
  await there('write', `${home}/hole`, 'x');
  expect((await there('at', `${home}/hole`, '2000000', 'x')).stderr).toMatch(/[Qq]uota/);
  await there('rm', `${home}/hole`);
});
