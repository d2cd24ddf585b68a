// One memory: what a process does to it on one node, every other sees, in C as in AssemblyScript.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from './cluster.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3, flushMs: 100 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

const nodes = ['node1', 'node2', 'node3'];
/** Eight places: three nodes, two virtual kernels each, and in one of them three processes. */
const places = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => ({
  node: nodes[i % 3]!,
  options: { vkernel: i < 3 ? 'first' : 'second' },
}));

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

interface HotPage {
  users: { node: string; bytes: { begin: number }[] }[];
  waitedMsPerSecond: number;
}

describe('who fights over a page', () => {
  const fight = async (name: string, ...at: [number, number]) => {
    const count = ['atomic', '5000000', '--start', '2', '--at'];
    // Where one is through before the other begins, nothing was fought over but the word by which they begin.
    for (let tries = 0; ; tries++) {
      const ds = `${name}-${tries}`;
      await Promise.all(
        at.map((bytes, i) =>
          cluster.output(nodes[i]!, 'counter', [ds, ...count, `${bytes}`, '--name', `at ${bytes}`]),
        ),
      );
      const { code, stdout, stderr } = await cluster.vkctl(['ds', 'hot', ds, '--json']);
      expect([code, stderr]).toEqual([0, '']);
      const page: HotPage | undefined = JSON.parse(stdout).find(({ page }: { page: number }) => page === 0);
      const users = page?.users ?? [];
      const fought = users.every(({ bytes }) => bytes.every(({ begin }) => at.includes(begin)));
      if ((fought && new Set(users.map(({ node }) => node)).size === 2) || tries === 20) return { ds, page };
    }
  };

  test('is told by process and bytes, and whether they are the same bytes', async () => {
    const { ds, page: apart } = await fight('hot-apart', 64, 128);
    const { page: same } = await fight('hot-same', 8, 8);
    const user = (node: string, begin: number) =>
      expect.objectContaining({ node, write: true, bytes: [{ begin, end: begin + 8 }] });
    expect(apart).toMatchObject({ page: 0, sharing: 'false', names: ['at 64', 'at 128'] });
    expect(apart?.users).toEqual(expect.arrayContaining([user('node1', 64), user('node2', 128)]));
    expect(same).toMatchObject({ page: 0, sharing: 'true', names: ['at 8'] });
    expect(same?.waitedMsPerSecond).toBeGreaterThan(0);
    const shown = await cluster.vkctl(['ds', 'hot', ds, '-n', '2']);
    expect(shown.stdout).toMatch(
      /^PAGE [\s\S]*\n +0 +0\+4096 +at (64|128), at (64|128) .* false .*\d+ at node\d writes (64-71|128-135)/,
    );
    expect(await cluster.vkctl(['ds', 'hot', 'nothing'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no dataspace "nothing"'),
    });
  });
});

describe('pages', () => {
  test('every byte that one node wrote, the others read; and the other way round', async () => {
    const check = (node: string, seed: number) =>
      expect(cluster.json(node, 'pattern', ['pages', '200', 'check', `${seed}`])).resolves.toMatchObject({
        pages: 200,
        wrong_pages: 0,
      });
    expect(await cluster.json('node2', 'pattern', ['pages', '200', 'zero', '0'])).toMatchObject({
      wrong_pages: 0,
    });
    await cluster.output('node1', 'pattern', ['pages', '200', 'write', '1']);
    await Promise.all([check('node2', 1), check('node3', 1), check('node1', 1)]);
    await cluster.output('node3', 'pattern', ['pages', '200', 'write', '2']);
    await Promise.all(nodes.map((node) => check(node, 2)));
    // Every second page by one, the others by the other, at the same time.
    const half = (node: string, parity: number) =>
      Promise.all(
        Array.from({ length: 5 }, (_, i) => {
          const first = `${(2 * i + parity) * 20}`;
          return cluster.output(node, 'pattern', [
            ...['pages', '20', 'write', '3', '--size', '819200', '--first'],
            first,
          ]);
        }),
      );
    await Promise.all([half('node1', 0), half('node2', 1)]);
    await Promise.all(nodes.map((node) => check(node, 3)));
  });

  test('a page bounces between two nodes, and between two virtual kernels of one', async () => {
    const bounce = async (ball: string, from: string, to: string, rounds: number, ...how: string[]) => {
      const [times] = await Promise.all([
        cluster.json(from, 'pingpong', [ball, '0', `${rounds}`, ...how], { vkernel: 'first' }),
        cluster.output(to, 'pingpong', [ball, '1', `${rounds}`, ...how], { vkernel: 'second' }),
      ]);
      expect(times).toMatchObject({ rounds, round_trip_ns: { count: rounds } });
    };
    await Promise.all([
      bounce('ball-far-wait', 'node2', 'node3', 300, '--wait'),
      bounce('ball-near-wait', 'node1', 'node1', 300, '--wait'),
    ]);
    // Who spins takes a core each: one pair at a time.
    await bounce('ball-far', 'node1', 'node2', 100);
    await bounce('ball-near', 'node3', 'node3', 100);
  });

  test('a large dataspace streams from node to node', async () => {
    const written = await cluster.json('node1', 'stream', ['stream', 'write', '16']);
    const read = await Promise.all(
      ['node2', 'node3'].map((node) => cluster.json(node, 'stream', ['stream', 'read'])),
    );
    for (const each of read) expect(each).toMatchObject({ bytes: 16 << 20, checksum: written.checksum });
  });
});

describe('counters', () => {
  test.each([
    ['atomic', 2000],
    ['lock', 150],
  ])('eight writers on three nodes, %s: every increment counts', async (mode, n) => {
    const args = [`counter-${mode}`, mode, `${n}`, '--start', '8'];
    const ends = await Promise.all(
      places.map(({ node, options }) => cluster.json(node, 'counter', args, options)),
    );
    const last = Math.max(...ends.map((end) => Number(end.seen)));
    expect(last).toBe(8 * n);
    for (const node of nodes) {
      expect(await cluster.json(node, 'counter', [args[0]!, 'read'])).toMatchObject({ seen: 8 * n });
    }
  });

  test('a pair of words under locks is never seen apart', async () => {
    const [first, second, ...readers] = await Promise.all([
      cluster.json('node1', 'counter', ['pair', 'pair-write', '100', '--start', '4']),
      cluster.json('node2', 'counter', ['pair', 'pair-write', '100', '--start', '4']),
      cluster.json('node2', 'counter', ['pair', 'pair-read', '100', '--start', '4']),
      cluster.json('node3', 'counter', ['pair', 'pair-read', '100', '--start', '4']),
    ]);
    expect(Math.max(Number(first!.seen), Number(second!.seen))).toBe(200);
    for (const reader of readers) expect(reader).toMatchObject({ seen: 0 });
  });

  test('C and AssemblyScript count together, with atomics and under locks', async () => {
    const both = async (mode: string, n: number) => {
      const ds = `both-${mode}`;
      const outputs = await Promise.all([
        cluster.output('node1', 'counter', [ds, mode, `${n}`]),
        cluster.output('node2', 'shared-counter', [ds, mode, `${n}`]),
        cluster.output('node3', 'shared-counter', [ds, mode, `${n}`]),
      ]);
      expect(outputs[1]).toMatch(/^counter \d+ node 2 pid 2\d{5}\n$/);
      expect(outputs[2]).toMatch(/^counter \d+ node 3 pid 3\d{5}\n$/);
      expect(await cluster.json('node1', 'counter', [ds, 'read'])).toMatchObject({ seen: 3 * n });
    };
    await Promise.all([both('atomic', 2000), both('lock', 100)]);
  });
});

describe('wait and wake', () => {
  const futex = async (node: string, ...args: string[]) =>
    lines(await cluster.output(node, 'futex', ['word', ...args])).at(-1)!;
  const sleeper = async (node: string) => {
    const program = await cluster.start(node, 'futex', ['word', 'wait', '0', '-1']);
    await program.wrote(/"waiting":true/);
    return program;
  };

  test('waits end by value, by time, and by a wake from any node', async () => {
    expect(await futex('node1', 'wait', '1', '20000')).toMatchObject({ errno: 6, value: 0 });
    const timedOut = await futex('node2', 'wait', '0', '100');
    expect(timedOut).toMatchObject({ errno: 73 });
    expect(timedOut.ns).toBeGreaterThan(95e6);

    const sleepers = await Promise.all(nodes.map(sleeper));
    // `waiting` is written just before the call: the wake counts whom it found.
    let woken = 0;
    while (woken < 1) woken += Number((await futex('node3', 'wake', '1')).woken);
    expect(woken).toBe(1);
    await Promise.race(sleepers.map((program) => program.ended));
    while (woken < 3) woken += Number((await futex('node2', 'wake', '-1')).woken);
    expect(woken).toBe(3);
    for (const program of sleepers) {
      const { code, stdout } = await program.end();
      expect({ code, ...lines(stdout.toString()).at(-1) }).toMatchObject({ code: 0, errno: 0, value: 0 });
    }
  });

  test('C wakes AssemblyScript on another node, and the other way round', async () => {
    const assembly = await cluster.start('node1', 'shared-counter', ['mixed', 'wait', '0']);
    let woken = 0;
    // It writes nothing before it sleeps; the writer makes the value so that a late sleeper does not sleep at all.
    while (woken < 1 && assembly.stdout === '') {
      const said = await cluster.output('node2', 'shared-counter', ['mixed', 'wake', '0']);
      woken = Number(/^woke (\d+)\n$/.exec(said)![1]);
    }
    expect((await assembly.end()).stdout.toString()).toBe('woken 0\n');

    // In C the word is the first, in AssemblyScript the second: a dataspace each way.
    const c = await sleeper('node3');
    await cluster.output('node1', 'futex', ['word', 'set', '7']);
    expect(lines((await c.end()).stdout.toString()).at(-1)).toMatchObject({ value: 7 });
  });
});

describe('range locks', () => {
  const attempt = async (node: string, ...args: string[]) =>
    lines(await cluster.output(node, 'rangelock', ['locked', ...args]))[0];

  test('modes exclude each other across nodes, by bytes', async () => {
    const holder = await cluster.start('node1', 'rangelock', [
      ...['locked', '100', '199', 'shared', '-1', '--hold-ms', '600000', '--dirty', '1'],
    ]);
    await holder.wrote(/"dirty":1/);
    // They run at the same time: those that get their range overlap nobody but the holder.
    const tries = await Promise.all([
      attempt('node2', '50', '100', 'shared', '0'),
      attempt('node2', '100', '110', 'exclusive', '0'),
      attempt('node3', '150', '199', 'modifying', '50'),
      attempt('node3', '0', '49', 'modifying', '0'),
      attempt('node1', '200', '300', 'exclusive', '0'),
    ]);
    expect(tries).toMatchObject([
      { locked: true },
      { locked: false, errno: 73 },
      { locked: false, errno: 73 },
      { locked: true },
      { locked: true },
    ]);
    await holder.signal('SIGKILL');
    expect(await holder.end()).toMatchObject({ code: 137, signal: 'SIGKILL', reason: 'killed by SIGKILL' });
  });

  test('negative offsets are metadata space: locks on them stand beside those on bytes', async () => {
    const holder = await cluster.start('node1', 'rangelock', [
      ...['metadata', '-100', '-1', 'modifying', '-1', '--hold-ms', '600000', '--dirty', '1'],
    ]);
    await holder.wrote(/"dirty":1/);
    const attempt = async (...range: string[]) =>
      lines(await cluster.output('node2', 'rangelock', ['metadata', ...range, 'exclusive', '0']))[0];
    expect(await attempt('-1', '10')).toMatchObject({ locked: false, errno: 73 });
    expect(await attempt('0', '99')).toMatchObject({ locked: true });
    expect(await attempt('-9223372036854775807', '-101')).toMatchObject({ locked: true });
    await holder.signal('SIGKILL');
    await holder.end();
    expect(await attempt('-1', '10')).toMatchObject({ locked: true });
  });

  test('a killed process lets go of its locks; what it wrote to shared memory stays', async () => {
    const holder = await cluster.start('node2', 'rangelock', [
      ...['left', '0', '8191', 'modifying', '-1', '--hold', '--dirty', '64', '--value', '77'],
    ]);
    await holder.wrote(/"dirty":64/);
    const neighbour = await cluster.start('node2', 'rangelock', [
      ...['left', '9000', '9999', 'modifying', '-1', '--hold-ms', '600000', '--dirty', '1', '--value', '77'],
    ]);
    await neighbour.wrote(/"dirty":1/);
    const waiting = [
      await cluster.start('node1', 'rangelock', ['left', '0', '0', 'exclusive', '-1']),
      await cluster.start('node2', 'rangelock', ['left', '8191', '8191', 'modifying', '-1']),
    ];
    // Both are in line when a try behind them fails although it conflicts with nobody but them.
    expect(
      lines(await cluster.output('node3', 'rangelock', ['left', '0', '8191', 'shared', '0']))[0],
    ).toMatchObject({
      locked: false,
    });
    expect(waiting.map(({ stdout }) => stdout)).toEqual(['', '']);

    const { code } = await cluster.vkctl(['kill', '-9', `${await holder.pid}`]);
    expect(code).toBe(0);
    expect(await holder.end()).toMatchObject({ code: 137, signal: 'SIGKILL' });
    for (const program of waiting) {
      const { stdout } = await program.end();
      expect(lines(stdout.toString())).toMatchObject([{ locked: true, errno: 0 }, { unlocked: true }]);
    }
    for (const page of [0, 1, 31, 63]) {
      expect(await cluster.json('node3', 'peek', ['left', `${page * 4096}`])).toMatchObject({ words: [77] });
    }
    // Its neighbour in the same virtual kernel still holds its own.
    expect(
      lines(await cluster.output('node1', 'rangelock', ['left', '9999', '9999', 'shared', '0']))[0],
    ).toMatchObject({
      locked: false,
      errno: 73,
    });
    await neighbour.signal('SIGTERM');
    expect(await neighbour.end()).toMatchObject({ code: 143, signal: 'SIGTERM' });
  });
});

describe('dataspaces', () => {
  test('the rules of opening and mapping hold', async () => {
    const rules = await cluster.json('node1', 'dataspace', ['rules', 'map']);
    expect(Object.values(rules).filter((holds) => holds === true)).toHaveLength(27);
    expect(await cluster.json('node2', 'dataspace', ['rules', 'stat'])).toEqual({
      errno: 0,
      size_bytes: 65_536,
      pages: 16,
    });
    // Any 64 bits are a time to wait.
    for (const timeoutMs of ['-9223372036854775808', '9223372036854775807']) {
      const lock = ['rules', '0', '0', 'exclusive', timeoutMs, '--size', '65536'];
      expect(await cluster.output('node1', 'rangelock', lock)).toMatch(/"locked":true/);
    }
    expect(await cluster.output('node3', 'shared-counter', ['binding', 'errors'])).toBe(
      'other size 28 missing 44 size 16384\n',
    );
    const ids = await Promise.all(
      ['node1', 'node2', 'node2'].map((node, i) =>
        cluster.json(node, 'dataspace', ['-', 'ids'], { vkernel: i < 2 ? 'ids-first' : 'ids-second' }),
      ),
    );
    expect(ids.map(({ node }) => node)).toEqual([1, 2, 2]);
    expect(ids[1]!.vkernel).not.toBe(ids[2]!.vkernel);
  });

  test('the command line loads on one node, and saves on another what programs made of it', async () => {
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''));
    expect(
      await cluster.vkctl(['ds', 'load', '--node', 'node1', '--size', '300K', '--pad', 'text', '-'], {
        stdin: text,
      }),
    ).toMatchObject({ code: 0 });
    await cluster.output('node3', 'peek', ['text', '8192', '--write', '1', '2', '3']);
    text.writeUInt32LE(1, 8192);
    text.writeUInt32LE(2, 8196);
    text.writeUInt32LE(3, 8200);
    const saved = await cluster.vkctl(['ds', 'save', '--node', 'node2', 'text', '-']);
    expect(saved.stdout.length).toBe(300 * 1024);
    expect(saved.stdout.slice(0, text.length)).toBe(text.toString());
    expect(/^\0*$/.test(saved.stdout.slice(text.length))).toBe(true);
  });

  test('one that is mapped is not removed; afterwards its name is free', async () => {
    const holder = await cluster.start('node2', 'rangelock', [
      ...['mapped', '0', '1', 'shared', '-1', '--hold-ms', '600000', '--dirty', '1', '--size', '8192'],
    ]);
    await holder.wrote(/"dirty":1/);
    const refused = await cluster.vkctl(['ds', 'rm', 'mapped']);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^vkctl: .*mapped.*node2.*\n$/) });
    await holder.signal('SIGKILL');
    await holder.end();
    expect(await cluster.vkctl(['ds', 'rm', 'mapped'])).toMatchObject({ code: 0, stderr: '' });
    expect(await cluster.json('node1', 'peek', ['mapped', '0', '--size', '4096'])).toMatchObject({
      words: [0],
    });
  });
});
