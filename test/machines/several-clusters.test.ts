// One machine is a node of two clusters: of its own, and of one that lodges there. Looked at from both.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adminName } from '@odonata/client/local/identity-folder.ts';
import { findCgroupHome } from '@odonata/userfault/sandbox/cgroup.ts';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { readRecord } from '../../services/vkctl/cluster/record.ts';
import { formatJoinToken, parseJoinToken } from '../../services/vkctl/door/join-token.ts';
import { ANSWERS } from '../../services/vkctl/schema/commands.ts';
import { startCommand, startVkctl } from '../cluster/command.ts';
import { buildGuest } from '../guests/build.ts';
import { LONG } from '../long.ts';
import { throwInThread } from './crash-thread.ts';
import { addressOf, Machine } from './machine.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'odonata-lodge-'));
// Whoever is kept out is kept out by the folders of clusters.
chmodSync(folder, 0o755);
const name = (letter: string): string => `multi-${letter}-${process.pid}`;
/** The machine with its own cluster, and the other cluster, which has a machine as well; how it is called on the first one. */
const own = new Machine({ folder, cluster: name('a'), address: '127.0.0.1' });
const other = new Machine({ folder, cluster: name('b'), address: addressOf(2) });
const called = name('c');
const both = [own, other];
/** Where the machine can hold somebody to a part of its processors. */
const found = findCgroupHome();
const cpus = (count: string): string[] =>
  'home' in found && found.home.folders.has('cpu') ? ['--cpus', count] : [];
let counter: string;
let spin: string;
let hog: string;
let usedToken: string;

const recordOf = ({ home, cluster }: Machine) => readRecord(join(home, 'odonata', cluster, 'cluster.json'))!;
const token = async (...more: string[]): Promise<string> =>
  (await other.done('node', 'token', 'add', '-q', ...more)).trim();
const lodging = (said: string, ...more: string[]): string[] => [
  ...['vkernel', 'create', 'guest', '--cluster', called, '--join', addressOf(2), '--token', said],
  ...['--address', addressOf(3), ...more],
];
const nodes = async (): Promise<Record<string, string>> => {
  const all = JSON.parse(await other.done('node', 'ls', '--json')) as { name: string; state: string }[];
  return Object.fromEntries(all.map((each) => [each.name, each.state]));
};
const guest = async (): Promise<Record<string, unknown>> => {
  const said: unknown = JSON.parse(await own.done('vkernel', 'ls', '--json'));
  const all = ANSWERS['vkernel ls']!.schema.parse(said) as { name: string }[];
  return all.find((each) => each.name === 'guest') ?? {};
};
const counted = async (
  machine: Machine,
  node: string,
  dataspace: string,
  ...how: string[]
): Promise<number> => JSON.parse(await machine.done('run', '--node', node, counter, dataspace, ...how)).seen;
const running = async (machine: Machine, pid: string): Promise<boolean> =>
  (JSON.parse(await machine.done('ps', '--json')) as { pid: string | number }[]).some(
    (each) => String(each.pid) === pid,
  );
const kill = (machine: Machine, ...services: string[]): void => {
  for (const { name: service, process: of } of recordOf(machine).services)
    if (services.includes(service) && of !== undefined) process.kill(of.pid, 'SIGKILL');
};
const WAIT = { timeout: 30_000, interval: 300 };
const untilReady = () =>
  vi.waitFor(async () => expect(await guest()).toMatchObject({ state: 'ready' }), WAIT);
/** Where the membership is kept while it lodges. */
const lodgedPaths = () => clusterPaths(called, own.env);

beforeAll(async () => {
  [counter, spin, hog] = await Promise.all([
    buildGuest('counter'),
    buildGuest('misbehave'),
    buildGuest('hog'),
  ]);
  await Promise.all([
    own.done('up', '-n', '1', '-p', '0', '--node-memory', '96M'),
    other.done('up', '--address', `${addressOf(2)}:0`, '--joins', '0', '--node-memory', '64M'),
  ]);
  usedToken = await token();
  const said = await own.done(...lodging(usedToken, '--memory', '48M', '--processes', '4', ...cpus('1.5')));
  expect(said).toMatch(
    /node1 of this machine is node2 of cluster "multi-b-\d+" as well, in virtual kernel guest/,
  );
});
afterAll(async () => {
  for (const each of both) await each.vkctl('down');
  const left = both.flatMap((each) => each.left().map((entry) => `${each.cluster}: ${entry}`));
  const traces = ['/dev/shm', '/tmp'].flatMap((place) =>
    readdirSync(place).filter((entry) =>
      [...both.map(({ cluster }) => cluster), called].some((each) => entry.includes(each)),
    ),
  );
  rmSync(folder, { recursive: true, force: true });
  expect([left, traces]).toEqual([[], []]);
});

it('is a node of both, and what is of one is nowhere in the other', async () => {
  expect(await nodes()).toEqual({ node1: 'ready', node2: 'ready' });
  const cpuMillis = cpus('1.5').length > 0 ? 1_500 : 0;
  expect(await guest()).toMatchObject({
    ...{ node: 'node1', state: 'ready', cluster: other.cluster, called, as: 'node2' },
    quota: { memoryBytes: 48 << 20, cpuMillis, processes: 4 },
  });
  const listed: unknown = JSON.parse(await other.done('node', 'ls', '--json'));
  const there = ANSWERS['node ls']!.schema.parse(listed) as { lodges?: object }[];
  expect(there.map(({ lodges }) => lodges)).toEqual([
    undefined,
    { memoryBytes: 48 << 20, cpuMillis, processes: 4 },
  ]);
  // Shared pages of the other cluster, there and here.
  await Promise.all(['node1', 'node2'].map((node) => counted(other, node, 'tally', 'atomic', '500')));
  expect(await counted(other, 'node2', 'tally', 'read')).toBe(1000);
  expect(await counted(own, 'node1', 'tally', 'read')).toBe(0);
  // Homes, and the tables of processes: numbers are the same, what they name is not.
  const file = join(own.home, 'mine');
  writeFileSync(file, 'mine');
  await own.done('cp', file, `node1/default:/home/${adminName()}/mine`);
  expect(await other.refused('cp', `node2/default:/home/${adminName()}/mine`, '-')).toMatch(/mine/);
  const pid = (await own.done('run', '-d', spin, 'spin')).trim();
  expect(await other.done('ps', '-a')).not.toMatch(/ spin/);
  expect(await other.refused('kill', pid)).toMatch(/./);
  expect(await running(own, pid)).toBe(true);
  await own.done('kill', '-s', 'KILL', pid);
});

it('whoever is of one cluster is nobody in the other, and gets at nothing of it', async () => {
  const theirs = recordOf(other);
  const ours = recordOf(own);
  const identity = (stateDir: string, of: string) => join(stateDir, 'identity', of);
  const admin = readdirSync(join(theirs.plan.stateDir, 'identity')).find((each) =>
    each.startsWith('admin-'),
  )!;
  const strangers = [
    [ours.syslink, identity(theirs.plan.stateDir, admin)],
    [ours.syslink, identity(lodgedPaths().stateDir, 'vkerneld-node2')],
    [theirs.syslink, identity(ours.plan.stateDir, admin)],
    [theirs.syslink, identity(ours.plan.stateDir, 'vkerneld-node1')],
  ] as const;
  const answers = strangers.map(async ([router, tls]) => {
    const env = { ...own.env, ODONATA_CLUSTER: '', ODONATA_SYSLINK: router, ODONATA_TLS_DIR: tls };
    const { code, stdout } = await startVkctl(['ps'], { env, timeoutMs: 60_000 }).ended;
    expect([code === 0, stdout], `${tls} at ${router}`).toEqual([false, '']);
  });
  await Promise.all(answers);
  // Folders of the machine are its owner's to grant.
  expect(await other.refused('allow', '--node', 'node2', '/etc')).toMatch(
    /lodges on the machine of another cluster/,
  );
  if (process.getuid!() !== 0) return;
  // A virtual kernel that broke out of all of its walls but its uid.
  await own.done('run', counter, 'tally', 'read');
  const kernels = [
    [own, 'node1', [lodgedPaths()]],
    [other, 'node2', [{ ...ours.plan }]],
  ] as const;
  for (const [machine, node, places] of kernels) {
    const all = JSON.parse(await machine.done('vkernel', 'ls', '--json')) as {
      node: string;
      hostPid: number;
      name: string;
    }[];
    const { hostPid } = all.find((each) => each.node === node && each.name === 'default')!;
    const uid = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${hostPid}/status`, 'utf8'))![1]!;
    expect(Number(uid)).toBeGreaterThan(0);
    for (const { stateDir, runtimeDir, memoryDir } of places) {
      const folders = [stateDir, join(stateDir, 'homes'), join(stateDir, 'identity'), runtimeDir, memoryDir];
      const sockets = ['node1', 'node2'].map((each) => join(runtimeDir, each, 'vkernels/pmapd.sock'));
      const tries = [
        ...folders.map((path) => `ls ${path} && echo GOT ${path}`),
        ...sockets.map((path) => `[ -e ${path} ] && echo GOT ${path}`),
        `kill -0 ${recordOf(own).supervisor.pid} && echo GOT signal`,
        ...['true'],
      ].join('; ');
      const out = await startCommand(
        ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups', 'sh', '-c', tries],
        { env: { PATH: process.env.PATH } },
      ).ended;
      expect([out.code, out.stdout]).toEqual([0, '']);
    }
  }
});

it('one pool of frames, and a bound in it', async () => {
  // More than its other node takes, too.
  const tooMuch = await other.vkctl('run', '--node', 'node2', hog, 'private', '200');
  expect([tooMuch.code === 0, tooMuch.stderr]).toEqual([false, expect.stringMatching(/out of memory/)]);
  // What the own cluster has is not there for the other one, whatever its bound says; and is when it is given back.
  const pid = (await own.done('run', '-d', hog, 'private', '60', '600000')).trim();
  await vi.waitFor(async () => expect(await own.done('logs', pid)).toContain('"done":60'), WAIT);
  const none = await other.vkctl('run', '--node', 'node2', hog, 'private', '200');
  expect([none.code === 0, none.stderr]).toEqual([
    false,
    expect.stringMatching(/out of memory.*other clusters of its machine have/),
  ]);
  await own.done('kill', '-s', 'KILL', pid);
  await vi.waitFor(
    async () => expect((await other.vkctl('run', '--node', 'node2', hog, 'private', '30')).code).toBe(0),
    WAIT,
  );
  // Said anew while it runs; and how many programs.
  expect(await own.refused('vkernel', 'set', 'guest', '--memory', '1G')).toMatch(/hands out 96 MiB in all/);
  const set = await own.done('vkernel', 'set', 'guest', '--memory', '24M', '--processes', '1', '--json');
  expect(ANSWERS['vkernel set']!.schema.parse(JSON.parse(set))).toMatchObject([{ as: 'node2', called }]);
  const spinning = (await other.done('run', '-d', '--node', 'node2', spin, 'spin')).trim();
  await vi.waitFor(
    async () =>
      expect(await other.refused('run', '--node', 'node2', counter, 'x', 'read')).toMatch(
        /has 1 processes, which is all that this cluster may have/,
      ),
    WAIT,
  );
  if (cpus('0.2').length > 0) {
    await own.done('vkernel', 'set', 'guest', ...cpus('0.2'));
    await vi.waitFor(async () => expect(Number((await guest()).throttledMs)).toBeGreaterThan(0), WAIT);
    await own.done('vkernel', 'set', 'guest', ...cpus('0'));
  }
  await other.done('kill', '-s', 'KILL', spinning);
  await own.done('vkernel', 'set', 'guest', '--memory', '48M', '--processes', '0');
  await untilReady();
});

it('the death of one cluster leaves the programs of the other alone, on both sides', async () => {
  const [mine, theirs] = await Promise.all([
    own.done('run', '-d', spin, 'spin'),
    other.done('run', '-d', '--node', 'node2', spin, 'spin'),
  ]);
  kill(own, 'nats', 'syslinkd', 'cohd');
  expect(await counted(other, 'node2', 'deaths', 'atomic', '7')).toBe(7);
  expect(await counted(other, 'node1', 'deaths', 'atomic', '7')).toBe(14);
  await vi.waitFor(
    async () => expect(await counted(own, 'node1', 'ours', 'atomic', '1')).toBeGreaterThan(0),
    WAIT,
  );
  kill(other, 'nats', 'syslinkd', 'cohd', 'door');
  expect(await counted(own, 'node1', 'deaths', 'atomic', '3')).toBe(3);
  await vi.waitFor(async () => expect(await counted(other, 'node2', 'deaths', 'read')).toBe(14), WAIT);
  // The supervisor of its virtual kernels there: they go on without it.
  process.kill((await guest()).hostPid as number, 'SIGKILL');
  // A new pmap manager takes over from the one that served both.
  await own.done('restart', 'node1/pmapd');
  await untilReady();
  expect(await counted(other, 'node2', 'deaths', 'read')).toBe(14);
  expect(await running(own, mine.trim())).toBe(true);
  expect(await running(other, theirs.trim())).toBe(true);
  if (LONG) {
    // A bug in the thread of the one: the other is in the same process, and hears nothing of it.
    const manager = recordOf(own).services.find((each) => each.name === 'node1/pmapd')!.process!.pid;
    await throwInThread(manager, 'lodger guest');
    await vi.waitFor(
      async () => expect(await counted(other, 'node2', 'anew', 'atomic', '1')).toBeGreaterThan(0),
      WAIT,
    );
    expect(await running(other, theirs.trim())).toBe(false);
    expect([existsSync(`/proc/${manager}`), await running(own, mine.trim())]).toEqual([true, true]);
  }
  await Promise.all([
    own.done('kill', '-s', 'KILL', mine.trim()),
    other.vkctl('kill', '-s', 'KILL', theirs.trim()),
  ]);
  // Killed it takes both along, and both are there again: this is what they share.
  if (!LONG) return;
  kill(own, 'node1/pmapd');
  await vi.waitFor(
    async () => expect(await counted(other, 'node2', 'again', 'atomic', '1')).toBeGreaterThan(0),
    WAIT,
  );
  await vi.waitFor(async () => expect(await counted(own, 'node1', 'again', 'read')).toBe(0), WAIT);
});

it('leaves with nothing left, and what cannot be is one line', async () => {
  await untilReady();
  const good = await token();
  const tried = (said: string, ...more: string[]) => own.refused(...lodging(said, ...more));
  expect(await tried(good)).toMatch(/a cluster lodges here as guest already/);
  expect(
    await own.refused(
      'vkernel',
      'create',
      'second',
      '--cluster',
      name('d'),
      '--join',
      addressOf(2),
      '--token',
      good,
    ),
  ).toMatch(/that cluster lodges on this machine already, as guest/);
  expect(
    await own.refused(
      'vkernel',
      'create',
      'me',
      '--cluster',
      own.cluster,
      '--join',
      addressOf(2),
      '--token',
      good,
    ),
  ).toMatch(
    /is how the cluster is called here whose node this machine is. Call the other one otherwise here/,
  );
  expect(await own.refused('status', '-c', called)).toMatch(
    /lodges on this machine, with cluster .*vkctl vkernel ls/,
  );
  const before = (await guest()).hostPid;
  expect(await own.done('restart', 'guest/vkerneld')).toMatch(/^guest\/vkerneld runs again/);
  expect((await guest()).hostPid).not.toBe(before);
  expect(
    await own.done('vkernel', 'set', 'guest', '--host-cluster', own.cluster, '--processes', '5'),
  ).toMatch(/lodges here as guest may have .*5 processes/);
  for (const command of ['up', 'down'])
    expect(await own.refused(command, '-c', called)).toMatch(/lodges on this machine, with cluster/);
  expect(await own.refused('vkernel', 'halt', 'guest')).toMatch(/is a cluster that lodges here/);
  // Pages that only this machine had are elsewhere then.
  expect(await counted(other, 'node2', 'kept', 'atomic', '9')).toBe(9);
  expect(await own.done('vkernel', 'rm', 'guest')).toMatch(
    /node2 has left cluster .*; nothing is left of it here/,
  );
  expect(await nodes()).toEqual({ node1: 'ready' });
  expect(await counted(other, 'node1', 'kept', 'read')).toBe(9);
  expect([await guest(), own.left().includes(called)]).toEqual([{}, false]);

  expect(await tried(usedToken)).toMatch(/the token was used as often as it counts/);
  expect(await tried(good.slice(0, -3))).toMatch(/that is no token, or not all of one/);
  const parsed = parseJoinToken(good)!;
  expect(await tried(formatJoinToken({ ...parsed, port: 1 }))).toMatch(/does not answer/);
  expect(await tried(good, '--disk', '1G')).toMatch(/--disk is said within the other cluster/);
  expect(await tried(good, '--memory', '1G')).toMatch(/hands out 96 MiB in all/);
  // Interrupted: it is as if nobody had tried.
  const { child, ended } = startVkctl(lodging(good), { env: own.env, timeoutMs: 60_000 });
  await vi.waitFor(() => expect(own.left()).toContain(called), { timeout: 20_000, interval: 20 });
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  expect([own.left().includes(called), await nodes()]).toEqual([false, { node1: 'ready' }]);
});

it('ends in order with the cluster that it lodges with', async () => {
  await own.done(...lodging(await token()));
  expect(Object.values(await nodes())).toEqual(['ready', 'ready']);
  // Kept, it comes back by itself.
  if (LONG) {
    await own.done('down', '--keep');
    expect(Object.values(await nodes())).toEqual(['ready', 'away']);
    await own.done('up', '-n', '1', '-p', '0', '--node-memory', '96M');
    await untilReady();
    expect(Object.values(await nodes())).toEqual(['ready', 'ready']);
  }
  expect(await own.done('down')).toMatch(/guest, node\d of cluster .*, has left that one/);
  expect(await nodes()).toEqual({ node1: 'ready' });
});
