import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildGuest } from './build.ts';
import { OneNode } from './one-node/one-node.ts';

// The guests that share memory, on hardware that is coherent: what they print here is what a cluster must show too.

let node: OneNode;
beforeEach(() => {
  node = new OneNode();
});
afterEach(() => node.close());

/** Runs a guest with each list of arguments at the same time; all must exit with `code`. */
async function together(name: string, ...lists: string[][]): Promise<string[]> {
  const wasm = await buildGuest(name);
  const ends = await Promise.all(lists.map((args) => node.run(wasm, args)));
  expect(ends.map(({ code, trap, stderr }) => ({ code, trap, stderr }))).toEqual(
    lists.map(() => ({ code: 0, trap: undefined, stderr: '' })),
  );
  return ends.map((end) => end.stdout);
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 3_000) throw new Error('did not come about within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('counter', () => {
  test.each([
    ['atomic', 20_000],
    ['lock', 200],
  ])('%s increments of four processes all count', async (mode, n) => {
    const args = ['counter', mode, `${n}`, '--start', '4'];
    await together('counter', args, args, args, args);
    const [read] = await together('counter', ['counter', 'read']);
    expect(JSON.parse(read!)).toMatchObject({ mode: 'read', seen: 4 * n });
  });

  test('a pair of words under locks is never seen apart', async () => {
    const [write, read] = await together(
      'counter',
      ['pair', 'pair-write', '300'],
      ['pair', 'pair-read', '300'],
    );
    expect(JSON.parse(write!)).toMatchObject({ seen: 300 });
    expect(JSON.parse(read!)).toMatchObject({ seen: 0 });
  });

  test('the AssemblyScript binding counts along', async () => {
    const [c, as] = await Promise.all([
      together('counter', ['both', 'atomic', '5000']),
      together('shared-counter', ['both', 'atomic', '5000'], ['both', 'lock', '0']),
    ]);
    const last = Math.max(
      JSON.parse(c[0]!).seen,
      Number(as[0]!.match(/^counter (\d+) node 1 pid \d+\n$/)![1]),
    );
    expect(last).toBe(10_000);
  });
});

describe('litmus', () => {
  test.each([
    ['mp', 2],
    ['sb', 2],
    ['corr', 2],
    ['iriw', 4],
  ])('%s', async (name, roles) => {
    for (const layout of [[], ['--same-page']]) {
      const args = Array.from({ length: roles }, (_, role) => [
        `${name}${layout}`,
        name,
        `${role}`,
        '2000',
        ...layout,
      ]);
      const [histogram, ...others] = await together('litmus', ...args);
      expect(others.every((output) => output === '')).toBe(true);
      const result = JSON.parse(histogram!);
      expect(result).toMatchObject({ test: name, rounds: 2000, forbidden: 0, anomalies: 0 });
      const total = Object.values<number>(result.outcomes).reduce((sum, count) => sum + count, 0);
      expect(total).toBe(2000);
    }
  });

  test('a role that is missing ends the others with a clear line', async () => {
    const end = await node.run(await buildGuest('litmus'), ['lone', 'mp', '1', '10', '--timeout-ms', '200']);
    expect(end).toMatchObject({ code: 3, stderr: 'barrier: 1 of 2 arrived in generation 0 within 200 ms\n' });
  });
});

describe('pingpong and futex', () => {
  test.each([[[]], [['--wait']]])('a page goes to and fro %j', async (how) => {
    const [times] = await together('pingpong', ['ball', '0', '50', ...how], ['ball', '1', '50', ...how]);
    expect(JSON.parse(times!)).toMatchObject({ rounds: 50, round_trip_ns: { count: 50 } });
  });

  test('waits end by value, by time and by wake', async () => {
    const futex = async (...args: string[]) =>
      JSON.parse((await together('futex', ['word', ...args]))[0]!.split('\n').at(-2)!);
    expect(await futex('wait', '1', '1000')).toMatchObject({ errno: 6, value: 0 });
    const timedOut = await futex('wait', '0', '100');
    expect(timedOut).toMatchObject({ errno: 73 });
    expect(timedOut.ns).toBeGreaterThan(90e6);
    const sleeping = [1, 2].map(() => futex('wait', '0', '-1'));
    await until(() => node.sleeping === 2);
    expect(await futex('wake', '1')).toMatchObject({ woken: 1 });
    expect(await futex('set', '5')).toMatchObject({ woken: 1, value: 5 });
    for (const end of await Promise.all(sleeping)) expect(end).toMatchObject({ errno: 0 });
  });

  test('C wakes AssemblyScript and the other way round', async () => {
    const sleeping = together('shared-counter', ['mixed', 'wait', '0']);
    await until(() => node.sleeping === 1);
    expect(await together('shared-counter', ['mixed', 'wake', '9'])).toEqual(['woke 1\n']);
    expect(await sleeping).toEqual(['woken 0\n']);
  });
});

describe('range locks', () => {
  const lines = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  test('a lock that is held keeps others out, until its holder is killed', async () => {
    const wasm = await buildGuest('rangelock');
    const attempt = async (...args: string[]) => lines((await node.run(wasm, ['locked', ...args])).stdout)[0];
    const holder = node.start(wasm, [
      'locked',
      '0',
      '4095',
      'modifying',
      '-1',
      '--hold',
      '--dirty',
      '4',
      '--value',
      '7',
    ]);
    await until(() => holder.stdout().includes('{"dirty":4}'));
    expect(await attempt('4095', '5000', 'shared', '0')).toMatchObject({ locked: false, errno: 73 });
    expect(await attempt('0', '0', 'exclusive', '100')).toMatchObject({ locked: false, errno: 73 });
    expect(await attempt('4096', '5000', 'exclusive', '0')).toMatchObject({ locked: true });
    const waiting = attempt('0', '0', 'exclusive', '-1');
    await holder.kill();
    expect(await waiting).toMatchObject({ locked: true });
    expect(await together('peek', ['locked', '0'], ['locked', '12288'])).toEqual([
      '{"offset":0,"words":[7]}\n',
      '{"offset":12288,"words":[7]}\n',
    ]);
  });

  test('two may share, and hold as long as they say', async () => {
    const args = ['shared', '0', '9', 'shared', '1000', '--hold-ms', '50'];
    for (const output of await together('rangelock', args, args)) {
      expect(lines(output)).toMatchObject([{ locked: true, errno: 0 }, { unlocked: true }]);
    }
  });
});

describe('dataspaces', () => {
  test('the rules of mapping hold', async () => {
    const [rules] = await together('dataspace', ['rules', 'map']);
    expect(Object.values(JSON.parse(rules!)).filter((holds) => holds === true)).toHaveLength(27);
  });

  test('sizes and flags', async () => {
    const open = async (...args: string[]) =>
      JSON.parse((await together('dataspace', ['sized', 'open', ...args]))[0]!);
    expect(await open('0', '0')).toMatchObject({ errno: 44 });
    expect(await open('5000', '1')).toEqual({ errno: 0, size_bytes: 5000 });
    expect(await open('5000', '3')).toMatchObject({ errno: 20 });
    expect(await open('4096', '1')).toMatchObject({ errno: 28 });
    expect(await open('0', '0')).toEqual({ errno: 0, size_bytes: 5000 });
    const [stat] = await together('dataspace', ['sized', 'stat']);
    expect(JSON.parse(stat!)).toEqual({ errno: 0, size_bytes: 5000, pages: 2 });
    expect(await together('shared-counter', ['binding', 'errors'])).toEqual([
      'other size 28 missing 44 size 16384\n',
    ]);
  });

  test('patterns, words and streams arrive whole', async () => {
    const pattern = async (...args: string[]) =>
      JSON.parse((await together('pattern', ['pages', '32', ...args]))[0]!);
    expect(await pattern('zero', '0')).toMatchObject({ wrong_pages: 0 });
    await pattern('write', '3');
    expect(await pattern('check', '3')).toMatchObject({ pages: 32, wrong_pages: 0, first_wrong: -1 });
    await together('peek', ['pages', '20480', '--write', '1', '2']);
    expect(await together('peek', ['pages', '20480', '2'])).toEqual(['{"offset":20480,"words":[1,2]}\n']);
    const wrong = await node.run(await buildGuest('pattern'), ['pages', '32', 'check', '3']);
    expect(wrong.code).toBe(1);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ wrong_pages: 1, first_wrong: 5 });
    const [written] = await together('stream', ['stream', 'write', '4']);
    const [read] = await together('stream', ['stream', 'read']);
    expect(JSON.parse(read!)).toMatchObject({ bytes: 4 << 20, checksum: JSON.parse(written!).checksum });
  });

  test('touch goes through all pages in each order', async () => {
    await together('touch', ['touched', '64', 'write', 'seq', '--size', '262144', '--value', '2']);
    for (const order of ['seq', 'random', 'stride=7']) {
      const [line, second] = (
        await together('touch', ['touched', '64', 'read', order, '--rounds', '2', '--raw'])
      )[0]!.split('\n');
      const result = JSON.parse(line!);
      expect(result).toMatchObject({ order, pages: 64, sum: 128, access_ns: { count: 64 } });
      expect(result.raw).toHaveLength(64);
      expect(JSON.parse(second!)).toMatchObject({ sum: 128 });
    }
    const [added] = await together('touch', ['touched', '64', 'add', 'seq']);
    expect(JSON.parse(added!)).toMatchObject({ sum: 128 });
  });

  test('a read-only mapping is read-only, for the guest and for its system calls', async () => {
    const wasm = await buildGuest('readonly');
    node.load('constant', new Uint8Array(16384).fill(1));
    expect(await node.run(wasm, ['constant', 'load'])).toMatchObject({ code: 0 });
    expect(await node.run(wasm, ['constant', 'store'])).toMatchObject({
      trap: 'memory access out of bounds',
    });
    const kernel = await node.run(wasm, ['constant', 'kernel'], 'not for there');
    expect(kernel.stdout.split('\n')[1]).toBe('{"read":0,"errno":21}');
    expect(node.save('constant').every((byte) => byte === 1)).toBe(true);
  });
});
