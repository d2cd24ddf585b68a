// One process table: programs in C that start programs on three nodes, wait for them, signal them, and outlive what dies.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { PosixLibrary } from '../posix/library.ts';

let cluster: TestCluster;
let library: PosixLibrary;
const programs = mkdtempSync(join(tmpdir(), 'odonata-programs-'));

beforeAll(async () => {
  library = await PosixLibrary.build();
  const strict = ['-Wall', '-Wextra', '-Werror'];
  const family = await library.link('family', [join(import.meta.dirname, 'family.c')], strict);
  writeFileSync(join(programs, 'family.wasm'), family);
  cluster = await TestCluster.up({ nodes: 3, leaseMs: 4_000, allowDirs: [programs] });
  cluster.addModule('family', family);
}, 150_000);
afterAll(async () => {
  await cluster.down();
  await library.close();
  rmSync(programs, { recursive: true });
}, 90_000);

const dirs = [{ hostPath: programs, guestPath: '/programs', readOnly: true }];
const start = (node: string, ...args: string[]) => cluster.start(node, 'family', args, { dirs });
const output = (node: string, ...args: string[]) => cluster.output(node, 'family', args, { dirs });

interface Shown {
  pid: number;
  parent: number;
  group: number;
  state: string;
  exit?: { code: number; signal: string };
}
const shown = async (pid: number): Promise<Shown | undefined> =>
  (JSON.parse((await cluster.vkctl(['ps', '-a', '--json'])).stdout) as Shown[]).find(
    (process) => Number(process.pid) === pid,
  );

/** A parent on `here` that waits for a child on `there`. */
async function waiting(here: string, there: string, part = 'sleep') {
  const parent = await start(here, 'wait', there, part);
  const child = Number((await parent.wrote(/child (\d+)/))[1]);
  return { parent, child };
}

test('children on three nodes end with what they say, and there is none besides', async () => {
  const lines = (await output('node1', 'spawn', 'node1,node2,node3', '10')).trim().split('\n');
  expect(lines.map((line) => line.replace(/^(\d)\d+/, '$1'))).toEqual([
    '1 code 11',
    '2 code 12',
    '3 code 13',
    'wait: No child process',
  ]);
});

test('a node that is not there is said so', async () => {
  expect(await output('node1', 'spawn', 'node9', '1')).toContain('node9: Host is unreachable');
});

test('a child elsewhere is its parent, waited for and killed from any node; vkctl shows whose it is', async () => {
  const { parent, child } = await waiting('node2', 'node3');
  expect(await shown(child)).toMatchObject({ parent: expect.anything(), state: 'running' });
  expect(String(child)).toMatch(/^3/);
  await cluster.vkctl(['kill', '-9', String(child)]);
  await parent.wrote(new RegExp(`${child} signal 9`));
  expect((await parent.end()).code).toBe(0);
});

test('whose parent is over is init’s', async () => {
  const child = Number(/child (\d+)/.exec(await output('node1', 'orphan', 'node2'))![1]);
  await until('it is an orphan', async () => Number((await shown(child))?.parent) === 1);
  await cluster.vkctl(['kill', String(child)]);
  await until('it is over', async () => (await shown(child))?.state === 'exited');
});

test('a parent that is killed leaves its child to init', async () => {
  const { parent, child } = await waiting('node3', 'node1');
  await parent.signal('SIGKILL');
  await until('it is an orphan', async () => Number((await shown(child))?.parent) === 1);
  await cluster.vkctl(['kill', String(child)]);
});

test('a child that writes to a parent which is over ends by SIGPIPE, as a pipe has it', async () => {
  const { parent, child } = await waiting('node3', 'node1', 'ticks');
  await parent.signal('SIGKILL');
  await until('it is over', async () => (await shown(child))?.exit?.signal === 'SIGPIPE');
});

test('children one after another, here and elsewhere, leave nothing behind', async () => {
  expect(await output('node1', 'loop', '10')).toContain('10 ended');
  expect(await output('node1', 'loop', '10', 'node2')).toContain('10 ended');
});

describe('pipes', () => {
  test('three children in a row: what the first one reads the last one counts', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${(i * 7919) % 20_000}`);
    const stdin = `${lines.slice(0, 3_000).join('\n')}\nzero\n`;
    const said = await cluster.output('node1', 'family', ['pipeline'], { dirs, stdin });
    expect(said).toContain('3001 lines, the last is zero');
    expect(said.match(/code 0/g)).toHaveLength(3);
  });

  test('the same with each stage on a node of its own', async () => {
    const stdin = `${Array.from({ length: 3_000 }, (_, i) => `line ${(i * 7919) % 20_000}`).join('\n')}\nzero\n`;
    const said = await cluster.output('node1', 'family', ['pipeline', 'node1', 'node2', 'node3'], {
      dirs,
      stdin,
    });
    expect(said).toContain('3001 lines, the last is zero');
    expect(said.match(/\d+ code 0/g)!.map((line) => line[0])).toEqual(['1', '2', '3']);
  });

  test('a write that nobody will read is SIGPIPE, or EPIPE where that is ignored', async () => {
    expect(await cluster.run('node1', 'family', ['deaf'], { dirs })).toMatchObject({ signal: 'SIGPIPE' });
    expect(await output('node1', 'deaf', 'i')).toContain('-1 Broken pipe');
  });
});

describe('signals', () => {
  test('a group that nobody is in, or only others are in, on this node or another one, is not there', async () => {
    const other = await cluster.start('node1', 'family', ['sleep'], { dirs, vkernel: 'other' });
    for (const group of [-100_000, -299_999, -Number(await other.pid)])
      expect(await output('node1', 'kill', String(group))).toBe('-1 No such process\n');
    const services = JSON.parse((await cluster.vkctl(['status', '--json'])).stdout).services;
    expect(services.filter(({ restarts }: { restarts: number }) => restarts > 0)).toEqual([]);
    await other.signal('SIGKILL');
  });

  test('one that comes while a handler ends, or right before a read, is heard there', async () => {
    for (const node of ['-', 'node2']) {
      const { ns } = JSON.parse(await cluster.output('node1', 'relatives', ['signal', '300', node, 'WAITS']));
      expect(ns).toHaveLength(300);
    }
  });

  test('handlers run while it computes and while it sleeps; STOP stops it, CONT lets it go on', async () => {
    const program = await start('node1', 'handle', '');
    await program.wrote(/ready/);
    const pid = String(await program.pid);
    await cluster.vkctl(['kill', '-s', 'USR1', pid]);
    await program.wrote(/USR1 1/);
    await cluster.vkctl(['kill', '-s', 'STOP', pid]);
    await until('it stands still', async () => (await shown(Number(pid)))?.state === 'stopped');
    await cluster.vkctl(['kill', '-s', 'USR1', pid]);
    await cluster.vkctl(['kill', '-s', 'CONT', pid]);
    await program.wrote(/USR1 2/);
    await cluster.vkctl(['kill', pid]);
    expect((await program.end()).code).toBe(5);
  });
});

describe('deaths', () => {
  test('vkerneld is killed and started anew while a parent waits', async () => {
    const { parent, child } = await waiting('node1', 'node2');
    const parentPid = Number(await parent.pid);
    for (const name of ['node1/vkerneld', 'node2/vkerneld']) await cluster.kill(name);
    await cluster.well();
    await until('it is known again', async () => (await shown(child))?.state === 'running');
    await cluster.vkctl(['kill', '-9', String(child)]);
    // Who ran it has lost the line to it, and not the parent its child.
    await until('it is over', async () => (await shown(parentPid))?.state === 'exited');
    expect(await shown(child)).toMatchObject({ state: 'exited', exit: { signal: 'SIGKILL' } });
  });

  test('a node dies while a parent elsewhere waits: it hears so once the node is fenced', async () => {
    const { parent, child } = await waiting('node1', 'node3');
    const left = await waiting('node3', 'node2', 'ticks');
    await cluster.withoutRestarts(async () => {
      const { vkernels } = await cluster.connection.vkerneld('node3').listVkernels({});
      await cluster.kill('node3/vkerneld');
      await cluster.kill('node3/pmapd');
      for (const { hostPid } of vkernels) process.kill(hostPid, 'SIGKILL');
      await parent.wrote(new RegExp(`${child} signal 9`));
      expect((await parent.end()).code).toBe(0);
      // What a process there started elsewhere has nobody to write to.
      await until('it is over', async () => (await shown(left.child))?.exit?.signal === 'SIGPIPE');
    });
  });
});
