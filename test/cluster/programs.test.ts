// Real programs in virtual kernels: they must do and say what they do and say alone, under node:wasi.

import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildGuest } from '../guests/build.ts';
import { runAlone } from '../guests/run-alone.ts';
import { TestCluster } from './cluster.ts';
import type { End } from './program.ts';

/** A folder for each side: what is compared must not meet. */
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'odonata-programs-')));
const [here, alone] = ['here', 'alone'].map((name) => join(folder, name)) as [string, string];

let cluster: TestCluster;
beforeAll(async () => {
  mkdirSync(here);
  mkdirSync(alone);
  await Promise.all(['sqlite', 'lz4', 'args', 'echo', 'copy', 'matmul'].map(buildGuest));
  cluster = await TestCluster.up({ nodes: 2, allowDirs: [here, tmpdir()], flushMs: 100 });
}, 300_000);
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await cluster.down();
}, 90_000);

interface Case {
  args?: string[];
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  dirs?: boolean;
}

/** Runs a guest in both worlds, which must agree on the exit code and every byte of output. */
async function same(
  guest: string,
  { args = [], env = {}, stdin, dirs = false }: Case,
  node = 'node1',
): Promise<End> {
  const [end, expected] = await Promise.all([
    cluster.run(node, guest, args, {
      stdin,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      dirs: dirs ? [{ hostPath: here, guestPath: '/data' }] : [],
    }),
    buildGuest(guest).then((wasm) =>
      runAlone(wasm, { args, env, stdin, dirs: dirs ? { '/data': alone } : {} }),
    ),
  ]);
  // Alone the name of the program is that of its file.
  const names = (text: string): string =>
    text.replaceAll(new RegExp(`${guest}-[0-9a-f]{16}(\\.wasm)?`, 'g'), guest);
  expect({ code: end.code, stderr: end.stderr }).toEqual({
    code: expected.code,
    stderr: names(expected.stderr.toString()),
  });
  if (!end.stdout.equals(expected.stdout)) {
    expect(end.stdout.toString('latin1')).toBe(names(expected.stdout.toString('latin1')));
  }
  return end;
}

function sameFiles(...names: string[]): void {
  for (const name of names) {
    expect(readFileSync(join(here, name)).equals(readFileSync(join(alone, name))), name).toBe(true);
  }
}

describe('SQLite', () => {
  test('keeps a database in a file, the same bytes and the same answers as alone', async () => {
    const create = `CREATE TABLE dragonfly (name TEXT PRIMARY KEY, family TEXT, wings INTEGER, span REAL);
      CREATE INDEX by_family ON dragonfly (family);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
      INSERT INTO dragonfly SELECT 'species ' || i, 'family ' || (i * 7 % 31), 4, i * 0.37 % 19 FROM n;
      UPDATE dragonfly SET span = span + 1 WHERE wings = 4 AND family LIKE '%3%';
      DELETE FROM dragonfly WHERE name LIKE '%99';`;
    await same('sqlite', { args: ['/data/test.db'], stdin: create, dirs: true });
    const questions = [
      'SELECT count(*), sum(wings), round(avg(span), 6) FROM dragonfly',
      'SELECT family, count(*), round(max(span), 4) FROM dragonfly GROUP BY family ORDER BY 2 DESC, 1 LIMIT 10',
      `SELECT a.name, b.name FROM dragonfly a JOIN dragonfly b ON a.family = b.family AND a.span < b.span
       WHERE a.name LIKE 'species 10%' ORDER BY 1, 2 LIMIT 50`,
      'PRAGMA integrity_check',
    ];
    // The other node opens the file that the first one wrote.
    const { stdout } = await same('sqlite', { args: ['/data/test.db', ...questions], dirs: true }, 'node2');
    expect(stdout.toString()).toMatch(/^3960\|15840\|.*\nok\n$/s);
    sameFiles('test.db');
  });

  test('says what is wrong, and rolls back what is not committed', async () => {
    await same('sqlite', { args: ['/data/test.db', 'SELECT nonsense'], dirs: true });
    await same('sqlite', {
      args: ['/data/test.db', 'BEGIN; DELETE FROM dragonfly; ROLLBACK; SELECT count(*) FROM dragonfly'],
      dirs: true,
    });
    await same('sqlite', { args: [':memory:', 'SELECT 6 * 7, hex(zeroblob(4))'] });
  });
});

describe('lz4', () => {
  const text = Buffer.concat(
    Array.from({ length: 40 }, (_, i) =>
      Buffer.concat([readFileSync(import.meta.filename), Buffer.from(`${i}`)]),
    ),
  );

  test.each(['-1', '-9'])('compresses %s and restores', async (level) => {
    for (const side of [here, alone]) writeFileSync(join(side, 'text'), text);
    await same('lz4', { args: [level, '-f', '-q', '/data/text', '/data/text.lz4'], dirs: true });
    await same('lz4', { args: ['-d', '-f', '-q', '/data/text.lz4', '/data/back'], dirs: true }, 'node2');
    sameFiles('text.lz4', 'back');
    expect(readFileSync(join(here, 'back')).equals(text)).toBe(true);
    expect(readFileSync(join(here, 'text.lz4')).length).toBeLessThan(text.length / 4);
  });

  test('is a filter, and refuses what it did not make', async () => {
    const packed = await same('lz4', { args: ['-q', '-c'], stdin: text });
    const back = await same('lz4', { args: ['-d', '-q', '-c'], stdin: packed.stdout }, 'node2');
    expect(back.stdout.equals(text)).toBe(true);
    const { code } = await same('lz4', { args: ['-d', '-q', '-c'], stdin: 'this is not a frame of lz4' });
    expect(code).not.toBe(0);
  });
});

describe('the system that a program sees', () => {
  test('arguments, environment, standard streams and exit codes', async () => {
    await Promise.all([
      same('args', { args: ['one', 'two words', '', 'ä€😀'], env: { COLOUR: 'blue', EMPTY: '' } }),
      same('args', { args: Array.from({ length: 20_000 }, (_, i) => `${i}`) }),
      same('args', { args: ['x'.repeat(65_000)] }),
      same('args', {
        env: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`V${i}`, 'value'])),
      }),
      same('echo', { stdin: Buffer.from(Array.from({ length: 500_000 }, (_, i) => (i * i) % 251)) }),
      same('echo', { args: ['--bytes', '3000000'] }),
      same('echo', { stdin: '' }),
      same('misbehave', { args: ['exit', '0'] }),
      same('misbehave', { args: ['exit', '77'] }),
      same('misbehave', { args: ['random'] }),
    ]);
  });

  test('files, as far as the folder that was granted, and no further', async () => {
    for (const side of [here, alone]) writeFileSync(join(side, 'from'), 'x'.repeat(200_000));
    await same('copy', { args: ['/data/from', '/data/to'], dirs: true });
    await same('copy', { args: ['/data/missing', '/data/to'], dirs: true });
    // wasi-libc says of a path beside all grants what no POSIX system does; here there is nothing.
    const beside = await cluster.run('node1', 'copy', ['/etc/passwd', '/data/to'], {
      dirs: [{ hostPath: here, guestPath: '/data', readOnly: false }],
    });
    expect(beside).toMatchObject({ code: 3, stderr: '/etc/passwd: No such file or directory\n' });
    await same('copy', { args: ['/data/../../../../etc/passwd', '/data/to'], dirs: true });
    await same('copy', { args: ['--tree', '/data'], dirs: true });
    sameFiles('to');
    expect(readdirSync(here).sort()).toEqual(readdirSync(alone).sort());

    const readOnly = await cluster.run('node1', 'copy', ['/data/from', '/data/other'], {
      dirs: [{ hostPath: here, guestPath: '/data', readOnly: true }],
    });
    expect(readOnly).toMatchObject({ code: 3, stderr: expect.stringMatching(/^\/data\/other: .+\n$/) });
    expect(readdirSync(here)).not.toContain('other');
  });

  test('a program that swaps a directory for a link out of the allowed folder gives nobody what is there', async () => {
    const [inside, outside] = [join(here, 'swap'), join(alone, 'secret')];
    const got = join(here, 'got');
    for (const folder of [join(inside, 'd'), outside, got]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(inside, 'd/file'), 'mine');
    writeFileSync(join(outside, 'file'), 'secret');
    // As far up as it takes to leave whatever a path goes through.
    const out = `${'../'.repeat(20)}${outside.slice(1)}`;
    const dirs = [{ hostPath: inside, guestPath: '/a' }];
    const swapping = cluster.run('node1', 'swap', [out, '4'], { dirs, vkernel: 'swapper' });
    const seen = { mine: 0, refused: 0 };
    const both = [
      { hostPath: join(inside, 'd'), guestPath: '/d', readOnly: true },
      { hostPath: got, guestPath: '/got' },
    ];
    let over = false;
    void swapping.finally(() => {
      over = true;
    });
    while (!over) {
      const copied = await cluster.run('node1', 'copy', ['/d/file', '/got/file'], { dirs: both }).then(
        ({ code }) => code === 0,
        () => false,
      );
      if (copied) expect(readFileSync(join(got, 'file'), 'utf8')).toBe('mine');
      seen[copied ? 'mine' : 'refused']++;
    }
    expect(await swapping).toMatchObject({ code: 0 });
    expect(seen.mine).toBeGreaterThan(0);
    for (const folder of [inside, outside, got]) rmSync(folder, { recursive: true });
  });

  test('vkctl run is the program: its streams, its arguments, its exit code', async () => {
    const wasm = await buildGuest('args');
    const shown = await cluster.vkctl(['run', '-e', 'COLOUR=red', '--node', 'node2', wasm, '--json', 'x']);
    expect(shown).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/arg 1 --json\narg 2 x\n/),
    });
    expect(shown.stdout).toContain('env COLOUR=red\n');
    const echoed = await cluster.vkctl(['run', await buildGuest('echo')], { stdin: 'a line\n' });
    expect(echoed).toEqual({ code: 0, stdout: 'a line\n', stderr: 'echoed 7 bytes\n' });
    expect(await cluster.vkctl(['run', await buildGuest('misbehave'), 'exit', '42'])).toMatchObject({
      code: 42,
    });
    const granted = await cluster.vkctl([
      'run',
      '--dir',
      `${here}:/in:ro`,
      await buildGuest('copy'),
      '/in/from',
      '/in/no',
    ]);
    expect(granted).toMatchObject({ code: 3 });
  });

  test('a read is whole into memory that was never touched, also after many calls', async () => {
    writeFileSync(join(here, 'read'), randomBytes((1 << 20) + 12_345));
    const args = ['run', '--dir', `${here}:/d:ro`, await buildGuest('fresh-reads'), '/d/read'];
    expect(await cluster.vkctl(args)).toEqual({ code: 0, stdout: '0 short\n', stderr: '' });
  });

  test("what clusters keep is no program's, below a wider grant too", async () => {
    const { stateDir, runtimeDir, memoryDir } = cluster.paths;
    const home = dirname(stateDir);
    writeFileSync(join(here, 'mine'), 'mine');
    const copy = await buildGuest('copy');
    const tried = async (dir: string, from: string) => {
      const args = ['run', '--dir', `${dir}:/w`, copy, `/w/${relative(dir, from)}`, '/w/stolen'];
      const { code, stderr } = await cluster.vkctl(args);
      rmSync(join(dir, 'stolen'), { force: true });
      return `${code} ${stderr.trim()}`;
    };
    expect(await tried(tmpdir(), join(here, 'mine'))).toBe('0 ');
    for (const secret of [cluster.paths.clusterFile, join(stateDir, 'identity/ca/ca.key')])
      expect(await tried(tmpdir(), secret)).toMatch(/^3 .*(Permission denied|Capabilities insufficient)/);
    symlinkSync(home, join(here, 'link'));
    const way = join(here, 'link', cluster.cluster, 'cluster.json');
    expect(await tried(tmpdir(), way)).toMatch(/^3 /);
    for (const hidden of [home, stateDir, runtimeDir, memoryDir])
      expect(await tried(hidden, join(hidden, 'x'))).toMatch(/^125 .*(never granted|not allowed)/);
  });

  test('a program in the background: ps shows it, logs keep what it wrote, kill ends it', async () => {
    const started = await cluster.vkctl([
      'run',
      '-d',
      '--node',
      'node2',
      await buildGuest('misbehave'),
      'spin',
    ]);
    const pid = started.stdout.trim();
    expect(pid).toMatch(/^2\d{5}$/);
    const ps = async (...flags: string[]) =>
      JSON.parse((await cluster.vkctl(['ps', '--json', ...flags])).stdout);
    expect(await ps()).toMatchObject([{ pid: Number(pid), node: 'node2', state: 'running' }]);
    const following = cluster.vkctl(['logs', '-f', pid]);
    expect(await cluster.vkctl(['kill', pid])).toMatchObject({ code: 0, stderr: '' });
    expect(await following).toEqual({ code: 0, stdout: 'misbehave spin\n', stderr: '' });
    expect(await ps()).toEqual([]);
    expect((await ps('-a')).find((process: { pid: number }) => process.pid === Number(pid))).toMatchObject({
      state: 'exited',
      exit: { code: 143, signal: 'SIGTERM', reason: 'killed by SIGTERM' },
    });
    expect(await cluster.vkctl(['logs', pid])).toMatchObject({ code: 0, stdout: 'misbehave spin\n' });
  });

  test('wait: until a process has ended, with its exit code, and not for ever', async () => {
    const guest = await buildGuest('misbehave');
    const start = async (...args: string[]) =>
      (await cluster.vkctl(['run', '-d', guest, ...args])).stdout.trim();
    const [ends, spins] = await Promise.all([start('exit', '7'), start('spin')]);
    const ended = `${ends} has ended: exit code 7\n`;
    expect(await cluster.vkctl(['wait', ends])).toEqual({ code: 7, stdout: ended, stderr: '' });
    expect(await cluster.vkctl(['wait', '--timeout', '1', ends, spins])).toMatchObject({
      ...{ code: 124, stdout: ended },
      stderr: expect.stringMatching(/1 of 2 did not end within 1 s. See what runs: vkctl ps/),
    });
    const waiting = cluster.vkctl(['wait', '-q', ends, spins]);
    const nobody = await cluster.vkctl(['wait', '199999', ends]);
    expect(nobody).toMatchObject({ code: 7, stderr: expect.stringMatching(/no process 199999/) });
    expect(await cluster.vkctl(['kill', '-9', spins])).toMatchObject({ code: 0 });
    expect(await waiting).toEqual({ code: 137, stdout: '', stderr: '' });
  });
});
