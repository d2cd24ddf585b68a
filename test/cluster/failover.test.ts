// Leases, fencing and failover: replicas of the directory are killed and stopped, and so is a node, while programs share
// memory. Nobody waits longer than two leases, nothing is read that is not the last write, and who wakes up late does no
// harm.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { identify, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { TestCluster, until } from './cluster.ts';

vi.setConfig({ testTimeout: 300_000 });

/** A busy machine may not run a service for three seconds: that must not end a lease where nothing is killed. */
const LEASE_MS = 4_000;
/** What a busy machine may add to two leases. */
const SLACK_MS = 6_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3, directories: 3, leaseMs: LEASE_MS });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

const nodes = ['node1', 'node2', 'node3'];
const replicas = ['cohd1', 'cohd2', 'cohd3'];

/** Shards by the replica that leads them. */
async function led(names = replicas): Promise<Map<string, number>> {
  const stats = names.map(async (name) => {
    const { shardsLed } = await cluster.connection.cohd(name).getDirectoryStats({}, { deadlineMs: 3_000 });
    return [name, shardsLed.length] as const;
  });
  return new Map(await Promise.all(stats));
}

const even = (shards: Map<string, number>): boolean => {
  const counts = [...shards.values()];
  return counts.reduce((sum, count) => sum + count) === 64 && Math.max(...counts) - Math.min(...counts) <= 1;
};

/** Bytes of many shards: 64 blocks of 2 MiB; a page of each. */
const WIDE_BYTES = 64 * 2 ** 21;

/** Words in many shards that all nodes write in turn, under locks: whoever reads one wrong says so. */
async function startWide(name: string, rounds: number) {
  const programs = await Promise.all(
    nodes.map((node, index) =>
      cluster.start(node, 'wide', [
        name,
        String(WIDE_BYTES),
        String(rounds),
        String(index),
        String(nodes.length),
      ]),
    ),
  );
  await Promise.all(programs.map((program) => program.wrote(/"round":1,/)));
  return {
    programs,
    /** @returns the longest wait for one access, in ms */
    async finish(): Promise<number> {
      const ends = await Promise.all(programs.map((program) => program.end(120_000)));
      for (const end of ends) expect(end).toMatchObject({ code: 0, stderr: '', reason: '' });
      const last = ends.map(({ stdout }) => JSON.parse(stdout.toString().trim().split('\n').at(-1)!));
      for (const line of last) expect(line).toMatchObject({ wrong: 0, rounds });
      return Math.max(...last.map(({ longest_ms }) => longest_ms as number));
    },
  };
}

describe('the directory', () => {
  test('its shards are spread evenly', async () => {
    await until('each replica leads its share', async () => even(await led()));
  });

  test('a replica killed under load: faults go on within two leases, nothing is wrong, shards come back', async () => {
    const work = await startWide('killed', 8);
    await cluster.withoutRestarts(async () => {
      await cluster.kill('cohd2');
      await until(
        'the others lead all shards',
        async () => even(await led(['cohd1', 'cohd3'])),
        3 * LEASE_MS + SLACK_MS,
      );
    });
    expect(await work.finish()).toBeLessThan(2 * LEASE_MS + SLACK_MS);
    await until('the new one gets its share', async () => even(await led()));
    expect(await cluster.json('node3', 'counter', ['killed-count', 'lock', '5'])).toMatchObject({ seen: 5 });
  });

  test('a replica stopped longer than its lease wakes up late, and is fenced', async () => {
    const work = await startWide('stopped', 8);
    const stopped = cluster.service('cohd1').process!;
    signalIdentity(stopped, 'SIGSTOP');
    try {
      await until(
        'the others lead all shards',
        async () => even(await led(['cohd2', 'cohd3'])),
        3 * LEASE_MS + SLACK_MS,
      );
    } finally {
      signalIdentity(stopped, 'SIGCONT');
    }
    expect(await work.finish()).toBeLessThan(2 * LEASE_MS + SLACK_MS);
    await until('it gets its share again', async () => even(await led()));
  });

  test('NATS killed under load: faults go on, within two leases of its return', async () => {
    const work = await startWide('nats', 8);
    await cluster.kill('nats');
    await until('NATS runs again', () => cluster.service('nats').state === 'running');
    expect(await work.finish()).toBeLessThan(2 * LEASE_MS + 2 * SLACK_MS);
    await cluster.well();
  });
});

describe('a node', () => {
  test('stopped: others wait for its lease, no longer; its programs end; it comes back as a new one', async () => {
    const pages = ['64', 'write', '3', '--size', String(64 * 4096)];
    // What only node3 has is lost; what others have copies of is not.
    await cluster.output('node3', 'pattern', ['mine', ...pages]);
    await cluster.output('node3', 'pattern', ['ours', ...pages]);
    const check = ['ours', '64', 'check', '3', '--size', String(64 * 4096)];
    expect(await cluster.json('node1', 'pattern', check)).toMatchObject({ wrong_pages: 0 });
    const reader = await cluster.start('node3', 'peek', ['ours', '0', '--every-ms', '10']);
    await reader.wrote(/words/);

    const pmapd = cluster.service('node3/pmapd').process!;
    signalIdentity(pmapd, 'SIGSTOP');
    try {
      const startMs = performance.now();
      // A write needs an answer of the node that is stopped.
      await cluster.output('node1', 'peek', ['ours', '0', '--write', '99']);
      const waitedMs = performance.now() - startMs;
      expect(waitedMs).toBeLessThan(LEASE_MS + SLACK_MS);
      expect(await cluster.json('node2', 'peek', ['ours', '0'])).toMatchObject({ words: [99] });
      // Its guest saw the old word, or nothing at all: never the new one late, nor zeros.
      expect(await reader.end()).toMatchObject({
        code: 137,
        reason: expect.stringMatching(/lease of shared memory ended/),
      });
      const seen = new Set(
        reader.stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line).words[0] as number),
      );
      expect(seen.size).toBe(1);
      expect(seen).not.toContain(0);
      const lost = await cluster.run('node2', 'pattern', [
        'mine',
        '64',
        'check',
        '3',
        '--size',
        String(64 * 4096),
      ]);
      expect(lost.reason).toMatch(/SIGBUS|lost/);
    } finally {
      signalIdentity(pmapd, 'SIGCONT');
    }
    await cluster.well();
    // It dropped what it had, and reads what is there now.
    expect(await cluster.json('node3', 'peek', ['ours', '0'])).toMatchObject({ words: [99] });
    expect(await cluster.json('node3', 'counter', ['after', 'lock', '3'])).toMatchObject({ seen: 3 });
  });

  test('stopped as a whole for longer than its lease: no guest goes on with what may be old', async () => {
    await cluster.output('node1', 'peek', ['whole', '0', '--size', '4096', '--write', '5']);
    const reader = await cluster.start('node3', 'peek', ['whole', '0', '--every-ms', '1']);
    await reader.wrote(/\[5\]/);
    const { vkernels } = await cluster.connection.vkerneld('node3').listVkernels({});
    const { process: pmapd } = cluster.service('node3/pmapd');
    const stopped = [pmapd!, identify(vkernels[0]!.hostPid)!];
    const pmapdAnswers = () =>
      cluster.connection
        .pmapd('node3')
        .getNodeStats({}, { deadlineMs: 1_000 })
        .then(
          () => true,
          () => false,
        );
    for (const each of stopped) signalIdentity(each, 'SIGSTOP');
    try {
      await cluster.output('node1', 'peek', ['whole', '0', '--write', '6']);
      await sleep(1.1 * LEASE_MS);
    } finally {
      // The pmap manager first, which takes the access away and names no deadline before the virtual kernel looks.
      for (const each of stopped) {
        signalIdentity(each, 'SIGCONT');
        await until('pmapd of node3 answers', pmapdAnswers);
      }
    }
    // Who finds it first: the pmap manager, or a virtual kernel that wakes before that one has taken anything away.
    expect(await reader.end()).toMatchObject({
      code: 137,
      reason: expect.stringMatching(/did not run for a while|does not answer, and its lease .*ended/),
    });
    expect(reader.stdout).not.toMatch(/\[6\]/);
    await cluster.well();
    expect(await cluster.json('node3', 'peek', ['whole', '0'])).toMatchObject({ words: [6] });
  });

  test('with a virtual kernel that is stopped for longer than its lease: its pages go on to others at once, and it reads what is there when it wakes', async () => {
    const reader = await cluster.start('node2', 'peek', ['asleep', '0', '--size', '4096', '--every-ms', '5']);
    await reader.wrote(/words/);
    const { vkernels } = await cluster.connection.vkerneld('node2').listVkernels({});
    const vkernel = identify(vkernels[0]!.hostPid)!;
    signalIdentity(vkernel, 'SIGSTOP');
    try {
      const startMs = performance.now();
      await cluster.output('node1', 'peek', ['asleep', '0', '--write', '7']);
      expect(performance.now() - startMs).toBeLessThan(LEASE_MS);
      // Its pmap manager renews all the while, and it finds that only after it finds that its deadline passed.
      await sleep(startMs + 1.1 * LEASE_MS - performance.now());
    } finally {
      signalIdentity(vkernel, 'SIGCONT');
    }
    await reader.wrote(/\[7\]/);
    await reader.signal('SIGKILL');
    expect(await reader.end()).toMatchObject({ reason: 'killed by SIGKILL' });
  });

  test('stopped for less than its lease: nothing happens', async () => {
    const reader = await cluster.start('node2', 'peek', ['short', '0', '--size', '4096', '--every-ms', '10']);
    await reader.wrote(/words/);
    const pmapd = cluster.service('node2/pmapd').process!;
    signalIdentity(pmapd, 'SIGSTOP');
    // Needs an answer of the node that is stopped.
    const written = cluster.output('node1', 'peek', ['short', '0', '--write', '5']);
    await sleep(LEASE_MS / 4);
    signalIdentity(pmapd, 'SIGCONT');
    await written;
    await reader.wrote(/\[5\]/);
    // A line takes 10 ms at least: with so many more, the lease that it had when it was stopped is over.
    const lines = () => reader.stdout.split('\n').length;
    const before = lines();
    await until('it reads on past its lease', () => lines() > before + LEASE_MS / 10);
    expect(cluster.service('node2/pmapd').process).toEqual(pmapd);
    await reader.signal('SIGKILL');
    expect(await reader.end()).toMatchObject({ reason: 'killed by SIGKILL' });
  });
});
