// Programs of real toolchains: pthreads in C, std.Thread of Zig, std::thread of Rust.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { LONG } from '../long.ts';

const ROOT = join(import.meta.dirname, '../..');
const WHEEL = join(ROOT, 'build/ziglang');
const ZIG = join(WHEEL, 'ziglang/zig');

function hasZig(): boolean {
  if (existsSync(ZIG)) return true;
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', WHEEL, 'ziglang==0.13.0'];
  return spawnSync('python3', pip, { timeout: 120_000 }).status === 0 && existsSync(ZIG);
}

/** The target of rustup's compilers, which no distribution has. */
function hasRustThreads(): boolean {
  const { status, stdout } = spawnSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8' });
  return status === 0 && existsSync(join(stdout.trim(), 'lib/rustlib/wasm32-wasip1-threads'));
}

const runs = LONG && hasZig();
const runsRust = runs && hasRustThreads();
if (!runsRust)
  console.log('Threads of Rust are skipped: ODONATA_LONG=1, and rustup target add wasm32-wasip1-threads');
if (!runs) console.log('Threads of C and Zig are skipped: ODONATA_LONG=1, and pip install ziglang==0.13.0');

describe.runIf(runs)('threads of', () => {
  let cluster: TestCluster;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'odonata-threads-'));
    const env = { ...process.env, ZIG, PYTHONPATH: WHEEL };
    const shell = (command: string): Buffer =>
      execFileSync('/bin/sh', ['-ec', command], { cwd: folder, env });
    const built = join(folder, 'library');
    const from = join(ROOT, 'libs/guest/threads');
    shell(`sh ${from}/build.sh ${built}`);
    shell(`sh ${from}/cc.sh ${built} c.wasm ${join(import.meta.dirname, 'pthreads.c')}`);
    const page = readFileSync(join(ROOT, 'docs/programs.md'), 'utf8');
    const [, source, command] = /^```zig threads\.zig\n(.*?)^```\n\n```sh threads\n(.*?)^```/ms.exec(page)!;
    writeFileSync(join(folder, 'threads.zig'), source!);
    shell(command!);
    const rust = /^```rust threads\.rs\n(.*?)^```\n\n```sh rust-threads\n(.*?)^```/ms.exec(page)!;
    if (runsRust) {
      writeFileSync(join(folder, 'threads.rs'), rust[1]!);
      shell(rust[2]!.replace('prog.wasm', 'rust.wasm'));
    }
    cluster = await TestCluster.up({ nodes: 1 });
    if (runsRust) cluster.addModule('rust', readFileSync(join(folder, 'rust.wasm')));
    cluster.addModule('c', readFileSync(join(folder, 'c.wasm')));
    cluster.addModule('zig', readFileSync(join(folder, 'prog.wasm')));
  }, 600_000);
  afterAll(async () => {
    await cluster?.down();
    rmSync(folder, { recursive: true });
  }, 90_000);

  const output = async (...args: string[]) => (await cluster.output('node1', 'c', args)).trim().split('\n');

  test.runIf(runsRust)('Rust', async () =>
    expect((await cluster.output('node1', 'rust', [])).trim()).toBe('10'),
  );

  test('Zig', async () => expect((await cluster.output('node1', 'zig', [])).trim()).toBe('10'));

  test('C: eight threads, with all that they synchronise by', async () => {
    const lines = await output('all');
    expect(lines.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((id) => `thread ${id} has ${41 + id}`));
    expect(lines.at(-1)).toBe('160000 in all, once 1, mine 41, destroyed 8, timed out');
  });

  test('C: one after another; as many as there may be', async () => {
    expect(await output('many')).toEqual(['500 joined']);
    expect(await output('bomb')).toEqual(['32 threads, then Resource temporarily unavailable']);
  });

  test.each([
    ['exit', 7, ''],
    ['trap', 134, 'trap: unreachable (in thread 1)'],
  ])('C: %s in a thread ends all', async (what, code, reason) => {
    const ended = await cluster.vkctl(['run', join(folder, 'c.wasm'), what]);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(reason);
  });

  test('C: killed while all wait', async () => {
    const ended = cluster.vkctl(['run', join(folder, 'c.wasm'), 'wait']);
    const processes = async () => JSON.parse((await cluster.vkctl(['ps', '--json'])).stdout);
    await until('it has two threads', async () => (await processes())[0]?.threads === 2);
    await cluster.vkctl(['kill', (await processes())[0].pid]);
    expect((await ended).code).toBe(143);
  });
});
