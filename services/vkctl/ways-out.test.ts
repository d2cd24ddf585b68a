// Out of every state a way: folders deleted while the cluster runs, two who start it at once, one who is killed while it
// starts, and places that take nothing. Each is one true line, and nothing is left.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { adminFolder } from './cluster/certificates.ts';
import { clusterPaths } from './cluster/paths.ts';
import { readRecord } from './cluster/record.ts';
import { clusterProcesses } from './cluster/remains.ts';
import { runningSupervisor } from './cluster/supervisors.ts';

vi.setConfig({ testTimeout: 300_000 });

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'odonata-ways-out-'));
const cluster = `ways-out-${process.pid}`;
const env: NodeJS.ProcessEnv = {
  ...process.env,
  ODONATA_HOME: home,
  ODONATA_CLUSTER: cluster,
  NO_COLOR: '1',
};
delete env.ODONATA_SYSLINK;
const paths = clusterPaths(cluster, env);

// What a test that fails leaves is not in the way of the next.
afterEach(() => {
  if (clusterProcesses(paths).length > 0 || existsSync(paths.stateDir)) vkctl('down');
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

const vkctlIn = (where: NodeJS.ProcessEnv, ...args: string[]): Ended =>
  spawnSync(process.execPath, [launcher, ...args], {
    encoding: 'utf8',
    env: where,
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
const vkctl = (...args: string[]): Ended => vkctlIn(env, ...args);

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [launcher, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = Promise.all([once(child, 'exit'), text(child.stdout!), text(child.stderr!)]);
  return { child, ended: ended.then(([[status], stdout, stderr]) => ({ status, stdout, stderr })) };
}
const UP = ['up', '--nodes', '1', '--port', '0'];

async function until(what: string, holds: () => boolean, timeoutMs = 90_000): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(20);
  }
}

function expectNothingLeft(): void {
  expect(clusterProcesses(paths)).toEqual([]);
  expect(runningSupervisor(paths)).toBeUndefined();
  for (const path of [paths.stateDir, paths.runtimeDir, paths.memoryDir, paths.lockFile])
    expect(existsSync(path), path).toBe(false);
}

const oneLine = (pattern: RegExp): object =>
  expect.stringMatching(new RegExp(`^vkctl: [^\\n]*${pattern.source}[^\\n]*\\n$`));

test('two at once: one starts it; its folders deleted it is still seen, and ended', async () => {
  const both = await Promise.all([start(...UP), start(...UP)].map(({ ended }) => ended));
  const [first, second] = both.toSorted((a, b) => a.status! - b.status!) as [Ended, Ended];
  expect(first).toMatchObject({ status: 0, stderr: '' });
  expect(second).toMatchObject({ status: 1, stderr: oneLine(/is already (starting|up) .*vkctl down/) });

  rmSync(paths.stateDir, { recursive: true, maxRetries: 5 });
  await vi.waitFor(() => expect(vkctl('ps')).toMatchObject({ status: 0, stderr: '' }), {
    timeout: 10_000,
    interval: 100,
  });
  expect(vkctl(...UP)).toMatchObject({ status: 1, stderr: oneLine(/is already up/) });
  // Another home: neither is it said to be down, nor is it ended.
  const elsewhere = { ...env, ODONATA_HOME: `${home}-other` };
  expect(vkctlIn(elsewhere, 'down')).toMatchObject({
    status: 1,
    stderr: oneLine(new RegExp(`ODONATA_HOME=${home}`)),
  });

  expect(
    vkctlIn(
      {
        ...env,
        ODONATA_SYSLINK: readRecord(paths.clusterFile)!.syslink,
        ODONATA_TLS_DIR: adminFolder(readRecord(paths.clusterFile)!.plan)!.dir,
      },
      'status',
    ),
  ).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^cluster elsewhere [\s\S]*node1\/pmapd +running/),
  });
  expect(vkctlIn({ ...env, ODONATA_SYSLINK: '127.0.0.1:9' }, 'status')).toMatchObject({
    status: 1,
    stderr: oneLine(/router at 127.0.0.1:9 \(ODONATA_SYSLINK\) does not answer/),
  });
  const unnamed: NodeJS.ProcessEnv = { ...env, ODONATA_SYSLINK: '127.0.0.1:9' };
  delete unnamed.ODONATA_CLUSTER;
  for (const command of [['down'], ['restart', '--all']])
    expect(vkctlIn(unnamed, ...command)).toMatchObject({ status: 2, stderr: oneLine(/ODONATA_SYSLINK/) });

  for (const folder of [paths.stateDir, paths.runtimeDir, paths.memoryDir])
    rmSync(folder, { recursive: true, force: true });
  expect(vkctl('down')).toMatchObject({ status: 0, stdout: `cluster "${cluster}" is down\n`, stderr: '' });
  expectNothingLeft();
});

test('who starts it is killed half-way: it is said to be up, and ends; down while it starts ends the start', async () => {
  const killed = start(...UP);
  await until('a supervisor runs', () => runningSupervisor(paths) !== undefined);
  killed.child.kill('SIGKILL');
  await killed.ended;
  expect(vkctl(...UP)).toMatchObject({ status: 1, stderr: oneLine(/is already (starting|up)/) });
  expect(vkctl('down')).toMatchObject({ status: 0, stdout: `cluster "${cluster}" is down\n` });
  expectNothingLeft();

  // It may be up before this machine has begun with `down`.
  let end: Awaited<typeof killed.ended> | undefined;
  for (let tries = 0; tries < 5 && end?.status !== 1; tries++) {
    const starting = start(...UP);
    await until('a supervisor runs', () => runningSupervisor(paths) !== undefined);
    expect(vkctl('down')).toMatchObject({ status: 0, stderr: '' });
    end = await starting.ended;
    expectNothingLeft();
  }
  expect(end).toMatchObject({ status: 1, stderr: oneLine(/was ended while it started/) });
});

test('places that take nothing are one line, and nothing is left', () => {
  const plain = join(home, 'plain');
  writeFileSync(plain, '');
  const { ODONATA_HOME: _, ...withoutHome } = env;
  for (const HOME of ['/proc', plain]) {
    const where = { ...withoutHome, HOME };
    expect(vkctlIn(where, ...UP)).toMatchObject({
      status: 1,
      stderr: oneLine(/cannot make.*Set ODONATA_HOME/),
    });
    expect(vkctlIn(where, 'ps')).toMatchObject({ status: 1, stderr: oneLine(/is not up/) });
    expect(vkctlIn(where, 'down')).toMatchObject({ status: 0, stderr: expect.stringContaining('is not up') });
  }
  expect(vkctlIn({ ...env, XDG_RUNTIME_DIR: join(home, 'none') }, ...UP)).toMatchObject({
    status: 1,
    stderr: oneLine(/cannot make.*Set XDG_RUNTIME_DIR/),
  });
  rmSync(plain);
  expectNothingLeft();
});

const mayMount = spawnSync('unshare', ['-m', 'true']).status === 0;
test.runIf(mayMount)('a state folder that is a disk of its own is emptied, and stays', () => {
  mkdirSync(paths.stateDir);
  const script = `mount -t tmpfs disk ${paths.stateDir} && mkdir ${paths.stateDir}/logs &&
    ${process.execPath} ${launcher} down && ls -A ${paths.stateDir} && ${process.execPath} ${launcher} down`;
  const ended = spawnSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8', env, timeout: 120_000 });
  expect(ended).toMatchObject({
    status: 0,
    stdout: `cluster "${cluster}" was dead; what it left is cleared\n`,
    stderr: expect.stringMatching(/^cluster .* is not up; nothing to do\n$/),
  });
  rmSync(paths.stateDir, { recursive: true, maxRetries: 5 });
  expect(readdirSync(home)).toEqual([]);
});
