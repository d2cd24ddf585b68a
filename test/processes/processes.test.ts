// One process table: programs in C that start programs on three nodes, wait for them, signal them, and outlive what dies.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../cluster/cluster.ts';
import { testBounds } from './bounds.ts';
import { testFiles } from './files.ts';
import { Machine } from './machine.ts';
import { testPlaces } from './places.ts';

const machine = new Machine();
beforeAll(() => machine.up(), 150_000);
afterAll(() => machine.down(), 90_000);

/** A parent on `here` that waits for a child on `there`. */
async function waiting(here: string, there: string, part = 'sleep') {
  const parent = await machine.start(here, 'wait', there, part);
  const child = Number((await parent.wrote(/child (\d+)/))[1]);
  return { parent, child };
}

test('children on three nodes end with what they say, and there is none besides', async () => {
  const lines = (await machine.output('node1', 'spawn', 'node1,node2,node3', '10')).trim().split('\n');
  expect(lines.map((line) => line.replace(/^(\d)\d+/, '$1'))).toEqual([
    '1 code 11',
    '2 code 12',
    '3 code 13',
    'wait: No child process',
  ]);
});

test('a node that is not there is said so', async () => {
  expect(await machine.output('node1', 'spawn', 'node9', '1')).toContain('node9: Host is unreachable');
});

test('a child elsewhere is its parent, waited for and killed from any node; vkctl shows whose it is', async () => {
  const { parent, child } = await waiting('node2', 'node3');
  expect(await machine.shown(child)).toMatchObject({ parent: expect.anything(), state: 'running' });
  expect(String(child)).toMatch(/^3/);
  await machine.cluster.vkctl(['kill', '-9', String(child)]);
  await parent.wrote(new RegExp(`${child} signal 9`));
  expect((await parent.end()).code).toBe(0);
});

test('whose parent is over is init’s', async () => {
  const child = Number(/child (\d+)/.exec(await machine.output('node1', 'orphan', 'node2'))![1]);
  await until('it is an orphan', async () => Number((await machine.shown(child))?.parent) === 1);
  await machine.cluster.vkctl(['kill', String(child)]);
  await until('it is over', async () => (await machine.shown(child))?.state === 'exited');
});

test('a parent that is killed leaves its child to init', async () => {
  const { parent, child } = await waiting('node3', 'node1');
  await parent.signal('SIGKILL');
  await until('it is an orphan', async () => Number((await machine.shown(child))?.parent) === 1);
  await machine.cluster.vkctl(['kill', String(child)]);
});

test('a child that writes to a parent which is over ends by SIGPIPE, as a pipe has it', async () => {
  const { parent, child } = await waiting('node3', 'node1', 'ticks');
  await parent.signal('SIGKILL');
  await until('it is over', async () => (await machine.shown(child))?.exit?.signal === 'SIGPIPE');
});

test('children one after another, here and elsewhere, leave nothing behind', async () => {
  expect(await machine.output('node1', 'loop', '10')).toContain('10 ended');
  expect(await machine.output('node1', 'loop', '10', 'node2')).toContain('10 ended');
});

describe('pipes', () => {
  test('three children in a row: what the first one reads the last one counts', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${(i * 7919) % 20_000}`);
    const stdin = `${lines.slice(0, 3_000).join('\n')}\nzero\n`;
    const said = await machine.cluster.output('node1', 'family', ['pipeline'], { dirs: machine.dirs, stdin });
    expect(said).toContain('3001 lines, the last is zero');
    expect(said.match(/code 0/g)).toHaveLength(3);
  });

  test('the same with each stage on a node of its own', async () => {
    const stdin = `${Array.from({ length: 3_000 }, (_, i) => `line ${(i * 7919) % 20_000}`).join('\n')}\nzero\n`;
    const said = await machine.cluster.output('node1', 'family', ['pipeline', 'node1', 'node2', 'node3'], {
      dirs: machine.dirs,
      stdin,
    });
    expect(said).toContain('3001 lines, the last is zero');
    expect(said.match(/\d+ code 0/g)!.map((line) => line[0])).toEqual(['1', '2', '3']);
  });

  test('a write that nobody will read is SIGPIPE, or EPIPE where that is ignored', async () => {
    expect(await machine.cluster.run('node1', 'family', ['deaf'], { dirs: machine.dirs })).toMatchObject({
      signal: 'SIGPIPE',
    });
    expect(await machine.output('node1', 'deaf', 'i')).toContain('-1 Broken pipe');
  });
});

describe('signals', () => {
  test('a group that nobody is in, or only others are in, on this node or another one, is not there', async () => {
    const other = await machine.cluster.start('node1', 'family', ['sleep'], {
      dirs: machine.dirs,
      vkernel: 'other',
    });
    for (const group of [-100_000, -299_999, -Number(await other.pid)])
      expect(await machine.output('node1', 'kill', String(group))).toBe('-1 No such process\n');
    const services = JSON.parse((await machine.cluster.vkctl(['status', '--json'])).stdout).services;
    expect(services.filter(({ restarts }: { restarts: number }) => restarts > 0)).toEqual([]);
    await other.signal('SIGKILL');
  });

  test('one that comes while a handler ends, or right before a read, is heard there', async () => {
    for (const node of ['-', 'node2']) {
      const { ns } = JSON.parse(
        await machine.cluster.output('node1', 'relatives', ['signal', '300', node, 'WAITS']),
      );
      expect(ns).toHaveLength(300);
    }
  });

  test('handlers run while it computes and while it sleeps; STOP stops it, CONT lets it go on', async () => {
    const program = await machine.start('node1', 'handle', '');
    await program.wrote(/ready/);
    const pid = String(await program.pid);
    await machine.cluster.vkctl(['kill', '-s', 'USR1', pid]);
    await program.wrote(/USR1 1/);
    await machine.cluster.vkctl(['kill', '-s', 'STOP', pid]);
    await until('it stands still', async () => (await machine.shown(Number(pid)))?.state === 'stopped');
    await machine.cluster.vkctl(['kill', '-s', 'USR1', pid]);
    await machine.cluster.vkctl(['kill', '-s', 'CONT', pid]);
    await program.wrote(/USR1 2/);
    await machine.cluster.vkctl(['kill', pid]);
    expect((await program.end()).code).toBe(5);
    // And no constructor, nor what atexit() has, with them.
    await program.wrote(/USR1 2\nbegun 1, over\n$/);
  });
});

describe('places', () => testPlaces(machine));
describe('files', () => testFiles(machine));
describe('bounds', () => testBounds(machine));

describe('deaths', () => {
  test('vkerneld is killed and started anew while a parent waits', async () => {
    const { parent, child } = await waiting('node1', 'node2');
    const parentPid = Number(await parent.pid);
    for (const name of ['node1/vkerneld', 'node2/vkerneld']) await machine.cluster.kill(name);
    await machine.cluster.well();
    await until('it is known again', async () => (await machine.shown(child))?.state === 'running');
    await machine.cluster.vkctl(['kill', '-9', String(child)]);
    // Who ran it has lost the line to it, and not the parent its child.
    await until('it is over', async () => (await machine.shown(parentPid))?.state === 'exited');
    expect(await machine.shown(child)).toMatchObject({ state: 'exited', exit: { signal: 'SIGKILL' } });
  });

  test('a node dies while a parent elsewhere waits: it hears so once the node is fenced', async () => {
    const { parent, child } = await waiting('node1', 'node3');
    const left = await waiting('node3', 'node2', 'ticks');
    await machine.cluster.withoutRestarts(async () => {
      const { vkernels } = await machine.cluster.connection.vkerneld('node3').listVkernels({});
      await machine.cluster.kill('node3/vkerneld');
      await machine.cluster.kill('node3/pmapd');
      for (const { hostPid } of vkernels) process.kill(hostPid, 'SIGKILL');
      await parent.wrote(new RegExp(`${child} signal 9`));
      expect((await parent.end()).code).toBe(0);
      // What a process there started elsewhere has nobody to write to.
      await until('it is over', async () => (await machine.shown(left.child))?.exit?.signal === 'SIGPIPE');
    });
  });
});
