// Terminals: at this side a real one, of script(1); at the other programs in C that ask, read, and run jobs at it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RunRequestSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { PosixLibrary } from '../posix/library.ts';
import { Typist } from './typist.ts';

let cluster: TestCluster;
let library: PosixLibrary;
const programs = mkdtempSync(join(tmpdir(), 'odonata-programs-'));
const program = join(programs, 'session.wasm');
const typists: Typist[] = [];

beforeAll(async () => {
  library = await PosixLibrary.build();
  const strict = ['-Wall', '-Wextra', '-Werror'];
  writeFileSync(program, await library.link('session', [join(import.meta.dirname, 'session.c')], strict));
  cluster = await TestCluster.up({ nodes: 1, allowDirs: [programs] });
}, 150_000);
afterEach(() => {
  for (const typist of typists.splice(0)) typist.kill();
});
afterAll(async () => {
  await cluster.down();
  await library.close();
  rmSync(programs, { recursive: true });
}, 90_000);

const dir = ['--dir', `${programs}:/programs:ro`];
function at(...args: string[]): Typist {
  const typist = new Typist(args, cluster.env);
  typists.push(typist);
  return typist;
}
const run = (...args: string[]): Typist => at('run', '-it', ...dir, program, ...args);

describe('a program at a terminal', () => {
  test('knows so, and how large it is', async () => {
    const typist = run('ask');
    expect(await typist.end()).toBe(0);
    expect(typist.lines()).toEqual(['isatty 1 1 1', 'group ours', 'size 30 100']);
  });

  test('reads lines that are edited and echoed; Ctrl-C, Ctrl-D', async () => {
    const typist = run('lines');
    await typist.shows('ready');
    await typist.type('helo\x7flo\r');
    await typist.shows('<hello>');
    await typist.type('gone');
    await typist.shows('gone');
    await typist.type('\x03');
    await typist.shows('interrupt 1');
    await typist.type('still\r\x04');
    expect(await typist.end()).toBe(3);
    expect(typist.lines()).toEqual([
      ...['ready', 'helo\b \blo', '<hello>', 'gone^Cinterrupt 1'],
      ...['still', '<still>', 'end'],
    ]);
  });

  test('raw mode: each byte as it is typed, and all as it was afterwards', async () => {
    const typist = run('raw');
    await typist.shows('raw');
    await typist.type('a\x03\rq');
    expect(await typist.end()).toBe(0);
    expect(typist.lines().slice(1)).toEqual(['[97][3][13][113]', 'as before']);
  });

  test('a job that is stopped by Ctrl-Z, goes on in the foreground, and ends by Ctrl-\\', async () => {
    const typist = run('job');
    await typist.shows('ready');
    await typist.type('one\r');
    await typist.shows('<one>');
    await typist.type('\x1a');
    await typist.shows('stopped by 20');
    await typist.type('two\r');
    await typist.shows('<two>');
    await typist.type('\x1c');
    await typist.shows('ended by 3');
    expect(await typist.end()).toBe(0);
  });

  test('whoever reads in the background is stopped, until it is the foreground', async () => {
    const typist = run('background');
    await typist.shows('stopped by 21');
    await typist.type('mine\r\x04');
    await typist.shows('<mine>');
    expect(await typist.end()).toBe(0);
    expect(typist.shown).toContain('code 3');
  });
});

describe('who comes and goes', () => {
  test('keys leave it, attach comes back, and two see the same', async () => {
    const first = run('lines');
    await first.shows('ready');
    await first.type('one\r');
    await first.shows('<one>');
    await first.type('\x10\x11');
    expect(await first.end()).toBe(0);
    const pid = /vkctl attach (\d+)/.exec(first.shown)![1]!;
    const second = at('attach', pid);
    const third = at('attach', '--detach-keys', 'ctrl-a,d', pid);
    // A terminal is raw before it is attached: who sees an answer is.
    for (const [typist, line] of [
      [second, 'two'],
      [third, 'three'],
    ] as const) {
      await typist.untilRaw();
      await typist.type(`${line}\r`);
      await typist.shows(`<${line}>`);
    }
    await second.type('four\r');
    await third.shows('<four>');
    await third.type('\x01d');
    expect(await third.end()).toBe(0);
    await second.type('\x04');
    expect(await second.end()).toBe(3);
  });

  test('one that was started in the background has a terminal, too', async () => {
    const pid = (await cluster.vkctl(['run', '-dt', ...dir, program, 'lines'])).stdout.trim();
    const typist = at('attach', pid);
    await typist.untilRaw();
    await typist.type('here\r\x04');
    expect(await typist.end()).toBe(3);
    expect(typist.shown).toContain('<here>');
    expect((await cluster.vkctl(['attach', pid])).stderr).toContain('ended already');
  });

  test('a program beside another one has its folders and its environment', async () => {
    const pid = (await cluster.vkctl(['run', '-d', '-e', 'NAME=x', ...dir, program, 'sleep'])).stdout.trim();
    expect((await cluster.vkctl(['exec', pid, program, 'where'])).stdout.trim()).toBe('folder there, NAME x');
    const typist = at('exec', '-it', '-e', 'NAME=y', pid, program, 'where');
    expect(await typist.end()).toBe(0);
    expect(typist.lines()).toEqual(['folder there, NAME y']);
    await cluster.vkctl(['kill', '-9', pid]);
  });
});

interface Shown {
  pid: number | string;
  state: string;
  cpuMs: number;
}
const shownOf = async (pid: string): Promise<Shown | undefined> =>
  (JSON.parse((await cluster.vkctl(['ps', '-a', '--json'])).stdout) as Shown[]).find(
    (each) => String(each.pid) === pid,
  );
const stateOf = async (pid: string): Promise<string | undefined> => (await shownOf(pid))?.state;
const afterwards = async <T>(look: () => Promise<T>): Promise<T> => {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  return await look();
};
const newest = async (): Promise<string> => {
  const shown = JSON.parse((await cluster.vkctl(['ps', '--json'])).stdout);
  return String(Math.max(...shown.map((each: { pid: number | string }) => Number(each.pid))));
};

describe('what goes wrong', () => {
  test('vkctl is killed: its program hears SIGHUP, and ends', async () => {
    const typist = run('lines');
    await typist.shows('ready');
    const pid = await newest();
    typist.killVkctl();
    await until('it is over', async () => (await stateOf(pid)) === 'exited');
  });

  test('a terminal that takes nothing slows its program only', async () => {
    const stuck = run('write');
    await stuck.shows('without end');
    stuck.pause();
    const pid = await newest();
    expect(await run('ask').end()).toBe(0);
    const waits = async () => Number((await shownOf(pid))?.cpuMs);
    await until('it stands still', async () => (await waits()) === (await afterwards(waits)));
    await cluster.vkctl(['kill', pid]);
    await until('it is over', async () => (await stateOf(pid)) === 'exited');
  });

  test('a flood of Ctrl-C, and the next line is read', async () => {
    const typist = run('lines');
    await typist.shows('ready');
    await typist.type('\x03'.repeat(10_000));
    await typist.type('after\r');
    await typist.shows('<after>');
    await typist.type('\x04');
    expect(await typist.end()).toBe(3);
  });

  test('10,000 sizes, and the last one is its size', async () => {
    const typist = run('resized');
    await typist.shows('size 30 100');
    const pid = BigInt(await newest());
    async function* requests(): AsyncGenerator<MessageInitShape<typeof RunRequestSchema>> {
      yield { event: { case: 'attach', value: { pid, size: { rows: 30, columns: 100 } } } };
      for (let i = 1; i <= 10_000; i++)
        yield { event: { case: 'resize', value: { rows: 31, columns: 100 + (i % 8) } } };
      yield { event: { case: 'resize', value: { rows: 32, columns: 107 } } };
      await typist.shows('size 32 107');
      yield { event: { case: 'detach', value: {} } };
    }
    for await (const _ of cluster.connection.vkerneld('node1').run(requests())) {
    }
    await typist.type('\r');
    expect(await typist.end()).toBe(0);
  });

  test('vkerneld is killed meanwhile: one line, and the terminal is as it was', async () => {
    const typist = run('lines');
    await typist.shows('ready');
    await cluster.kill('node1/vkerneld');
    expect(await typist.end()).not.toBe(0);
    expect(typist.shown).toMatch(/the line to process \d+ broke/);
    expect(typist.settings()).toContain(' echo ');
    await cluster.well();
  });
});
