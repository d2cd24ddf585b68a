// Parts of one node are killed: what runs elsewhere goes on, what is gone is said to be gone, and never read as zero.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { identify, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { buildGuest } from '../guests/build.ts';
import { TestCluster, until } from './cluster.ts';
import type { End, Program } from './program.ts';

vi.setConfig({ testTimeout: 300_000 });

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

interface Listed {
  pid: number;
  node: string;
  vkernel: string;
  state: string;
  residentPages: number;
  cpuMs: number;
  threads: number;
  exit?: { code: number; signal: string; reason: string };
}

/** Processes of all nodes, those too that ended. */
async function processes(): Promise<Map<string, Listed>> {
  const { stdout } = await cluster.vkctl(['ps', '-a', '--json']);
  return new Map((JSON.parse(stdout) as Listed[]).map((process) => [`${process.pid}`, process]));
}

async function hostPid(node: string, vkernel: string): Promise<number> {
  const { vkernels } = await cluster.connection.vkerneld(node).listVkernels({});
  return Number(vkernels.find(({ name }) => name === vkernel)!.hostPid);
}

const tryLock = async (node: string, ds: string, at: string) =>
  lines(await cluster.output(node, 'rangelock', [ds, at, at, 'modifying', '0']))[0]!.locked;

describe('what a process holds', () => {
  test('is the same to its pmap manager and in ps, and is nothing once it ended', async () => {
    const hog = await cluster.start('node1', 'misbehave', ['hog', '32', 'FOREVER']);
    await hog.wrote(/"touched_mib":32/);
    const pid = await hog.pid;
    const shown = async () => (await processes()).get(`${pid}`);
    // What ps shows is at most a second old.
    await until('both say the same', async () => {
      const { vmspaces } = await cluster.connection.pmapd('node1').listVmspaces({});
      const pages = Number(vmspaces.find((v) => v.pid === pid)?.privatePages);
      return pages > 32 * 256 && pages === (await shown())?.residentPages;
    });
    await hog.signal('SIGKILL');
    expect(await hog.end()).toMatchObject({ code: 137 });
    expect(await shown()).toMatchObject({ residentPages: 0 });
    expect(Number((await shown())?.cpuMs)).toBeGreaterThan(0);
  });
});

describe('a process of several threads', () => {
  test('computes over memory that is paged, is shown with its threads, and ends with all of them', async () => {
    expect(lines(await cluster.output('node1', 'threads', ['1']))[0]).toHaveProperty('checksum');
    const running = await cluster.start('node1', 'threads', ['1000000']);
    const pid = await running.pid;
    const shown = async () => (await processes()).get(`${pid}`);
    await until('ps shows three', async () => (await shown())?.threads === 3);
    await running.signal('SIGKILL');
    expect(await running.end()).toMatchObject({ code: 137 });
    expect(await shown()).toMatchObject({ threads: 0 });
    await until('its memory is free', async () => {
      const { vmspaces } = await cluster.connection.pmapd('node1').listVmspaces({});
      return vmspaces.every((vmspace) => vmspace.pid !== pid);
    });
  });
});

describe('a virtual kernel', () => {
  test('killed while it waits for a page: when that comes its pmap manager goes on', async () => {
    await cluster.output('node2', 'pattern', ['late', '8', 'write', '5']);
    const { process: holder } = cluster.service('node2/pmapd');
    const { restarts } = cluster.service('node1/pmapd');
    const vkernel = 'waits';
    // What takes long is done before the holder is stopped, or after: it must not outlast the holder's lease.
    await cluster.output('node1', 'peek', ['early', '0', '--size', '4096'], { vkernel });
    const doomed = await hostPid('node1', vkernel);
    let waiting: Program;
    signalIdentity(holder!, 'SIGSTOP');
    try {
      waiting = await cluster.start('node1', 'peek', ['late', '0'], { vkernel });
      const pid = await waiting.pid;
      await until('it maps the dataspace', async () => {
        const { vmspaces } = await cluster.connection.pmapd('node1').listVmspaces({});
        return vmspaces.some((v) => v.pid === pid && v.entries.length > 0);
      });
      // From the mapping to the first access.
      await sleep(50);
      expect(waiting.stdout).toBe('');
      signalIdentity(identify(doomed)!, 'SIGKILL');
      await until('it is dead', () => identify(doomed) === undefined);
    } finally {
      signalIdentity(holder!, 'SIGCONT');
    }
    expect(await waiting.end()).toMatchObject({ code: 137 });
    expect(await cluster.json('node1', 'pattern', ['late', '8', 'check', '5'])).toMatchObject({
      wrong_pages: 0,
    });
    expect(cluster.service('node1/pmapd').restarts).toBe(restarts);
  });

  test('killed: its processes are reported ended and let go; the next run works; its neighbours go on', async () => {
    const vkernel = 'doomed';
    const holder = await cluster.start(
      'node1',
      'rangelock',
      ['doomed-locks', '0', '99', 'modifying', '-1', '--dirty', '30', '--value', '5', '--hold-ms', '600000'],
      { vkernel },
    );
    await holder.wrote(/"dirty":30/);
    const spinner = await cluster.start('node1', 'misbehave', ['spin'], { vkernel });
    await spinner.wrote(/spin/);
    const neighbour = await cluster.start('node1', 'peek', ['doomed-locks', '4096', '--every-ms', '20']);
    await neighbour.wrote(/words/);
    const waiting = await cluster.start('node2', 'rangelock', [
      'doomed-locks',
      '50',
      '50',
      'exclusive',
      '-1',
    ]);
    const pids = [await holder.pid, await spinner.pid].map(String);

    signalIdentity(identify(await hostPid('node1', vkernel))!, 'SIGKILL');
    for (const program of [holder, spinner]) {
      expect(await program.end()).toMatchObject({
        code: 137,
        signal: 'SIGKILL',
        reason: 'virtual kernel doomed died (SIGKILL)',
      });
    }
    const listed = await processes();
    for (const pid of pids) {
      expect(listed.get(pid)).toMatchObject({
        state: 'exited',
        exit: { reason: 'virtual kernel doomed died (SIGKILL)' },
      });
    }
    // Its locks are free, and what it wrote to shared memory belongs to the node.
    expect(lines((await waiting.end()).stdout.toString())[0]).toMatchObject({ locked: true });
    expect(await cluster.json('node3', 'peek', ['doomed-locks', `${29 * 4096}`])).toMatchObject({
      words: [5],
    });
    const ticks = neighbour.stdout.length;
    await until('the neighbour goes on', () => neighbour.stdout.length > ticks);
    expect(await cluster.json('node1', 'peek', ['doomed-locks', '0'], { vkernel })).toMatchObject({
      words: [5],
    });
    await neighbour.signal('SIGKILL');
    await cluster.well();
  });
});

describe('vkerneld, the supervisor of virtual kernels', () => {
  test('killed: processes run on, and it finds them again', async () => {
    const name = 'orphans';
    const peek = await buildGuest('peek');
    const shown = await cluster.vkctl([
      ...[
        'run',
        '-d',
        '--node',
        'node2',
        '--vkernel',
        name,
        peek,
        name,
        '0',
        '--size',
        '4096',
        '--every-ms',
        '20',
      ],
    ]);
    const pid = shown.stdout.trim();
    const counters = await Promise.all([
      cluster.start('node1', 'counter', ['orphans-count', 'lock', '150']),
      cluster.start('node3', 'counter', ['orphans-count', 'lock', '150']),
    ]);
    const counting = cluster.vkctl([
      ...[
        'run',
        '-d',
        '--node',
        'node2',
        '--vkernel',
        name,
        await buildGuest('counter'),
        'orphans-count',
        'lock',
        '150',
      ],
    ]);
    const counterPid = (await counting).stdout.trim();
    const vkernel = await hostPid('node2', name);

    await cluster.kill('node2/vkerneld');
    await until('vkerneld runs again', () => cluster.service('node2/vkerneld').restarts === 1);
    expect(cluster.service('node2/vkerneld')).toMatchObject({ state: 'running', lastEnd: 'SIGKILL' });
    await cluster.well();
    await until(
      'it found the virtual kernel again',
      async () => (await processes()).get(pid)?.state === 'running',
    );
    expect(await hostPid('node2', name)).toBe(vkernel);
    // What it writes from now on is kept.
    const logged = async () => (await cluster.vkctl(['logs', pid])).stdout;
    await until('its output comes', async () => (await logged()).includes('words'));
    const { length } = await logged();
    await until('more of it comes', async () => (await logged()).length > length);
    await until('the counter ended', async () => (await processes()).get(counterPid)?.state !== 'running');
    for (const counter of counters) expect(await counter.end()).toMatchObject({ code: 0 });
    expect(await cluster.json('node2', 'counter', ['orphans-count', 'read'])).toMatchObject({ seen: 450 });
    expect(await cluster.json('node2', 'peek', [name, '0'], { vkernel: name })).toMatchObject({ words: [0] });
    expect(await cluster.vkctl(['kill', pid])).toMatchObject({ code: 0, stderr: '' });
    await until('it ended', async () => (await processes()).get(pid)?.state === 'exited');
    expect((await processes()).get(pid)!.exit).toMatchObject({ code: 143, signal: 'SIGTERM' });
  });
});

describe('pmapd, the memory of a node', () => {
  test('killed: its processes end with the reason, pages that only it had are lost, all else goes on', async () => {
    const size = ['--size', `${4000 * 4096}`];
    const pattern = (node: string, first: number, count: number, ...what: string[]): Promise<End> =>
      cluster.run(node, 'pattern', ['mortal', `${count}`, ...what, '--first', `${first}`, ...size]);
    const fine = { code: 0, signal: '' };
    const lost = {
      code: 135,
      signal: 'SIGBUS',
      reason: expect.stringMatching(/page of dataspace mortal is lost/),
    };
    // Pages 0-99 are node2's alone; 100-199 were read on node3 as well; 200-299 are node1's; node2 made the dataspace,
    // so those behind, which nobody touched, are its, too, as far as nobody reads ahead (at most 1000).
    expect(await pattern('node2', 0, 200, 'write', '1')).toMatchObject(fine);
    expect(await pattern('node3', 100, 100, 'check', '1')).toMatchObject(fine);
    expect(await pattern('node1', 200, 100, 'write', '2')).toMatchObject(fine);
    const holder = await cluster.start('node2', 'rangelock', [
      ...['mortal-locks', '0', '99', 'modifying', '-1', '--hold-ms', '600000', '--dirty', '1'],
    ]);
    await holder.wrote(/"dirty":1/);
    const victims = [holder, await cluster.start('node2', 'misbehave', ['spin'], { vkernel: 'other' })];
    await victims[1]!.wrote(/spin/);
    const waiting = await cluster.start('node3', 'rangelock', ['mortal-waits', '0', '0', 'modifying', '-1']);
    await waiting.end();
    const sleeper = await cluster.start('node1', 'rangelock', ['mortal-locks', '5', '5', 'exclusive', '-1']);
    const counters = await Promise.all(
      ['node1', 'node3'].map((node) =>
        cluster.start(node, 'counter', ['survivors', 'lock', '200', '--start', '2']),
      ),
    );
    const pids = (await Promise.all(victims.map((program) => program.pid))).map(String);
    const before = cluster.service('node2/pmapd');

    await cluster.kill('node2/pmapd');
    for (const program of victims) {
      const end = await program.end();
      expect(end).toMatchObject({
        code: 137,
        signal: 'SIGKILL',
        reason: expect.stringMatching(/pmap manager/),
      });
    }
    for (const counter of counters) expect(await counter.end()).toMatchObject({ code: 0 });
    expect(await cluster.json('node3', 'counter', ['survivors', 'read'])).toMatchObject({ seen: 400 });
    expect(lines((await sleeper.end()).stdout.toString())[0]).toMatchObject({ locked: true });
    const listed = await processes();
    for (const pid of pids) {
      expect(listed.get(pid)).toMatchObject({
        state: 'exited',
        exit: { reason: expect.stringMatching(/pmap manager/) },
      });
    }
    await until('pmapd runs again', () => cluster.service('node2/pmapd').restarts === before.restarts + 1);
    await cluster.well();
    expect(cluster.service('node2/pmapd')).toMatchObject({ state: 'running', lastEnd: 'SIGKILL' });

    // Never zero, wherever it is read, page by page.
    for (const node of ['node1', 'node2', 'node3']) {
      const some = [0, 50, 90, 3800, 3999];
      const ends = await Promise.all(some.map((page) => pattern(node, page, 1, 'zero', '0')));
      for (const [i, end] of ends.entries()) {
        expect({ node, page: some[i], ...end }).toMatchObject(lost);
        expect(end.stdout.toString()).toBe('');
      }
      expect(await pattern(node, 100, 100, 'check', '1')).toMatchObject(fine);
      expect(await pattern(node, 200, 100, 'check', '2')).toMatchObject(fine);
    }
    expect(await pattern('node1', 10, 1, 'write', '9')).toMatchObject(lost);
    const stat = await cluster.vkctl(['ds', 'stat', 'mortal']);
    const lostPages = Number(/^lost +(\d+) pages LOST$/m.exec(stat.stdout)?.[1]);
    expect(lostPages).toBeGreaterThan(2700);
    expect(lostPages).toBeLessThanOrEqual(3800);
    expect(await cluster.vkctl(['ds', 'save', 'mortal', '-'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^vkctl: [^\n]*mortal is lost[^\n]*\n$/),
    });
    // The node is as good as new.
    expect(await cluster.json('node2', 'pattern', ['reborn', '20', 'write', '3'])).toMatchObject({
      pages: 20,
    });
    expect(await cluster.json('node1', 'pattern', ['reborn', '20', 'check', '3'])).toMatchObject({
      wrong_pages: 0,
    });
    expect(await tryLock('node2', 'mortal-locks', '50')).toBe(true);
    expect(await cluster.vkctl(['ds', 'rm', 'mortal'])).toMatchObject({ code: 0 });
    expect(await pattern('node3', 0, 4000, 'zero', '0')).toMatchObject(fine);
  });
});

describe('pages on their way', () => {
  test('pmapd killed while others read what only it has: the right bytes or an error, never zeroes', async () => {
    const pages = 6000;
    const pattern = (node: string, what: string) =>
      cluster.start(node, 'pattern', ['on-the-way', `${pages}`, what, '7', '--size', `${pages * 4096}`]);
    expect(await (await pattern('node3', 'write')).end()).toMatchObject({ code: 0 });
    const readers = await Promise.all([pattern('node1', 'check'), pattern('node2', 'check')]);
    await Promise.all(readers.map((reader) => reader.pid));
    const { restarts } = cluster.service('node3/pmapd');
    await cluster.kill('node3/pmapd');
    for (const reader of readers) {
      const end = await reader.end();
      const right = end.code === 0 && JSON.parse(end.stdout.toString()).wrong_pages === 0;
      const lost = end.signal === 'SIGBUS' && end.stdout.length === 0;
      expect({ ...end, stdout: end.stdout.toString(), fine: right || lost }).toMatchObject({ fine: true });
    }
    await until('pmapd runs again', () => cluster.service('node3/pmapd').restarts === restarts + 1);
    await cluster.well();
  });
});

describe('everything of a node at once', () => {
  test('killed: the others go on, and it comes back', async () => {
    await cluster.output('node1', 'pattern', ['all', '50', 'write', '8']);
    const counters = await Promise.all(
      ['node1', 'node2'].map((node) =>
        cluster.start(node, 'counter', ['all-count', 'lock', '200', '--start', '2']),
      ),
    );
    const victim = await cluster.start('node3', 'rangelock', [
      ...['all-locks', '0', '9', 'modifying', '-1', '--hold', '--dirty', '3'],
    ]);
    await victim.wrote(/"dirty":3/);
    const vkernel = identify(await hostPid('node3', 'default'))!;
    const services = ['node3/vkerneld', 'node3/pmapd'].map((name) => cluster.service(name));
    await cluster.withoutRestarts(async () => {
      // Its vkerneld first: it would still tell how the program of a killed vkernel ended.
      for (const { name } of services) await cluster.kill(name);
      signalIdentity(vkernel, 'SIGKILL');
      const { code, stderr } = await cluster.vkctl(['status']);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^vkctl: .*node3\/pmapd/m);
      expect(stderr).toMatch(/^vkctl: .*node3\/vkerneld/m);
      // What is asked of the node meanwhile is refused in one line.
      expect(await cluster.vkctl(['run', '--node', 'node3', await buildGuest('hello')])).toMatchObject({
        code: 125,
        stdout: '',
        stderr: expect.stringMatching(/^vkctl: [^\n]*node3[^\n]*\n$/),
      });
    });
    // Its supervisor is away, or is back and knows nothing of it.
    await expect(victim.end()).rejects.toThrow(/UNAVAILABLE|the program is not here any more/);
    for (const counter of counters) expect(await counter.end()).toMatchObject({ code: 0 });
    await until('node3 runs again', () =>
      services.every(({ name, restarts }) => cluster.service(name).restarts === restarts + 1),
    );
    await cluster.well();
    expect(await cluster.json('node3', 'pattern', ['all', '50', 'check', '8'])).toMatchObject({
      wrong_pages: 0,
    });
    expect(await cluster.run('node1', 'peek', ['all-locks', '4096'])).toMatchObject({
      code: 135,
      signal: 'SIGBUS',
    });
    expect(await cluster.json('node3', 'counter', ['all-count', 'read'])).toMatchObject({ seen: 400 });
  });
});
