// A pmap manager is replaced by another one of its node, and nobody notices: no process ends, no fault fails.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { identify, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { buildGuest } from '../guests/build.ts';
import { ServiceProcess } from '../operate/service-process.ts';
import { TestCluster, until } from './cluster.ts';

vi.setConfig({ testTimeout: 300_000 });

const STANDS_BY = 'stands by: another pmap manager of this node runs, and hands over when it is told to stop';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

async function restart(name: string): Promise<void> {
  const { pid } = cluster.service(name).process!;
  const { code, stderr } = await cluster.vkctl(['restart', name]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(cluster.service(name).process!.pid).not.toBe(pid);
}

test('under load: the programs of its own node go on, and count right', async () => {
  await cluster.output('node1', 'counter', ['rolling', 'read']);
  const counters = await Promise.all(
    ['node1', 'node1', 'node2'].map((node) => cluster.start(node, 'counter', ['rolling', 'lock', '1000'])),
  );
  for (const name of ['node1/pmapd', 'node2/pmapd', 'node1/pmapd']) await restart(name);
  const ends = await Promise.all(counters.map((counter) => counter.end()));
  for (const end of ends) expect(end).toMatchObject({ code: 0, stderr: '', reason: '' });
  const { seen } = await cluster.json<{ seen: number }>('node1', 'counter', ['rolling', 'read']);
  expect(seen).toBe(3_000);
  const log = readFileSync(cluster.service('node1/pmapd').logFile, 'utf8');
  expect(log).not.toMatch(/did not answer|did not come back|"level":"(error|fatal)"/);
});

test('who waits in a lock, in a wait or for memory goes on waiting, and gets it', async () => {
  const holder = await cluster.start('node2', 'rangelock', ['locks', '-9', '9', 'exclusive', '-1', '--hold']);
  await holder.wrote(/"locked":true/);
  const own = ['locks', '-99', '-90', 'shared', '-1', '--hold'];
  const ownHolder = await cluster.start('node1', 'rangelock', own);
  await ownHolder.wrote(/"locked":true/);
  const [locker, sleeper, hog] = await Promise.all([
    cluster.start('node1', 'rangelock', ['locks', '5', '5', 'exclusive', '-1']),
    cluster.start('node1', 'futex', ['word', 'wait', '0', '-1']),
    cluster.start('node1', 'misbehave', ['hog', '384']),
  ]);
  await sleeper.wrote(/waiting/);
  await hog.wrote(/touched_mib/);
  await restart('node1/pmapd');
  expect(await hog.end()).toMatchObject({ code: 0, reason: '' });
  expect(locker.stdout).toBe('');
  expect(await cluster.json('node2', 'futex', ['word', 'set', '1'])).toMatchObject({ errno: 0 });
  expect(await sleeper.end()).toMatchObject({ code: 0, reason: '' });
  await cluster.vkctl(['kill', '-KILL', `${await holder.pid}`]);
  expect(await locker.end()).toMatchObject({ code: 0, reason: '' });
  // What it held it holds still.
  const other = ['locks', '-95', '-95', 'exclusive', '0'];
  expect(await cluster.json('node2', 'rangelock', other)).toMatchObject({ locked: false });
  await cluster.vkctl(['kill', '-KILL', `${await ownHolder.pid}`]);
});

test('vmspaces made by hand go on, with their names, what they map, and their bytes', async () => {
  const vmspaces = () => cluster.connection.vmspaces('node1');
  await cluster.connection.dataspaces('node1').create({ name: 'handed', sizeBytes: 1n << 20n });
  const page = { lengthBytes: 4_096n, writable: true };
  const shared = { ...page, address: 4_096n, dataspace: 'handed', stepBytes: 4_096n };
  const entries = [shared, { ...page, address: 8_192n }];
  const { firstVmspace } = await vmspaces().vmspaceCreateMany({ count: 200, entries });
  const { vmspace: named } = await vmspaces().vmspaceCreate({ name: 'mine' });
  const bytes = (i: bigint) => Buffer.from(`vmspace ${i}`);
  for (let i = 0n; i < 200n; i += 10n)
    for (const address of [4_096n, 8_192n])
      await vmspaces().vmspacePwrite({ vmspace: firstVmspace + i, address, data: bytes(i) });
  const { totalPrivate, listed } = await handmadeOf('node1');
  for (let times = 0; times < 2; times++) await restart('node1/pmapd');
  expect(await handmadeOf('node1')).toEqual({ totalPrivate, listed });
  for (let i = 0n; i < 200n; i += 10n)
    for (const address of [4_096n, 8_192n]) {
      const read = { vmspace: firstVmspace + i, address, length: bytes(i).length };
      expect(Buffer.from((await vmspaces().vmspacePread(read)).data)).toEqual(bytes(i));
    }
  await expect(vmspaces().vmspaceCreate({ name: 'mine' })).rejects.toThrow(`already: ${named}`);
  // A new one has an id that nobody had, and what ends gives its frames back.
  const { vmspace: later } = await vmspaces().vmspaceCreate({});
  expect(later).toBeGreaterThan(named);
  await vmspaces().vmspaceDestroyMany({ firstVmspace, count: 210 });
  expect(await handmadeOf('node1')).toEqual({ totalPrivate: 0n, listed: [] });
});

async function handmadeOf(
  node: string,
): Promise<{ totalPrivate: bigint; listed: [bigint, string, number][] }> {
  const { vmspaces } = await cluster.connection.vmspaces(node).listVmspaces({ pageSize: 1_000 });
  const theirs = vmspaces.filter(({ idleMs }) => idleMs > 0);
  return {
    totalPrivate: theirs.reduce((sum, { privatePages }) => sum + privatePages, 0n),
    listed: theirs.map(({ vmspace, name, entries }) => [vmspace, name, entries]),
  };
}

test('pages, also durable ones, and frames are as before', async () => {
  await cluster.output('node1', 'pattern', ['mine', '3000', 'write', '1']);
  await cluster.output('node2', 'pattern', ['theirs', '300', 'write', '2']);
  await cluster.output('node1', 'pattern', ['theirs', '300', 'write', '3']);
  const durable = ['synced', '0', '--size', '8192', '--durable', '--write', '11', '12'];
  await cluster.output('node1', 'peek', durable);
  const frames = await privateFrames();
  await restart('node1/pmapd');
  expect(await privateFrames()).toBe(frames);
  expect(await cluster.vkctl(['ds', 'sync', 'synced', '--node', 'node1'])).toMatchObject({ code: 0 });
  await restart('node1/pmapd');
  for (const [name, seed, pages] of [
    ['mine', '1', '3000'],
    ['theirs', '3', '300'],
  ] as const)
    for (const node of ['node2', 'node1'])
      expect(await cluster.json(node, 'pattern', [name, pages, 'check', seed])).toMatchObject({
        wrong_pages: 0,
      });
  expect(await cluster.json('node2', 'peek', ['synced', '0', '2'])).toMatchObject({ words: [11, 12] });
});

async function privateFrames(): Promise<bigint> {
  return (await cluster.connection.pmapd('node1').getNodeStats({})).framesPrivate;
}

describe('one that stands by', () => {
  /** Another pmap manager of node1, with these settings beside those of the one that runs. */
  function another(...args: string[]): ServiceProcess {
    const { pid } = cluster.service('node1/pmapd').process!;
    const [command, ...own] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    return new ServiceProcess(command!, [...own.filter((arg) => arg !== '--take-over'), ...args]);
  }

  test('takes over when the one that runs is told to stop, and hands over itself', async () => {
    const counter = await cluster.start('node1', 'counter', ['standby', 'lock', '3000']);
    const standby = another();
    await standby.line(STANDS_BY);
    const { process: identity, restarts } = cluster.service('node1/pmapd');
    signalIdentity(identity!, 'SIGTERM');
    await standby.line('pmapd is up');
    // The supervisor starts its own again, which stands by in turn.
    await until('it runs again', () => cluster.service('node1/pmapd').restarts === restarts + 1);
    await standby.line('another pmap manager of this node stands by');
    standby.child.kill('SIGTERM');
    expect(await standby.ended).toBe(0);
    expect(await counter.end()).toMatchObject({ code: 0, reason: '' });
    await cluster.well();
  });

  test('goes on alone where the one that runs is killed, and can be replaced then', async () => {
    const [port] = await pickPorts(1);
    const hog = await cluster.start('node1', 'misbehave', ['hog', '64', 'FOREVER']);
    await hog.wrote(/"touched_mib":64/);
    const standby = another('--listen', `127.0.0.1:${port}`);
    await standby.line('pmapd that stands by listens');
    await cluster.withoutRestarts(async () => {
      await cluster.kill('node1/pmapd');
      await standby.line('pmapd is up');
    });
    // Its virtual kernel outlived the first one, and has nothing of the frames that it had there.
    expect(await hog.end()).toMatchObject({ code: 137, reason: expect.stringContaining('went away') });
    await standby.line('another pmap manager of this node stands by');
    const counter = await cluster.start('node1', 'counter', ['standby-again', 'lock', '2000']);
    standby.child.kill('SIGTERM');
    expect(await standby.ended).toBe(0);
    expect(standby.stderr).not.toMatch(/"level":"(error|fatal)"/);
    expect(await counter.end()).toMatchObject({ code: 0, reason: '' });
    await cluster.well();
  });

  test('killed: nothing happens', async () => {
    const standby = another();
    await standby.line(STANDS_BY);
    standby.child.kill('SIGKILL');
    await standby.ended;
    await cluster.well();
    const next = another();
    await next.line(STANDS_BY);
    const second = another();
    expect(await second.ended).toBe(70);
    expect(second.stderr).toMatch(/another pmap manager of node1 stands by already/);
    next.child.kill('SIGKILL');
    await next.ended;
  });

  test('of another shape: is refused with the reason', async () => {
    const other = another('--shards', '32');
    expect(await other.ended).toBe(70);
    expect(other.stderr).toMatch(/with 64 shards runs here.*with 32 shards.*cannot go on with it/);
    await cluster.well();
  });
});

test('a vkerneld is replaced: programs go on, and new ones run beside them', async () => {
  await cluster.output('node1', 'counter', ['supervised', 'read']);
  const counter = await buildGuest('counter');
  const program = [counter, 'supervised', 'lock', '6000'];
  const { code, stdout } = await cluster.vkctl(['run', '-d', '--node', 'node1', ...program]);
  expect(code).toBe(0);
  const pid = BigInt(stdout.trim());
  await restart('node1/vkerneld');
  expect(await cluster.json('node1', 'counter', ['supervised', 'atomic', '1'])).toMatchObject({
    increments: 1,
  });
  await until('it ends', async () => {
    const { processes } = await cluster.connection.vkerneld('node1').listProcesses({});
    const process = processes.find((each) => each.pid === pid);
    return process?.exit !== undefined;
  });
  const { seen } = await cluster.json<{ seen: number }>('node2', 'counter', ['supervised', 'read']);
  expect(seen).toBe(6001);
});

test('a virtual kernel that is stopped ends, and its node goes on without it', async () => {
  const stopped = await cluster.start('node1', 'counter', ['stopped', 'atomic', '1000000000000'], {
    vkernel: 'frozen',
  });
  await stopped.pid;
  await cluster.output('node2', 'counter', ['stopped', 'read']);
  const { vkernels } = await cluster.connection.vkerneld('node1').listVkernels({});
  const frozen = identify(vkernels.find(({ name }) => name.endsWith('frozen'))!.hostPid)!;
  signalIdentity(frozen, 'SIGSTOP');
  try {
    await restart('node1/pmapd');
    expect(await cluster.output('node2', 'counter', ['stopped', 'read'])).toMatch(/"mode":"read"/);
  } finally {
    signalIdentity(frozen, 'SIGCONT');
  }
  // It hears of the end of its session, or sees that its lease is over, whichever comes first.
  const reason = expect.stringMatching(/pmap manager of its node (went away|does not answer)/);
  expect(await stopped.end()).toMatchObject({ code: 137, reason });
});
