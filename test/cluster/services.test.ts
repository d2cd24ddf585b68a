// The services of the whole cluster are killed, or hang, while programs share memory: everybody else goes on, or waits
// and goes on, and nothing that was shared is lost, stale or zero.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { buildGuest } from '../guests/build.ts';
import { TestCluster, until } from './cluster.ts';
import { startVkctl } from './command.ts';
import type { Program } from './program.ts';

vi.setConfig({ testTimeout: 300_000 });

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

const nodes = ['node1', 'node2', 'node3'];
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Increments under locks on every node, and a litmus test between two: under way when this resolves. */
async function startWork(
  name: string,
  increments: number,
  rounds: number,
): Promise<{ finish(): Promise<void> }> {
  const counters = nodes.map((node) =>
    cluster.start(node, 'counter', [`${name}-count`, 'lock', `${increments}`]),
  );
  const roles = [0, 1].map((role) =>
    cluster.start(nodes[role]!, 'litmus', [
      `${name}-litmus`,
      'sb',
      `${role}`,
      `${rounds}`,
      '--timeout-ms',
      '120000',
    ]),
  );
  const programs = await Promise.all([...counters, ...roles]);
  await until('the work is under way', async () => {
    const { seen } = await cluster.json('node2', 'counter', [`${name}-count`, 'read']);
    return Number(seen) > 0;
  });
  return {
    async finish() {
      const ends = await Promise.all(programs.map((program) => program.end()));
      for (const end of ends) expect(end).toMatchObject({ code: 0, stderr: '', reason: '' });
      const [histogram] = lines(ends[3]!.stdout.toString());
      expect(histogram).toMatchObject({ test: 'sb', rounds, forbidden: 0, anomalies: 0 });
      const count = await cluster.json('node3', 'counter', [`${name}-count`, 'read']);
      expect(count).toMatchObject({ seen: increments * nodes.length });
    },
  };
}

/** Goes on as long as its page is there. */
async function ticking(node: string): Promise<{ program: Program; goesOn(): Promise<void> }> {
  const program = await cluster.start(node, 'peek', [
    `ticks-${node}`,
    '0',
    '--size',
    '4096',
    '--every-ms',
    '20',
  ]);
  await program.wrote(/words/);
  return {
    program,
    async goesOn() {
      const ticks = program.stdout.length;
      await until(`the process on ${node} goes on`, () => program.stdout.length > ticks);
    },
  };
}

const locked = async (node: string, ...args: string[]) =>
  lines(await cluster.output(node, 'rangelock', args))[0] as { locked: boolean; errno: number };

describe('cohd, the directory', () => {
  test('killed: resident memory goes on, faults wait; it rebuilds from its holders: no wrong read, locks kept', async () => {
    const ds = 'directory';
    // Dirty pages in many places: one run each on two nodes, and some of them read elsewhere, too.
    await Promise.all([
      cluster.output('node1', 'pattern', [ds, '100', 'write', '1', '--size', '1228800']),
      cluster.output('node2', 'pattern', [ds, '100', 'write', '2', '--first', '100', '--size', '1228800']),
    ]);
    const some = [ds, '50', 'check', '2', '--first', '120', '--size', '1228800'];
    expect(await cluster.json('node3', 'pattern', some)).toMatchObject({ wrong_pages: 0 });
    const holder = await cluster.start('node2', 'rangelock', [
      ...['kept', '0', '999', 'modifying', '-1', '--dirty', '20', '--value', '7', '--hold-ms', '600000'],
    ]);
    await holder.wrote(/"dirty":20/);
    const waiting = await cluster.start('node1', 'rangelock', ['kept', '500', '500', 'exclusive', '-1']);
    const sleeper = await cluster.start('node3', 'futex', ['asleep', 'wait', '0', '-1']);
    await sleeper.wrote(/"waiting":true/);
    const tick = await ticking('node2');
    const work = await startWork('cohd', 60, 600);

    await cluster.withoutRestarts(async () => {
      await cluster.kill('cohd');
      await tick.goesOn();
      const { code, stderr } = await cluster.vkctl(['status']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^vkctl: .*cohd/m) });
      // A program that shares nothing does not notice.
      expect(await cluster.run('node3', 'args', ['x'])).toMatchObject({ code: 0 });
    });
    await cluster.well();
    expect(cluster.service('cohd')).toMatchObject({ state: 'running', restarts: 1, lastEnd: 'SIGKILL' });

    await work.finish();
    expect(await locked('node3', 'kept', '999', '999', 'shared', '0')).toMatchObject({
      locked: false,
      errno: 73,
    });
    expect(waiting.stdout).toBe('');
    for (const node of nodes) {
      const check = (first: string, seed: string) =>
        cluster.json(node, 'pattern', [ds, '100', 'check', seed, '--first', first, '--size', '1228800']);
      expect(await Promise.all([check('0', '1'), check('100', '2')])).toMatchObject([
        { wrong_pages: 0 },
        { wrong_pages: 0 },
      ]);
      const untouched = await cluster.json(node, 'pattern', [
        ds,
        '100',
        'zero',
        '0',
        '--first',
        '200',
        '--size',
        '1228800',
      ]);
      expect(untouched).toMatchObject({ wrong_pages: 0 });
      expect(await cluster.json(node, 'peek', ['kept', `${19 * 4096}`])).toMatchObject({ words: [7] });
    }
    await holder.signal('SIGKILL');
    expect(lines((await waiting.end()).stdout.toString())).toMatchObject([
      { locked: true },
      { unlocked: true },
    ]);
    // Whoever slept looked again, for a wake may have died with the directory.
    expect(lines((await sleeper.end()).stdout.toString()).at(-1)).toMatchObject({ call: 'wait', errno: 0 });
    await tick.program.signal('SIGKILL');
  });

  test('killed again and again under work', async () => {
    const work = await startWork('again', 80, 800);
    for (let times = 0; times < 3; times++) {
      const { restarts } = cluster.service('cohd');
      await cluster.kill('cohd');
      await until('cohd runs again', () => {
        const { state, restarts: now } = cluster.service('cohd');
        return state === 'running' && now > restarts;
      });
      await cluster.well();
    }
    await work.finish();
  });
});

describe('NATS', () => {
  test('away: sharing goes on, what needs it waits; back: everything goes on', async () => {
    await cluster.output('node1', 'pattern', ['before', '50', 'write', '4']);
    await cluster.output('node2', 'counter', ['before-count', 'lock', '3']);
    const tick = await ticking('node1');
    const { creating, opening } = await cluster.withoutRestarts(async () => {
      await cluster.kill('nats');
      await tick.goesOn();
      // Broadcasts are lost; the streams carry what they said.
      const counts = await Promise.all(
        nodes.map((node) => cluster.json(node, 'counter', ['before-count', 'lock', '3'])),
      );
      expect(Math.max(...counts.map(({ seen }) => Number(seen)))).toBe(12);
      const check = ['before', '50', 'check', '4'];
      expect(await cluster.json('node3', 'pattern', check)).toMatchObject({ wrong_pages: 0 });
      // What needs it waits: longer than one request to it may take.
      const creating = cluster.vkctl(['ds', 'create', 'later', '4K']);
      const opening = cluster.json('node2', 'peek', ['later-too', '0', '--size', '4096']);
      await Promise.race([creating, opening, sleep(7000)]);
      return { creating, opening };
    });
    await until('NATS runs again', () => cluster.service('nats').restarts === 1);
    expect(cluster.service('nats')).toMatchObject({ state: 'running', lastEnd: 'SIGKILL' });
    const status = JSON.parse((await cluster.vkctl(['status', '--json'])).stdout) as { services: object[] };
    expect(status.services[0]).toMatchObject({ name: 'nats', restarts: 1, lastEnd: 'SIGKILL' });
    expect(await creating).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await opening).toMatchObject({ words: [0] });
    expect(await cluster.json('node3', 'peek', ['later', '0'])).toMatchObject({ words: [0] });
    await cluster.well();
    const work = await startWork('nats', 20, 200);
    await work.finish();
    await tick.program.signal('SIGKILL');
  });

  test('hung, and the directory killed meanwhile: it waits, and goes on when NATS answers', async () => {
    await cluster.output('node2', 'pattern', ['hung', '30', 'write', '6']);
    const nats = cluster.service('nats').process!;
    signalIdentity(nats, 'SIGSTOP');
    let reader: Program;
    try {
      const { restarts } = cluster.service('cohd');
      await cluster.kill('cohd');
      await until('cohd was started again', () => cluster.service('cohd').restarts > restarts);
      reader = await cluster.start('node1', 'pattern', ['hung', '30', 'check', '6']);
      const { code, stderr } = await cluster.vkctl(['status']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/cohd/) });
    } finally {
      signalIdentity(nats, 'SIGCONT');
    }
    expect(lines((await reader.end()).stdout.toString())).toMatchObject([{ wrong_pages: 0 }]);
    await cluster.well();
  });
});

describe('syslinkd, the router', () => {
  test('killed: programs and their memory go on, and who talks through it when it is back', async () => {
    const peek = await buildGuest('peek');
    const shown = await cluster.vkctl([
      ...['run', '-d', '--node', 'node2', peek, 'routed', '0', '--size', '4096', '--every-ms', '20'],
    ]);
    const pid = shown.stdout.trim();
    expect(pid).toMatch(/^2\d{5}$/);
    const attached = startVkctl(['run', '--node', 'node1', await buildGuest('misbehave'), 'spin'], {
      env: cluster.env,
    });
    const running = async () => {
      const all = JSON.parse((await cluster.vkctl(['ps', '--json'])).stdout) as {
        pid: number;
        command: string[];
      }[];
      return all.filter(({ command }) => command.includes('routed') || command.includes('spin'));
    };
    await until('both run', async () => (await running()).length === 2);
    const logged = async () => (await cluster.vkctl(['logs', pid])).stdout.length;
    const before = await logged();

    await cluster.withoutRestarts(async () => {
      await cluster.kill('syslinkd');
      const { code, stderr } = await cluster.vkctl(['status']);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^vkctl: .*router/m) });
    });
    await until('syslinkd runs again', () => cluster.service('syslinkd').restarts === 1);
    await cluster.well();
    // Also the one that is not detached: its caller comes back, and sees its end.
    const spins = (await running()).find(({ command }) => command.includes('spin'));
    expect(await cluster.vkctl(['kill', '-9', `${spins?.pid}`])).toMatchObject({ code: 0 });
    expect(await attached.ended).toMatchObject({ code: 137, stderr: expect.stringMatching(/SIGKILL/) });
    await until('one is left', async () => (await running()).length === 1);
    expect(await logged()).toBeGreaterThan(before);
    expect(await cluster.vkctl(['kill', '-9', pid])).toMatchObject({ code: 0 });
    await until('it ended', async () => (await running()).length === 0);
    expect(await cluster.json('node3', 'peek', ['routed', '0'])).toMatchObject({ words: [0] });
  });
});
