// Connections that programs make (vkctl run --connect): where they may, by name and by number, and nowhere else; none outlives its process.
// And by names of syslink, on the same cluster: names.ts.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { startVkctl } from '../cluster/command.ts';
import { findCompiler, systemPath } from '../guests/toolchain.ts';
import { testNames } from './names.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-connections-'));
const client = join(folder, 'client.wasm');
const names = join(folder, 'names.wasm');
let cluster: TestCluster;
let server: Server;
let port: number;
let requests = 0;
const open = new Set<unknown>();

beforeAll(async () => {
  const { command } = await findCompiler();
  const flags = ['--target=wasm32-wasi', '-O1', '-Wall', '-Wextra', '-Werror', '-Wl,--stack-first'];
  const headers = join(import.meta.dirname, '../../libs/guest');
  const source = (name: string) => join(import.meta.dirname, name);
  const env = { ...process.env, PATH: systemPath() };
  execFileSync(command, [...flags, `-I${headers}`, source('client.c'), '-o', client], { env });
  execFileSync(command, [...flags, `-I${headers}`, source('names.c'), '-o', names], { env });
  server = createServer((_, answer) => answer.end(`answer ${requests++}\n`)).listen(0, '127.0.0.1');
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  await new Promise((resolve) => server.once('listening', resolve));
  port = (server.address() as AddressInfo).port;
  const allowConnect = [`127.0.0.0/8:${port}`, `localhost:${port}`, '127.0.0.1:1'];
  cluster = await TestCluster.up({ nodes: 2, allowDirs: [folder], allowConnect });
}, 150_000);
afterAll(async () => {
  await cluster.down();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
}, 90_000);

const run = (places: string[], ...args: string[]) =>
  cluster.vkctl([
    'run',
    '--node',
    'node1',
    ...places.flatMap((place) => ['--connect', place]),
    client,
    ...args,
  ]);

test('a program connects where it may, by number and by name, again and again', async () => {
  requests = 0;
  const answers = (count: number, from: number) =>
    Array.from({ length: count }, (_, i) => `answer ${from + i}\n`).join('');
  expect(await run([`${port}`], '150', `127.0.0.1:${port}`)).toMatchObject({
    code: 0,
    stdout: answers(150, 0),
  });
  expect(await run([`localhost:${port}`], '2', `LocalHost:${port}`)).toMatchObject({
    stdout: answers(2, 150),
  });
  const subnet = await run([`127.0.0.0/24:${port}`], '1', `127.0.0.1:${port}`);
  expect(subnet).toMatchObject({ stdout: answers(1, 152) });
  await until('no connection is left', async () => open.size === 0);
});

test.each([
  ['without leave', [], () => `127.0.0.1:${port}`, 'Permission denied'],
  ['at another port than its own', ['127.0.0.1:1'], () => `127.0.0.1:${port}`, 'Permission denied'],
  ['by another name than its own', ['PORT'], () => `localhost:${port}`, 'Permission denied'],
  ['where nobody listens', ['127.0.0.1:1'], () => '127.0.0.1:1', 'Connection refused'],
  ['to a range', ['PORT'], () => `127.0.0.0/24:${port}`, 'Invalid argument'],
  ['to no place', ['PORT'], () => 'here', 'Invalid argument'],
])('a program connects %s', async (_, places, address, why) => {
  const own = places.map((place) => (place === 'PORT' ? `127.0.0.1:${port}` : place));
  expect(await run(own, '1', address())).toMatchObject({ code: 0, stdout: `no connection: ${why}\n` });
});

test('what was not allowed is an event; what may not be allowed is refused before anything starts', async () => {
  const refused = await run([`127.0.0.1:${port === 65_535 ? 1024 : port + 1}`], '1', 'x');
  expect(refused.stderr).toMatch(
    /connecting to 127\.0\.0\.1:\d+ is not allowed on node1 .*vkctl up --allow-connect PLACE/s,
  );
  expect((await run(['0.0.0.0/0:1'], '1', 'x')).stderr).toMatch(/is not allowed on node1/);
  expect((await run(['256.0.0.1:1'], '1', 'x')).stderr).toMatch(/"256\.0\.0\.1:1" is no place to connect to/);
  const { stdout } = await cluster.vkctl(['events', '--security']);
  expect(stdout).toMatch(/process \d+ of .*: connecting to 127\.0\.0\.1:\d+ is not allowed to this program/);
});

test('who is killed leaves no connection', async () => {
  const env = { ODONATA_HOME: cluster.home, ODONATA_CLUSTER: cluster.cluster };
  const holding = startVkctl(
    ['run', '--node', 'node1', '--connect', `${port}`, client, '1', `127.0.0.1:${port}`, '--hold'],
    {
      env,
    },
  );
  await until('it holds one', async () => open.size === 1);
  const [pid] = (await cluster.vkctl(['ps', '-q'])).stdout.trim().split('\n');
  expect(await cluster.vkctl(['kill', pid!])).toMatchObject({ code: 0 });
  expect(await holding.ended).toMatchObject({ code: 143 });
  await until('it is closed', async () => open.size === 0);
});

testNames(() => cluster, names);
