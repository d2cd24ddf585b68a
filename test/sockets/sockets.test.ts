// Listeners that programs are handed (vkctl run --listen): what is allowed, several programs at one, an end while one waits, and the web
// server of Go's library behind one.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { startVkctl } from '../cluster/command.ts';
import { findCompiler, systemPath } from '../guests/toolchain.ts';
import { LONG } from '../long.ts';
import { freePorts } from './free-ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-sockets-'));
const server = join(folder, 'server.wasm');
let cluster: TestCluster;
let port: number;

beforeAll(async () => {
  const { command } = await findCompiler();
  const flags = ['--target=wasm32-wasi', '-O1', '-Wall', '-Wextra', '-Werror', '-Wl,--stack-first'];
  const env = { ...process.env, PATH: systemPath() };
  execFileSync(command, [...flags, join(import.meta.dirname, 'server.c'), '-o', server], { env });
  [port] = (await freePorts(1)) as [number];
  cluster = await TestCluster.up({ nodes: 1, allowDirs: [folder], allowListen: [`${port}`] });
}, 150_000);
afterAll(async () => {
  await cluster.down();
  rmSync(folder, { recursive: true });
}, 90_000);

const env = () => ({ ODONATA_HOME: cluster.home, ODONATA_CLUSTER: cluster.cluster });
const begin = (...args: string[]) => startVkctl(['run', '--listen', `${port}`, ...args], { env: env() });
const get = async (path = '/') => {
  const signal = AbortSignal.timeout(20_000);
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal, headers: { connection: 'close' } });
  return Buffer.from(await answer.arrayBuffer());
};
const isOpen = () =>
  get().then(
    () => true,
    () => false,
  );

test('a program listens where it is allowed, and nowhere else', async () => {
  const refused = await cluster.vkctl(['run', '--listen', '1', server, '1', 'x']);
  expect(refused.stderr).toMatch(
    /listening at 127\.0\.0\.1:1 is not allowed on node1 .*vkctl up --allow-listen PLACE/s,
  );
  for (const [option, value, said] of [
    ['--listen', 'here', 'is no place to listen at'],
    ['--listen', `${port}-${port + 1}`, 'is more than one port'],
    ['--connect', 'here', 'is no place to connect to'],
    ['--dir', `${server}:/here`, 'is not a directory'],
    ['--memory', '9999G', 'of memory at most'],
  ]) {
    const { code, stderr } = await cluster.vkctl(['run', option!, value!, server, '1', 'x']);
    expect(stderr).toMatch(new RegExp(`^vkctl: ${option}: .*${said}.*\n$`));
    expect(code).toBe(2);
  }
});

test('who may not listen since another does is told so, and not that its virtual kernel died', async () => {
  const other = createServer().listen(port, '127.0.0.1');
  await once(other, 'listening');
  try {
    const { code, stderr } = await cluster.vkctl(['run', '--listen', `${port}`, server, '1', 'x']);
    expect(stderr).toBe(
      `vkctl: ${server}: cannot listen at 127.0.0.1:${port} on node1: another program of this machine, or another node of it, listens there (EADDRINUSE)\n`,
    );
    expect(code).toBe(125);
  } finally {
    other.close();
    await once(other, 'close');
  }
});

test('two programs of two virtual kernels answer behind one listener', async () => {
  const programs = [begin(server, '3', 'one'), begin('--vkernel', 'second', server, '3', 'two', '--wait')];
  const answers: string[] = [];
  await until('six answers', async () => {
    if (answers.length < 6)
      await get().then(
        (body) => answers.push(`${body}`.trim()),
        () => {},
      );
    return answers.length === 6;
  });
  expect(answers.sort()).toEqual(['one 0', 'one 1', 'one 2', 'two 0', 'two 1', 'two 2']);
  for (const { ended } of programs)
    expect(await ended).toMatchObject({ code: 0, stdout: 'listening LISTEN_FDS=1\n' });
  expect(await isOpen()).toBe(false);
});

test('who waits for a connection can be ended, and what it listened at is free then', async () => {
  const waiting = begin(server, '3', 'x');
  await until('it listens', async () => (await cluster.vkctl(['ps', '-q'])).stdout.trim() !== '');
  await until('it answers', isOpen);
  const [pid] = (await cluster.vkctl(['ps', '-q'])).stdout.trim().split('\n');
  expect(await cluster.vkctl(['kill', pid!])).toMatchObject({ code: 0 });
  expect(await waiting.ended).toMatchObject({ code: 143 });
  expect(await isOpen()).toBe(false);
});

const hasGo = spawnSync('go', ['version']).status === 0;
test.runIf(LONG)(
  "Go's own web server serves files of a folder to many at once",
  async () => {
    if (!hasGo) return console.log("Go's web server is skipped: no go");
    const web = join(folder, 'web.wasm');
    const go = { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm' };
    execFileSync('go', ['build', '-o', web, join(import.meta.dirname, 'web.go')], { env: go });
    writeFileSync(join(folder, 'large'), randomBytes(3_000_000));
    const serving = begin('--dir', `${folder}:/site:ro`, web);
    await until('it answers', () =>
      get('/hello?name=x').then(
        (body) => `${body}` === 'hello x\n',
        () => false,
      ),
    );
    expect((await get('/large')).equals(readFileSync(join(folder, 'large')))).toBe(true);
    const names = Array.from({ length: 30 }, (_, i) => `${i}`);
    const answers = await Promise.all(names.map((name) => get(`/hello?name=${name}`)));
    expect(answers.map(String)).toEqual(names.map((name) => `hello ${name}\n`));
    const [pid] = (await cluster.vkctl(['ps', '-q'])).stdout.trim().split('\n');
    await cluster.vkctl(['kill', pid!]);
    await serving.ended;
  },
  240_000,
);
