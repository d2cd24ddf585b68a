// Memory that runs out: on two nodes whose /dev/shm is small, in a mount namespace of its own. Who takes too much is refused
// or ends, with the reason; nobody else does, and nobody hangs.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { buildGuest } from '../guests/build.ts';
import { TestPlace, until } from './cluster.ts';
import { type Command, type CommandEnd, startCommand, startVkctl, VKCTL } from './command.ts';

const SHM_MIB = 200;
const DESCRIPTORS = 600;
const unshared = spawnSync('unshare', ['-m', 'true']).status === 0;
if (!unshared) console.log('skipped: memory that runs out needs root, for "unshare -m"');

describe.skipIf(!unshared)('a /dev/shm of 200 MiB, two nodes', { timeout: 120_000 }, () => {
  const place = new TestPlace();
  const guests: Record<'hog' | 'pattern' | 'hello' | 'peek', string> = {} as never;

  /** vkctl where /dev/shm is small. */
  const inside = (args: string[]): Promise<CommandEnd> => {
    const mount = `mount -t tmpfs -o size=${SHM_MIB}m shm /dev/shm`;
    const words = [process.execPath, VKCTL, ...args].map((word) => `'${word}'`).join(' ');
    // Few descriptors, too: Node takes as many as it may.
    const limit = `ulimit -n ${DESCRIPTORS}`;
    return startCommand(['unshare', '-m', 'sh', '-c', `${mount} && ${limit} && exec ${words}`], {
      env: place.env,
    }).ended;
  };
  const vkctl = (...args: string[]): Promise<CommandEnd> => place.vkctl(args, { timeoutMs: 60_000 });
  const start = (...args: string[]): Command => startVkctl(args, { env: place.env, timeoutMs: 60_000 });
  const pmapd = (node: string) =>
    place.record.services.find(({ name }) => name === `${node}/pmapd`)!.process!;
  /** A command where the small /dev/shm is. */
  const there = (command: string): void => {
    spawnSync('nsenter', ['-t', String(pmapd('node1').pid), '-m', 'sh', '-c', command], { stdio: 'ignore' });
  };

  interface Status {
    nodes: {
      name: string;
      stats: {
        framesTotal: number;
        framesPrivate: number;
        pagesShared: number;
        pool?: { neighbourPages: number };
      };
    }[];
  }
  const stats = async (node: string) => {
    const { nodes } = JSON.parse((await vkctl('status', '--json')).stdout) as Status;
    return nodes.find(({ name }) => name === node)!.stats;
  };
  const events = async (kind: string): Promise<{ text: string; service: string }[]> =>
    JSON.parse((await vkctl('events', '--json', '--kind', kind)).stdout);

  /** Somebody who has little, and goes on while others take too much. */
  const neighbour = (node: string, name: string): Command =>
    start('run', '--node', node, guests.hog, 'shared', name, '1', '3000');
  async function innocent(): Promise<void> {
    const runs = ['node1', 'node2'].map((node) => vkctl('run', '--node', node, guests.hello));
    for (const end of await Promise.all(runs)) expect(end).toMatchObject({ code: 0, stderr: '' });
  }

  beforeAll(async () => {
    for (const name of ['hog', 'pattern', 'hello', 'peek'] as const) guests[name] = await buildGuest(name);
  });
  afterAll(async () => {
    await vkctl('down');
    await place.clear();
  });

  test('more than there is is refused by name, and without a name nodes share what is left', async () => {
    const end = await inside(['up', '-p', '0', '-n', '2', '--node-memory', '128M']);
    expect(end).toMatchObject({ code: 1, stdout: '' });
    expect(end.stderr).toMatch(
      /^vkctl: --node-memory: 2 x 128 MiB is more than there is: \/dev\/shm has 200 MiB of 200 MiB left.*\n$/,
    );
    expect(await inside(['up', '-p', '0', '-n', '2', '--lease-ms', '60000'])).toMatchObject({ code: 0 });
    expect((await stats('node1')).framesTotal).toBe(75 * 256);
  });

  test('shared memory: the hog ends with the reason, its neighbours go on', async () => {
    const neighbours = [neighbour('node1', 'near'), neighbour('node2', 'far')];
    const hog = await vkctl('run', '--node', 'node1', guests.hog, 'shared', 'much', '400');
    expect(hog.code).toBe(128 + 7);
    expect(hog.stderr).toMatch(
      /SIGBUS: out of memory: node1 has no frame for page \d+ of dataspace much; it has/,
    );
    const { framesTotal, pagesShared } = await stats('node1');
    expect(pagesShared).toBeLessThan(framesTotal);
    await innocent();
    for (const { ended } of neighbours) expect(await ended).toMatchObject({ code: 0, stderr: '' });
    const [event] = await events('process-ended-for-memory');
    expect(event).toMatchObject({
      service: 'node1/pmapd',
      text: expect.stringContaining('of dataspace much'),
    });
    // What it wrote is still there, for others, as far as they have room; and gives its frames back.
    expect(await vkctl('ds', 'rm', 'much')).toMatchObject({ code: 0 });
    await until('the frames are back', async () => (await stats('node1')).pagesShared <= 256);
  });

  test('a load of more than its node has is refused, and the node goes on', async () => {
    const file = join(place.home, 'large');
    writeFileSync(file, Buffer.alloc(160 << 20, 7));
    const end = await vkctl('ds', 'load', '--node', 'node2', 'large', file);
    rmSync(file);
    expect(end.code).not.toBe(0);
    expect(end.stderr).toMatch(/^vkctl: .*the node has no frames for \d+ more pages of dataspace large.*\n$/);
    expect((await events('memory-refused'))[0]).toMatchObject({ service: 'node2/pmapd' });
    await innocent();
    await vkctl('ds', 'rm', 'large');
  });

  test('shared and private memory count against one quota', async () => {
    const shared = await vkctl(
      'run',
      '--memory',
      '16M',
      '--node',
      'node1',
      guests.hog,
      'shared',
      'quota',
      '40',
    );
    expect(shared).toMatchObject({ stderr: expect.stringMatching(/out of memory: .* quota of 16 MiB/) });
    await vkctl('ds', 'rm', 'quota');
  });

  test('what ends for memory takes no more of it on its way out, however long its thread runs on', async () => {
    const usedKib = (): number => {
      const df = ['-t', String(pmapd('node1').pid), '-m', 'df', '--output=used', '/dev/shm'];
      return Number(spawnSync('nsenter', df, { encoding: 'utf8' }).stdout.split('\n')[1]);
    };
    const before = usedKib();
    const run = start('run', '--node', 'node1', '--memory', '8M', guests.hog, 'private', '900');
    let peak = before;
    let over = false;
    const ended = run.ended.finally(() => {
      over = true;
    });
    while (!over) {
      peak = Math.max(peak, usedKib());
      await delay(20);
    }
    expect((await ended).stderr).toMatch(/SIGKILL: out of memory: it touched more than its quota of 8 MiB/);
    // Its quota, and what its virtual kernel has ahead.
    expect(peak - before).toBeLessThan(64 << 10);
    expect(await events('security')).toEqual([]);
    await innocent();
  });

  test('private memory: who has more than its share ends for who has less', async () => {
    const before = (await stats('node1')).framesPrivate;
    // Its neighbour has no room for any of it.
    const elsewhere = start('run', '--node', 'node2', guests.hog, 'private', '62', '60000');
    await until('node2 is full', async () => (await stats('node2')).framesPrivate > 60 * 256);
    const greedy = start('run', '--node', 'node1', guests.hog, 'private', '60', '30000');
    await until('it has its memory', async () => {
      const { framesPrivate, pool } = await stats('node1');
      return framesPrivate + (pool?.neighbourPages ?? 0) > 60 * 256;
    });
    const modest = await vkctl('run', '--node', 'node1', guests.hog, 'private', '30');
    expect(modest).toMatchObject({ code: 0, stderr: '' });
    expect(await greedy.ended).toMatchObject({
      code: 128 + 9,
      stderr: expect.stringMatching(
        /out of memory: node1 has no frame for private memory of process \d+; it has/,
      ),
    });
    elsewhere.child.kill('SIGTERM');
    await elsewhere.ended;
    const alone = await vkctl('run', '--node', 'node1', guests.hog, 'private', '400');
    expect(alone).toMatchObject({
      code: 128 + 9,
      stderr: expect.stringContaining('out of memory: node1 has no'),
    });
    await innocent();
    const credit = 16 * 256;
    await until('the frames are back', async () => (await stats('node1')).framesPrivate <= before + credit);
  });

  test('something else fills /dev/shm: errors, nothing lost, nobody hangs', async () => {
    expect(await vkctl('run', '--node', 'node2', guests.pattern, 'kept', '100', 'write', '5')).toMatchObject({
      code: 0,
    });
    const twoWords = [
      'run',
      '--node',
      'node2',
      guests.peek,
      'words',
      '0',
      '--size',
      '8192',
      '--write',
      '9',
      '10',
    ];
    expect(await vkctl(...twoWords)).toMatchObject({ code: 0 });
    there('dd if=/dev/zero of=/dev/shm/filler bs=64k');
    // The page moves to the node that has no room for it; its process ends before it writes.
    const write = await vkctl('run', '--node', 'node1', guests.peek, 'words', '0', '--write', '11');
    expect(write).toMatchObject({ stderr: expect.stringContaining('out of memory') });
    const page = await vkctl('run', '--node', 'node1', guests.pattern, 'kept', '100', 'check', '5');
    expect(page.code).not.toBe(0);
    expect(page.stderr).toMatch(/out of memory/);
    const hello = await vkctl('run', '--node', 'node1', guests.hello);
    expect(hello.stderr).toMatch(/^$|out of memory/);
    there('rm /dev/shm/filler');
    await until('it can be read again', async () => {
      const { code, stdout } = await vkctl(
        'run',
        '--node',
        'node1',
        guests.pattern,
        'kept',
        '100',
        'check',
        '5',
      );
      return code === 0 && JSON.parse(stdout).wrong_pages === 0;
    });
    const words = await vkctl('run', '--node', 'node2', guests.peek, 'words', '0', '2');
    expect(JSON.parse(words.stdout)).toMatchObject({ words: [9, 10] });
    await innocent();
  });

  test('a fault that waits is an event, and ps says for what', async () => {
    const made = ['run', '--node', 'node2', guests.peek, 'waits', '0', '--size', '8192', '--write', '9'];
    expect(await vkctl(...made)).toMatchObject({ code: 0 });
    const holder = pmapd('node2');
    onTestFailed(() => void signalIdentity(holder, 'SIGCONT'));
    signalIdentity(holder, 'SIGSTOP');
    const peek = start('run', '--node', 'node1', guests.peek, 'waits', '0');
    interface Listed {
      waits: { what: string; reason: string; waitedMs: number }[];
    }
    let waits: Listed['waits'] = [];
    await until('ps says that it waits', async () => {
      const listed = JSON.parse((await vkctl('ps', '--json')).stdout || '[]') as Listed[];
      waits = listed.flatMap((process) => process.waits);
      return waits.length > 0;
    });
    const reason = 'it was asked for, and whoever has it has not sent it yet';
    expect(waits).toMatchObject([{ what: 'page 0 of dataspace waits', reason }]);
    expect(waits[0]!.waitedMs).toBeGreaterThanOrEqual(5_000);
    const [ps, said] = await Promise.all([vkctl('ps'), vkctl('events', '--kind', 'fault-waits')]);
    expect(ps.stdout).toMatch(/WAITS[\s\S]*s for page 0 of dataspace waits: it was asked for/);
    const text = 'process \\d+ has waited \\d+ s for page 0 of dataspace waits: it was asked for';
    expect(said.stdout).toMatch(new RegExp(`node1/pmapd +warning +fault-waits +${text}`));
    // The service that is stopped is one of those that were asked.
    expect(said).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the events of node2/pmapd are missing'),
    });
    signalIdentity(holder, 'SIGCONT');
    const { code, stdout } = await peek.ended;
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { words: [9] }]);
  });

  test('a node that dies, and a page that was only there, are events', async () => {
    const made = ['run', '--node', 'node2', guests.peek, 'gone', '0', '--size', '8192', '--write', '9'];
    expect(await vkctl(...made)).toMatchObject({ code: 0 });
    signalIdentity(pmapd('node2'), 'SIGKILL');
    await until('it is lost', async () => {
      const read = await vkctl('run', '--node', 'node1', guests.peek, 'gone', '0');
      return read.code === 128 + 7;
    });
    expect((await events('page-lost'))[0]).toMatchObject({
      ...{
        service: 'node1/pmapd',
        node: 'node1',
        severity: 'error',
        subject: { dataspace: 'gone', page: '0' },
      },
    });
    const buried = await events('holder-buried');
    expect(buried.map(({ text }) => text)).toContainEqual(expect.stringMatching(/^node2 is gone: /));
  });

  test('a control group whose memory runs out ends its virtual kernel, and says so', async (context) => {
    const within = ['run', '--node', 'node1', '--vkernel', 'small'];
    expect(await vkctl(...within, guests.hello)).toMatchObject({ code: 0 });
    const { nodes } = JSON.parse((await vkctl('status', '--json')).stdout) as {
      nodes: { vkernels?: { name: string; hostPid: number }[] }[];
    };
    const small = nodes.flatMap(({ vkernels = [] }) => vkernels).find(({ name }) => name === 'small')!;
    const groups = readFileSync(`/proc/${small.hostPid}/cgroup`, 'utf8');
    const group = /^\d+:(?:memory)?:(\/.*\/vkernel-\d+)$/m.exec(groups)?.[1];
    const bounds = [
      [`/sys/fs/cgroup/memory${group}/memory.limit_in_bytes`, 'memory.usage_in_bytes'],
      [`/sys/fs/cgroup${group}/memory.max`, 'memory.current'],
    ] as const;
    const found = bounds.find(([file]) => existsSync(file));
    if (found === undefined) return context.skip(); // This user has no control groups to divide.
    const [bound, used] = [found[0], join(dirname(found[0]), found[1])];
    const doomed = start(...within, guests.hog, 'private', '60', '60000');
    // A start makes room for what starts: this takes it away as fast.
    await until('it has ended', async () => {
      try {
        writeFileSync(bound, String(Number(readFileSync(used, 'utf8')) + (64 << 10)));
      } catch {} // It uses more by now, or has ended.
      return !existsSync(bound);
    });
    const end = await doomed.ended;
    const reason = /the memory of its control group ran out: .*raise it with --memory of a program/;
    expect(end).toMatchObject({ code: 137, stderr: expect.stringMatching(reason) });
    expect((await events('vkernel-ended-for-memory'))[0]).toMatchObject({
      ...{ service: 'node1/vkerneld', text: expect.stringMatching(reason) },
      subject: { vkernel: expect.stringMatching(/\/small$/) },
    });
    await innocent();
  });

  test('more dataspaces than there are descriptors: an error of the program, and virtual kernels still start', async () => {
    const many = await vkctl('run', '--node', 'node1', guests.hog, 'many', '600', 'many-');
    expect(many).toMatchObject({ code: 3, stderr: expect.stringMatching(/^many-\d{3}: .*\(errno 41\)\n$/) });
    const another = await vkctl('run', '--node', 'node1', '--vkernel', 'another', guests.hello);
    expect(another).toMatchObject({ code: 0, stderr: '' });
    const refused = await vkctl('ds', 'create', '--node', 'node1', 'onemore', '4096');
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no descriptor left for dataspace onemore/),
    });
  });
});
