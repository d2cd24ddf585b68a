// libs/guest/posix, tried by a program of ours: processes of three nodes on one memory, and ends of processes.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { PosixLibrary } from './library.ts';

let cluster: TestCluster;
let library: PosixLibrary;
beforeAll(async () => {
  library = await PosixLibrary.build();
  cluster = await TestCluster.up({ nodes: 3 });
  const strict = ['-Wall', '-Wextra', '-Werror'];
  cluster.addModule('posix', await library.link('posix', [join(import.meta.dirname, 'posix.c')], strict));
}, 150_000);
afterAll(async () => {
  await cluster.down();
  await library.close();
}, 90_000);

const nodes = ['node1', 'node2', 'node3'];
const posix = async (node: string, ...args: string[]) => (await cluster.output(node, 'posix', args)).trim();
const together = (...args: string[]) => Promise.all(nodes.map((node) => posix(node, ...args)));

test('what one process can see of the rules', async () => {
  expect(await posix('node1', 'rules')).toBe('all hold');
  // Nothing is left of what was unlinked, but the two tables of names.
  const names = async () => JSON.parse((await cluster.vkctl(['ds', 'ls', '--json'])).stdout);
  await until('it is so', async () => (await names()).length === 2);
});

describe('processes of three nodes', () => {
  test.each(['mutex', 'rwlock', 'sem'])('no addition is lost: %s', async (by) => {
    const seen = await together('shm', `/count-${by}`, by, '100');
    expect(Math.max(...seen.map(Number))).toBe(300);
  });

  test('a condition hands a turn from one to the other', async () => {
    const turns = await Promise.all([
      posix('node1', 'shm', '/turns', 'even', '50'),
      posix('node2', 'shm', '/turns', 'odd', '50'),
    ]);
    expect(turns).toContain('100');
  });

  test('nobody goes through a barrier before all have come, and one of them is told so', async () => {
    const serial = await Promise.all(
      ['node1', 'node3'].map((node) => posix(node, 'barrier', '/barrier', '2', '10')),
    );
    expect(Number(serial[0]) + Number(serial[1])).toBe(10);
  });

  test("what several append to a file stands there line by line, and System V's memory is one", async () => {
    await Promise.all(nodes.map((node) => posix(node, 'append', '/shared/log', `${node}\n`, '50')));
    const lines = (await posix('node2', 'cat', '/shared/log')).split('\n').sort();
    expect(lines).toEqual(nodes.flatMap((node) => Array(50).fill(node)));
    await posix('node1', 'sysv', '7', 'put', 'hello');
    expect(await posix('node2', 'sysv', '7', 'rm')).toBe('hello');
    expect(await cluster.run('node3', 'posix', ['sysv', '7', 'get'])).toMatchObject({ code: 1 });
  });
});

test("System V's semaphores: what three nodes add under one counts, and a dead process's is undone", async () => {
  const seen = await together('semv', '8', 'add', '30');
  expect(Math.max(...seen.map(Number))).toBe(90);
  const holder = await cluster.start('node1', 'posix', ['semv', '8', 'hold']);
  await holder.wrote(/held/);
  expect(await posix('node2', 'semv', '8', 'get')).toBe('0 1 2');
  const next = posix('node3', 'semv', '8', 'take');
  await holder.signal('SIGKILL');
  expect(await next).toBe('taken, 0 left');
  // Who ended by itself undid what it had taken.
  expect(await posix('node2', 'semv', '8', 'get')).toBe('1 1 2');
  await posix('node1', 'semv', '8', 'rm');
});

describe('a process that dies', () => {
  test('a robust mutex tells the next one of it', async () => {
    const holder = await cluster.start('node1', 'posix', ['hold', '/robust', 'mutex']);
    await holder.wrote(/held/);
    const next = cluster.output('node2', 'posix', ['robust', '/robust']);
    await holder.signal('SIGKILL');
    expect((await next).trim()).toBe('EOWNERDEAD');
  });

  test.each(['flock', 'fcntl'])('its %s ends with it, and was in the way before', async (how) => {
    const file = `/shared/${how}`;
    const holder = await cluster.start('node1', 'posix', ['hold', file, how]);
    await holder.wrote(/held/);
    expect(await posix('node2', 'try', file, how)).toBe('EAGAIN');
    expect(await posix('node2', 'try', file, 'getlk')).toBe(how === 'fcntl' ? 'ok' : 'ok free');
    await holder.signal('SIGKILL');
    await holder.end();
    await until('it is so', async () => (await posix('node2', 'try', file, how)).startsWith('ok'));
  });
});
