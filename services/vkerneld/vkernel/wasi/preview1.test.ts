// Real programs in real threads: what they see of WASI, and what they cannot reach.

import { execFile, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assemble, compileC, hasClang } from '../testdata/programs.ts';
import { eventually, TestMachine } from '../testdata/run-process.ts';
import { preview1Imports, preview1Types } from './preview1.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-wasi-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const compiled = new Map<string, Uint8Array<ArrayBuffer>>();
function program(name: string): Uint8Array<ArrayBuffer> {
  const there = compiled.get(name) ?? compileC(name);
  compiled.set(name, there);
  return there;
}

function grant(path: string, readOnly = false, guestPath = '/data') {
  return { descriptor: openSync(path, 'r'), guestPath, readOnly };
}

/** The same module under node:wasi, in an OS process of its own. */
function underNode(
  module: Uint8Array,
  given: { hostPath?: string; args?: string[]; env?: Record<string, string>; stdin?: string },
): { stdout: string; stderr: string; code: number | null } {
  const file = join(folder, 'program.wasm');
  writeFileSync(file, module);
  const { hostPath, args = [], env = {}, stdin = '' } = given;
  const preopens = hostPath === undefined ? {} : { '/data': hostPath };
  const options = { version: 'preview1', args: ['program', ...args], env, preopens };
  const script = `
    const { WASI } = require('node:wasi');
    const wasi = new WASI(${JSON.stringify(options)});
    WebAssembly.instantiate(require('node:fs').readFileSync(${JSON.stringify(file)}), wasi.getImportObject())
      .then(({ instance }) => process.exit(wasi.start(instance)));`;
  const ran = spawnSync(process.execPath, ['--no-warnings', '-e', script], {
    input: stdin,
    encoding: 'utf8',
  });
  return { stdout: ran.stdout, stderr: ran.stderr, code: ran.status };
}

test('every name that is promised is there', () => {
  const made = Object.keys(preview1Imports({ args: [], env: [] } as never));
  expect(made.toSorted()).toEqual(Object.keys(preview1Types));
});

describe.skipIf(!hasClang)('C programs', () => {
  test('raw calls: cookies, renumbering, rights, times, paths, bad addresses, polls', async () => {
    const run = machine.run(program('raw'), { grants: [grant(folder)] });
    const { code } = await run.exited;
    expect(run.stdout()).toBe('0 failures\n');
    expect(code).toBe(0);
    expect(run.troubles).toEqual([]);
  });

  test('files, directories, links and times', async () => {
    const run = machine.run(program('files'), { grants: [grant(folder)] });
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stdout()).toBe(readFileSync(new URL('../testdata/files.expected', import.meta.url), 'utf8'));
  });

  test('reads and writes are whole, however large', async () => {
    const run = machine.run(program('whole'), { grants: [grant(folder)] });
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stderr()).toBe('');
    expect(run.written()).toBe((8 << 20) + 12345);
  });

  test('times: a value, now, or left alone, in each place', async () => {
    const module = compileC('times', join(import.meta.dirname, '../../../../libs/guest/libc/times.c'));
    const run = machine.run(module, { grants: [grant(folder)] });
    const { code } = await run.exited;
    expect([run.stdout(), code]).toEqual(['0 failures\n', 0]);
  });

  test('a stream is a terminal where its caller says so; bytes reach the program as they are', async () => {
    const run = machine.run(program('words'), {
      args: [Buffer.from('\xff\xfe', 'latin1'), '', Buffer.from('\u00fc')],
      env: [Buffer.from('A=\xff', 'latin1'), 'B=b'],
      terminals: [true, false, true],
    });
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stdout()).toBe('isatty 1 0 1\nfffe\n\nc3bc\n413dff\n423d62\n');
  });

  test('the same as under node:wasi, where that is right', async () => {
    const ours = join(folder, 'ours');
    const theirs = join(folder, 'theirs');
    mkdirSync(ours);
    mkdirSync(theirs);
    const run = machine.run(program('files'), { grants: [grant(ours)] });
    const { code } = await run.exited;
    const node = underNode(program('files'), { hostPath: theirs });
    expect(code).toBe(node.code);
    // There: no "." and "..", links upwards refused even where they stay inside, a link opened in spite of
    // O_NOFOLLOW, whole seconds.
    const differs = /^(d|d\/e) has|^symlink up:|^nofollow:|^times:/;
    const same = (text: string) => text.split('\n').filter((line) => !differs.test(line));
    expect(same(run.stdout())).toEqual(same(node.stdout));
  });

  test('exits and output are those of node:wasi', async () => {
    for (const text of [
      '(call $exit (i32.const 9))',
      '(call $print)',
      '(call $print) (call $print) (call $exit (i32.const 0))',
    ]) {
      const module = assemble(`(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00") (data (i32.const 16) "hello\\n")
        (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start") ${text}))`);
      const run = machine.run(module);
      const { code } = await run.exited;
      expect({ code, stdout: run.stdout(), stderr: run.stderr() }).toEqual(underNode(module, {}));
    }
  });

  test('nothing outside of a grant can be reached', async () => {
    mkdirSync(join(folder, 'data/in/deep'), { recursive: true });
    mkdirSync(join(folder, 'outside'));
    writeFileSync(join(folder, 'secret'), 'secret');
    writeFileSync(join(folder, 'outside/x'), 'secret');
    writeFileSync(join(folder, 'data/mine'), 'mine');
    symlinkSync(join(folder, 'secret'), join(folder, 'data/absolute'));
    symlinkSync(join(folder, 'outside'), join(folder, 'data/absolute-dir'));
    symlinkSync('../secret', join(folder, 'data/up'));
    symlinkSync('..', join(folder, 'data/up-dir'));
    symlinkSync('in/deep/../../../secret', join(folder, 'data/twice'));
    const run = machine.run(program('escape'), { grants: [grant(join(folder, 'data'))] });
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stdout()).not.toContain('ALLOWED');
    expect(run.stdout().split('\n').length).toBeGreaterThan(60);
    expect(readdirSync(folder).toSorted()).toEqual(['data', 'outside', 'secret']);
    expect(readFileSync(join(folder, 'secret'), 'utf8')).toBe('secret');
  });

  test('nor while another swaps a directory for a link', async () => {
    mkdirSync(join(folder, 'data/a'), { recursive: true });
    mkdirSync(join(folder, 'outside'));
    writeFileSync(join(folder, 'outside/file'), 'SECRET');
    writeFileSync(join(folder, 'data/a/file'), 'inside');
    symlinkSync('../outside', join(folder, 'data/b'));
    const swap = `
      const { renameSync } = require('node:fs');
      process.chdir(${JSON.stringify(join(folder, 'data'))});
      const until = Date.now() + 2500;
      while (Date.now() < until) { renameSync('a', 'c'); renameSync('b', 'a'); renameSync('a', 'b'); renameSync('c', 'a'); }`;
    const swapping = promisify(execFile)(process.execPath, ['-e', swap]);
    const run = machine.run(program('race'), { grants: [grant(join(folder, 'data'))] });
    expect(await run.exited).toMatchObject({ code: 0 });
    await swapping;
    const [inside, refused, secret] = run.stdout().match(/\d+/g)!.map(Number);
    expect(secret).toBe(0);
    expect(inside).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });

  test('two grants, one below the other, in either order, with slashes or without', async () => {
    mkdirSync(join(folder, 'outer'));
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'outer/file'), 'outer');
    writeFileSync(join(folder, 'inner/file'), 'inner');
    const grants = (slash: string) => [
      grant(join(folder, 'outer'), false, `/d${slash}`),
      grant(join(folder, 'inner'), false, `/d/in${slash}`),
    ];
    for (const order of [grants(''), grants('/'), grants('').toReversed(), grants('//').toReversed()]) {
      const run = machine.run(program('show'), {
        grants: order,
        args: ['/d', '/d/', '/d/in', '/d/file', '/d/in/file'],
      });
      expect(await run.exited).toMatchObject({ code: 0 });
      expect(run.stdout()).toBe('/d: file\n/d/: file\n/d/in: file\n/d/file = outer\n/d/in/file = inner\n');
    }
  });

  test('a read-only grant', async () => {
    mkdirSync(join(folder, 'dir'));
    writeFileSync(join(folder, 'file'), 'text');
    symlinkSync('file', join(folder, 'link'));
    mkdirSync(join(folder, 'other'));
    const other = grant(join(folder, 'other'), false, '/other');
    const run = machine.run(program('readonly'), { grants: [grant(folder, true), other] });
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stdout()).toBe('text\n0 writes\n');
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('text');
    expect(readdirSync(folder).toSorted()).toEqual(['dir', 'file', 'link', 'other']);
    expect(readdirSync(join(folder, 'other'))).toEqual(['own']);
  });

  test('arguments, environment, clocks, random bytes, polls, standard input', async () => {
    const run = machine.run(program('misc'), {
      args: ['one', 'zwei ü'],
      env: ['A=1', 'B='],
      stdin: 'x\ny\n',
    });
    expect(await run.exited).toEqual({ code: 42, signal: '', reason: '', stack: '' });
    expect(run.stdout()).toBe(
      'arg one\narg zwei ü\nenv A=1\nenv B=\nslept 1\nyear 1\ncpu 1\nrandom 1\npoll 1 1 1\nline x\nline y\nend 1\n',
    );
    expect(run.stderr()).toBe('to stderr\n');
    expect(run.inputTaken()).toBe(4);
    const node = underNode(program('misc'), {
      args: ['one', 'zwei ü'],
      env: { A: '1', B: '' },
      stdin: 'x\ny\n',
    });
    expect(node).toEqual({ stdout: run.stdout(), stderr: run.stderr(), code: 42 });
  });

  test('a pipe without a writer does not hold up the end', async () => {
    await promisify(execFile)('mkfifo', [join(folder, 'pipe')]);
    const run = machine.run(program('pipe'), { grants: [grant(folder)] });
    await eventually(() => run.stdout()).toBe('reading\n');
    await run.process.kill('SIGKILL');
    expect(await run.exited).toMatchObject({ code: 137, signal: 'SIGKILL' });
    expect(run.troubles).toEqual([]);
  });

  test('a grant that is no directory is named', async () => {
    writeFileSync(join(folder, 'file'), '');
    const run = machine.run(program('misc'), { grants: [grant(join(folder, 'file'))] });
    const { code, reason } = await run.exited;
    expect(code).toBe(126);
    expect(reason).toContain(`cannot use the directory /data: ENOTDIR`);
  });
});
