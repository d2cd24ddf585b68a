// The parts that a cluster's life rests on: identities, the lock, names, what a dead one leaves.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Failure } from '../failure.ts';
import { identify, isAlive, signalIdentity } from './identity.ts';
import { tryLock, waitForLock } from './lock.ts';
import { clusterName, clusterPaths } from './paths.ts';
import { expectPort, isPortFree, pickPorts } from './ports.ts';
import { clearRemains, clusterProcesses, MARK } from './remains.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-cluster-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sleeper = (env: Record<string, string> = {}): ChildProcess =>
  spawn('sleep', ['60'], { stdio: 'ignore', env: { PATH: process.env.PATH, ...env } });

test('an identity outlives neither its process nor its start time', async () => {
  const child = sleeper();
  const identity = identify(child.pid!)!;
  expect(isAlive(identity)).toBe(true);
  expect(isAlive({ ...identity, startTicks: '1' })).toBe(false);
  expect(isAlive({ ...identity, bootId: 'another' })).toBe(false);
  expect(signalIdentity({ ...identity, startTicks: '1' }, 'SIGKILL')).toBe(false);
  expect(signalIdentity(identity, 'SIGKILL')).toBe(true);
  await once(child, 'exit');
  expect(isAlive(identity)).toBe(false);
});

test('one holder of the lock at a time; nothing is left after it', async () => {
  const file = join(folder, 'cluster.lock');
  const first = tryLock(file)!;
  expect(tryLock(file)).toBeUndefined();
  const second = waitForLock(file, 5000);
  setTimeout(() => first.release(), 60);
  const held = await second;
  expect(held).toBeDefined();
  expect(tryLock(file)).toBeUndefined();
  held!.release();
  expect(existsSync(file)).toBe(false);
  expect(await waitForLock(file, 0).then((lock) => lock?.release())).toBeUndefined();
});

test('a lock goes with the process that holds it, even by kill -9', async () => {
  const file = join(folder, 'killed.lock');
  const lock = tryLock(file)!;
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', lock.fd] });
  lock.handOver();
  expect(tryLock(file)).toBeUndefined();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const next = tryLock(file);
  expect(next).toBeDefined();
  next!.release();
});

test('names and folders', () => {
  expect(clusterName(undefined, {})).toBe('default');
  expect(clusterName(undefined, { ODONATA_CLUSTER: 'a-1' })).toBe('a-1');
  expect(clusterName('b', { ODONATA_CLUSTER: 'a' })).toBe('b');
  for (const bad of ['', '../x', 'A', 'x'.repeat(32), '-x']) {
    expect(() => clusterName(bad, {})).toThrow(Failure);
  }
  const paths = clusterPaths('c', { HOME: '/h', XDG_RUNTIME_DIR: '/run/user/7' });
  expect(paths.stateDir).toBe('/h/.local/state/odonata/c');
  expect(paths.runtimeDir).toBe('/run/user/7/odonata-c');
  const long = clusterPaths('c', { HOME: '/h', XDG_RUNTIME_DIR: `/${'r'.repeat(100)}` });
  expect(long.runtimeDir).toMatch(/^\/tmp\/odonata-\d+-c$/);
});

test('what a stranger made first is in nobody else’s way', ({ skip }) => {
  if (process.getuid!() !== 0) skip('only root can make what is of somebody else');
  const cluster = `squat-${process.pid}`;
  const ours = clusterPaths(cluster, { HOME: '/h' });
  const squatted = [ours.lockFile, ours.memoryDir, ours.runtimeDir];
  const other = `/dev/shm/odonata-0-${cluster}.1`;
  try {
    for (const path of squatted) {
      symlinkSync('/etc/passwd', path);
      lchownSync(path, 12_345, 12_345);
      const paths = clusterPaths(cluster, { HOME: '/h' });
      expect(paths).toMatchObject({ lockFile: `${other}.lock`, memoryDir: other });
      expect(paths.runtimeDir).toBe(`/tmp/odonata-0-${cluster}.1`);
      rmSync(path);
    }
    symlinkSync('/etc/passwd', squatted[0]!);
    expect(() => tryLock(squatted[0]!)).toThrow(/ELOOP/);
    lchownSync(squatted[0]!, 12_345, 12_345);
    const lock = tryLock(clusterPaths(cluster, { HOME: '/h' }).lockFile)!;
    // While it runs it stays where it is, also when the stranger goes.
    rmSync(squatted[0]!);
    expect(clusterPaths(cluster, { HOME: '/h' }).lockFile).toBe(`${other}.lock`);
    lock.release();
    expect(clusterPaths(cluster, { HOME: '/h' })).toEqual(ours);
  } finally {
    for (const path of [...squatted, `${other}.lock`]) rmSync(path, { force: true });
  }
});

test('ports are free, different, and a taken one is seen', async () => {
  const ports = await pickPorts(20);
  expect(new Set(ports).size).toBe(20);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  expect(await isPortFree(port)).toBe(false);
  await expect(expectPort(port)).rejects.toThrow(/is taken/);
  server.close();
  await once(server, 'close');
  expect(await isPortFree(port)).toBe(true);
});

test('what a dead cluster left is found by its mark and cleared, and nothing else', async () => {
  const paths = {
    ...clusterPaths('none'),
    stateDir: join(folder, 'state'),
    runtimeDir: join(folder, 'run'),
    memoryDir: join(folder, 'shm'),
  };
  for (const path of [paths.stateDir, paths.runtimeDir, paths.memoryDir]) mkdirSync(path);
  writeFileSync(join(paths.memoryDir, 'page'), 'x');
  const service = sleeper({ [MARK]: paths.runtimeDir });
  const vkernel = sleeper({
    ODONATA_VKERNEL_CONTROL: `unix:${paths.runtimeDir}/node1/vkernels/vkerneld.sock`,
  });
  const stranger = sleeper({ [MARK]: `${paths.runtimeDir}-other` });
  const ends = [service, vkernel].map((child) => once(child, 'exit'));
  expect(
    clusterProcesses(paths)
      .map((identity) => identity.pid)
      .sort(),
  ).toEqual([service.pid, vkernel.pid].sort());
  expect(await clearRemains(paths, { graceMs: 2000 })).toBe(true);
  await Promise.all(ends);
  expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  expect(statSync(paths.memoryDir, { throwIfNoEntry: false })).toBeUndefined();
  expect(await clearRemains(paths)).toBe(false);
  stranger.kill('SIGKILL');
});
