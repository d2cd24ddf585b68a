// A cluster's life by the command line: up, a second up, a service killed, the supervisor killed, down.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { buildGuest } from '../../test/guests/build.ts';
import { isAlive } from './cluster/identity.ts';
import { clusterPaths } from './cluster/paths.ts';
import { type ClusterRecord, readRecord } from './cluster/record.ts';
import { clusterProcesses } from './cluster/remains.ts';

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'odonata-up-test-'));
const cluster = `up-test-${process.pid}`;
const env = { ...process.env, ODONATA_HOME: home, ODONATA_CLUSTER: cluster, NO_COLOR: '1' };
const paths = clusterPaths(cluster, env);

afterAll(() => {
  vkctl('down');
  rmSync(home, { recursive: true });
});

function vkctl(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env,
    timeout: 100_000,
    killSignal: 'SIGKILL',
  });
}

const up = (...args: string[]) => vkctl('up', '--nodes', '1', '--port', '0', ...args);
const record = (): ClusterRecord => readRecord(paths.clusterFile)!;

async function until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(50);
  }
}

function expectNothingLeft(): void {
  expect(clusterProcesses(paths)).toEqual([]);
  for (const path of [paths.stateDir, paths.runtimeDir, paths.memoryDir, paths.lockFile]) {
    expect(existsSync(path), path).toBe(false);
  }
  expect(readdirSync(home)).toEqual([]);
}

test('where programs may listen is refused at once where it is no place', () => {
  const { status, stderr } = up('--allow-listen', 'here');
  expect(stderr).toMatch(/^vkctl: --allow-listen: "here": use PORT, ADDRESS:PORT .*\n$/);
  expect(status).toBe(2);
  expectNothingLeft();
});

test('up, status, a second up, a killed service, down', async () => {
  expect(up()).toMatchObject({
    status: 0,
    stdout: expect.stringContaining(`cluster "${cluster}" is up: 1 node`),
  });

  const second = up();
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(/^vkctl: cluster "up-test-\d+" is already up .*vkctl down.*\n$/);

  const status = vkctl('status', '--json');
  expect(status).toMatchObject({ status: 0, stderr: '' });
  const { services, nodes } = JSON.parse(status.stdout);
  expect(services.map((service: { name: string }) => service.name)).toEqual([
    'nats',
    'syslinkd',
    'cohd',
    'node1/pmapd',
    'node1/vkerneld',
  ]);
  expect(services.every((service: { state: string }) => service.state === 'running')).toBe(true);
  expect(nodes).toMatchObject([{ name: 'node1', stats: { directoryConnected: true } }]);

  const killed = record().services.find((service) => service.name === 'node1/vkerneld')!;
  process.kill(killed.process!.pid, 'SIGKILL');
  const again = () => record().services.find((service) => service.name === 'node1/vkerneld')!;
  await until('vkerneld runs again', () => again().state === 'running' && again().restarts === 1);
  expect(again().lastEnd).toBe('SIGKILL');
  await until('status is well', () => vkctl('status').status === 0);

  expect(vkctl('down')).toMatchObject({ status: 0, stdout: `cluster "${cluster}" is down\n` });
  expectNothingLeft();
  expect(vkctl('down')).toMatchObject({ status: 0, stderr: expect.stringContaining('is not up') });
});

test('restart: all in turn, and what is not a service', () => {
  expect(up().status).toBe(0);
  const restarted = vkctl('restart', '--all', '--json');
  expect(restarted).toMatchObject({ status: 0, stderr: '' });
  const names = ['syslinkd', 'cohd', 'node1/pmapd', 'node1/vkerneld'];
  expect(JSON.parse(restarted.stdout).map((each: { name: string }) => each.name)).toEqual(names);
  const services = record().services.map(({ name, restarts, lastEnd }) => ({ name, restarts, lastEnd }));
  expect(services).toEqual([
    { name: 'nats', restarts: 0, lastEnd: undefined },
    ...names.map((name) => ({ name, restarts: 1, lastEnd: 'exit 0' })),
  ]);
  expect(vkctl('restart')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^vkctl: .*--all.*\n$/),
  });
  expect(vkctl('restart', '--all', names[0]!)).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^vkctl: --all and names .*exclude each other.*\n$/),
  });
  expect(vkctl('restart', 'node9/pmapd')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/^vkctl: no service "node9\/pmapd"; there are: .*node1\/pmapd.*\n$/),
  });
  expect(vkctl('down').status).toBe(0);
  expectNothingLeft();
});

test('a supervisor killed with SIGKILL takes everything with it, running programs too', async () => {
  expect(up().status).toBe(0);
  const program = await buildGuest('misbehave');
  expect(vkctl('run', '-d', program, 'spin')).toMatchObject({ status: 0, stderr: '' });
  const { vkernels } = JSON.parse(vkctl('status', '--json').stdout).nodes[0];
  expect(clusterProcesses(paths).map(({ pid }) => pid)).toContain(vkernels[0].hostPid);
  const { supervisor, services } = record();
  process.kill(supervisor.pid, 'SIGKILL');
  await until('all services are gone', () => services.every((service) => !isAlive(service.process!)));
  await until('folders and lock are gone', () => !existsSync(paths.lockFile) && !existsSync(paths.stateDir));
  expectNothingLeft();
});

test('up right after the supervisor was killed finds a clean place', () => {
  expect(up().status).toBe(0);
  process.kill(record().supervisor.pid, 'SIGKILL');
  expect(up()).toMatchObject({ status: 0, stderr: '' });
  expect(vkctl('down').status).toBe(0);
  expectNothingLeft();
});

test('a taken port is one clear line, and nothing is left', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const taken = vkctl('up', '--nodes', '1', '--port', String(port));
  expect(taken).toMatchObject({ status: 1, stdout: '' });
  expect(taken.stderr).toMatch(new RegExp(`^vkctl: port ${port} on 127.0.0.1 is taken.*--port.*\n$`));
  server.close();
  expectNothingLeft();
});
