// What `npm run packages` makes, installed into an empty folder of somebody with an empty home: the command and the library, on a real
// cluster that runs elsewhere.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makePackages } from '../../bootstrap/packages/make.ts';
import { releaseLine } from '../../services/vkctl/release.ts';
import { TestCluster } from '../cluster/cluster.ts';

const ROOT = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'odonata-packages-'));
const place = join(folder, 'place');
const home = join(folder, 'home');
let cluster: TestCluster;
let env: NodeJS.ProcessEnv;

function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const done = spawnSync(command, args, { cwd: place, env, encoding: 'utf8', timeout: 150_000, ...options });
  return { status: done.status, out: done.stdout.trim(), err: done.stderr.trim() };
}
const vkctl = (...args: string[]) => run(join(place, 'node_modules/.bin/vkctl'), args);

beforeAll(async () => {
  for (const each of [place, home]) mkdirSync(each);
  const {
    npm_config_cache: cache = run('npm', ['config', 'get', 'cache'], { cwd: ROOT, env: process.env }).out,
  } = process.env;
  // What was downloaded for the checkout is not downloaded again; the Node is that of the tests.
  env = {
    ...{ HOME: home, npm_config_cache: cache, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
    ...Object.fromEntries(
      Object.entries(process.env).filter(([name]) => /proxy|^NODE_EXTRA_CA|^SSL_CERT/i.test(name)),
    ),
  };
  writeFileSync(join(place, 'package.json'), '{ "private": true, "type": "module" }\n');
  const [packages] = await Promise.all([
    makePackages(join(folder, 'packed')),
    TestCluster.up({ nodes: 1 }).then((up) => {
      cluster = up;
    }),
  ]);
  const quiet = [
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--prefer-offline',
    '--ignore-scripts',
    '--no-update-notifier',
  ];
  expect(run('npm', ['install', ...quiet, ...packages])).toEqual({
    status: 0,
    out: expect.any(String),
    err: '',
  });
}, 300_000);
afterAll(async () => {
  await cluster?.down();
  rmSync(folder, { recursive: true, force: true });
});

test('npx vkctl --version says the release, the commit and the wire', () => {
  expect(run('npx', ['--no-install', 'vkctl', '--version'])).toMatchObject({
    status: 0,
    out: releaseLine(RELEASE),
  });
});

test('vkctl reaches a cluster by a context, and says what needs a checkout', () => {
  const context = join(folder, 'alice.context');
  const added = run(join(ROOT, 'vkctl'), ['user', 'add', '-q', 'alice', '--out', context], {
    env: cluster.env,
  });
  expect(added).toEqual({ status: 0, out: '', err: '' });
  expect(vkctl('context', 'add', '-q', context)).toEqual({ status: 0, out: '', err: '' });
  expect(JSON.parse(vkctl('whoami', '--json').out)).toMatchObject({ name: 'alice', role: 'user' });
  expect(JSON.parse(vkctl('ps', '--json').out)).toEqual([]);
  expect(vkctl('up')).toMatchObject({
    status: 1,
    err: expect.stringMatching(/^vkctl: "vkctl up" runs services of this machine/),
  });
  expect(vkctl('up', '--help').out).toContain('Usage: vkctl up');
});

test('a program imports @odonata/client, lists processes, and loads and saves a dataspace', () => {
  writeFileSync(
    join(place, 'look.mjs'),
    `import { connect } from '@odonata/client';
await using cluster = await connect();
const { processes, silent } = await cluster.programs.list();
await cluster.dataspaces.load('note', [Buffer.from('from a package')], { create: true, sizeBytes: 14n });
let bytes = '';
for await (const part of cluster.dataspaces.save('note')) bytes += Buffer.from(part).toString();
console.log(JSON.stringify([processes.length, silent.length, bytes]));
`,
  );
  const { status, out, err } = run(process.execPath, ['look.mjs']);
  expect([status, err]).toEqual([0, '']);
  expect(JSON.parse(out)).toEqual([0, 0, 'from a package']);
});

test('on a node it has the memory itself', () => {
  writeFileSync(
    join(place, 'near.mjs'),
    `import { connect } from '@odonata/client';
await using cluster = await connect();
await using board = await cluster.open('board', { sizeBytes: 65_536 });
const words = new Int32Array(await board.map());
Atomics.add(words, 5000, 7);
console.log(board.isNear, new DataView((await board.read(20_000, 4)).buffer).getInt32(0, true));
`,
  );
  expect(run(process.execPath, ['near.mjs'], { env: { ...env, ...cluster.env, HOME: home } })).toEqual({
    ...{ status: 0, out: 'true 7', err: '' },
  });
});

test('its declarations are whole', () => {
  writeFileSync(
    join(place, 'typed.ts'),
    `import { type Cluster, connect } from '@odonata/client';
const cluster: Cluster = await connect();
const { processes } = await cluster.programs.list();
export const pids: bigint[] = processes.map(({ pid }) => pid);
// @ts-expect-error there is no such thing
cluster.nothing;
`,
  );
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.json'), 'utf8'));
  const typeRoots = [join(ROOT, 'node_modules/@types')];
  writeFileSync(
    join(place, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { ...compilerOptions, typeRoots, skipLibCheck: false },
      files: ['typed.ts'],
    }),
  );
  const tsc = join(ROOT, 'node_modules/typescript/lib/tsc.js');
  expect(run(process.execPath, [tsc, '-p', place])).toEqual({ status: 0, out: '', err: '' });
});

test('where packages go is a folder, and no option', () => {
  const main = join(ROOT, 'bootstrap/packages/main.ts');
  for (const args of [['--help'], [folder, 'more']])
    expect(run(process.execPath, [main, ...args])).toMatchObject({
      ...{ status: 2, err: expect.stringMatching(/^npm run packages \[-- FOLDER\]: .*$/) },
    });
});
