// Which modules run, which are refused, and how those that run end by a fault of their own.
import { afterAll, describe, expect, test } from 'vitest';
import { assemble, program } from './testdata/programs.ts';
import { TestMachine } from './testdata/run-process.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

describe('traps', () => {
  const deep = '(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))';
  test.each([
    ['unreachable', '(unreachable)', 'SIGABRT', 134, 'trap: unreachable'],
    ['load', '(drop (i32.load (i32.const -4)))', 'SIGSEGV', 139, 'trap: memory access out of bounds'],
    ['divide', '(drop (i32.div_s (i32.const 1) (i32.const 0)))', 'SIGFPE', 136, 'trap: divide by zero'],
    ['remainder', '(drop (i32.rem_u (i32.const 1) (i32.const 0)))', 'SIGFPE', 136, 'trap: remainder by zero'],
    ['float', '(drop (i32.trunc_f64_s (f64.const nan)))', 'SIGFPE', 136, /trap: float unrepresentable/],
    ['table', '(call_indirect (i32.const 9))', 'SIGTRAP', 133, /trap: table index/],
    ['stack', '(drop (call $deep (i32.const 0)))', 'SIGSEGV', 139, 'trap: stack overflow'],
    ['exception', '(throw $error)', 'SIGABRT', 134, 'an exception that nothing caught'],
  ])('%s', async (_, body, signal, code, reason) => {
    const run = machine.run(program(`(call $inner)`, `${deep} (table 1 funcref) (func $inner ${body})`));
    const exit = await run.exited;
    expect(exit).toMatchObject({ signal, code });
    expect(exit.reason).toMatch(reason);
    expect(exit.reason).not.toContain('\n');
    if (signal === 'SIGABRT' && reason !== 'trap: unreachable') return;
    expect(exit.stack).toMatch(
      reason === 'trap: stack overflow'
        ? /^(deep \(function \d+ at 0x[0-9a-f]+\)\n){9}/
        : /^inner \(function \d+ at 0x[0-9a-f]+\)\nmain \(function/,
    );
  });
});

test('where no image is to be had, the thread of a program writes what its memory begins with', async () => {
  const is = (address: number, byte: number): string =>
    `(if (i32.ne (i32.load8_u (i32.const ${address})) (i32.const ${byte})) (then unreachable))`;
  const begins = `(data (i32.const 1000) "${'x'.repeat(300_000)}") (data (i32.const 200000) "y")`;
  const checks = [is(999, 0), is(1_000, 120), is(200_000, 121), is(300_999, 120), is(301_000, 0)].join(' ');
  const bytes = assemble(`(module (memory 8) ${begins} (func (export "_start") ${checks}))`);
  expect(await machine.run(bytes).exited).toMatchObject({ code: 0, reason: '' });
});

describe('programs that cannot run', () => {
  test.each([
    ['no module', Buffer.from('int main() {}'), /^not a WebAssembly module: give/],
    [
      'broken code',
      Buffer.concat([assemble('(module)'), Buffer.from([10, 3, 1, 1, 0])]),
      /^not a valid WebAssembly module: /,
    ],
    [
      'a missing import',
      assemble('(module (import "env" "getpid" (func)) (func (export "_start")))'),
      /^the program imports env\.getpid, which a virtual kernel does not have$/,
    ],
    [
      'a library',
      assemble('(module (func (export "_initialize")))'),
      /exports no function _start: it is a library \(a reactor\)/,
    ],
    [
      'a wrong type',
      assemble(
        '(module (import "wasi_snapshot_preview1" "fd_close" (func (result i64))) (func (export "_start") (drop (call 0))))',
      ),
      /^the program imports wasi_snapshot_preview1\.fd_close as \(\) -> i64; a virtual kernel has it as \(i32\) -> i32$/,
    ],
  ])('%s', async (_, bytes, reason) => {
    const exit = await machine.run(new Uint8Array(bytes)).exited;
    expect(exit).toMatchObject({ code: 126, signal: '', reason: expect.stringMatching(reason) });
    expect(exit.reason).not.toContain('\n');
  });

  test('names are made fit for a terminal', async () => {
    const name = `evil\\1b[31m\\n${'x'.repeat(2000)}`;
    const exit = await machine.run(assemble(`(module (import "env" "${name}" (func)))`)).exited;
    expect(exit.reason).toMatch(/^the program imports env\.evil\?\[31m/);
    expect(exit.reason.length).toBeLessThan(700);
  });

  test('a memory that cannot be had', async () => {
    const run = machine.run(program('(call $print)'), { pid: -1n });
    expect((await run.exited).code).toBe(0); // the pmap decides, and this one does not care
  });
});

describe('features', () => {
  const catching = (body: string) => `(if (i32.eqz ${body}) (then (unreachable)))`;
  test.each([
    ['SIMD', catching('(i32x4.extract_lane 0 (i32x4.splat (i32.const 1)))'), ''],
    ['relaxed SIMD', '(drop (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 1))))', ''],
    [
      'a tail call',
      '(call $forever (i32.const 1000000))',
      '(func $forever (param i32) (if (local.get 0) (then (return_call $forever (i32.sub (local.get 0) (i32.const 1))))))',
    ],
    ['exceptions, old', '(try (do (throw $error)) (catch $error))', ''],
    ['exceptions, new', '(block $h (try_table (catch $error $h) (throw $error)) (unreachable))', ''],
    [
      'exceptions, new, by reference',
      '(drop (block $h (result exnref) (try_table (catch_all_ref $h) (throw $error)) (unreachable)))',
      '',
    ],
    [
      'several results',
      '(call $two) (drop) (drop)',
      '(func $two (result i32 i32) (i32.const 1) (i32.const 2))',
    ],
    ['references', '(drop (ref.is_null (ref.null extern)))', '(table 2 externref)'],
    [
      'bulk memory',
      '(memory.copy (i32.const 100) (i32.const 0) (i32.const 9)) (memory.fill (i32.const 0) (i32.const 0) (i32.const 4))',
      '',
    ],
    [
      'a typed reference to a function',
      '(call_ref $v (ref.func $main))',
      '(type $v (func)) (elem declare func $main)',
    ],
    ['extended constants', '(drop (global.get $g))', '(global $g i32 (i32.add (i32.const 1) (i32.const 2)))'],
    ['atomics', '(drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))', ''],
  ])('%s: runs', async (what, body, more) => {
    // The one that would call itself for ever is only looked at.
    const once = what.startsWith('a typed') ? `(if (i32.const 0) (then ${body}))` : body;
    expect(await machine.run(program(once, more)).exited).toMatchObject({ code: 0, reason: '' });
  });

  test.each<[string, string, RegExp | undefined]>([
    ['64-bit memory', '(module (memory i64 1) (func (export "_start")))', /64-bit memory/],
    ['several memories', '(module (memory 1) (memory 1) (func (export "_start")))', /several memories/],
    [
      'structures',
      '(module (type $s (struct (field i32))) (func (export "_start") (drop (struct.new_default $s))))',
      /garbage-collected/,
    ],
    ['i31', '(module (func (export "_start") (drop (ref.i31 (i32.const 1)))))', undefined],
    ['a 64-bit table', '(module (table i64 1 funcref) (func (export "_start")))', /unusual table/],
    ['a tag of others', '(module (import "env" "t" (tag)) (func (export "_start")))', /env\.t \(a tag\)/],
    [
      'a global of others',
      '(module (import "env" "g" (global i32)) (func (export "_start")))',
      /env\.g \(a global\)/,
    ],
    [
      'a reactor',
      '(module (func (export "_initialize")) (func (export "run")))',
      /a reactor.*-mexec-model=reactor/,
    ],
    ['no export', '(module (func))', /no function _start/],
    ['a _start with parameters', '(module (func (export "_start") (param i32)))', undefined],
  ])('%s: refused in one line, or it runs', async (_, text, reason) => {
    const exit = await machine.run(assemble(text)).exited;
    if (reason === undefined) expect(exit).toMatchObject({ code: 0, reason: '' });
    else expect(exit).toMatchObject({ code: 126, reason: expect.stringMatching(reason) });
    expect(exit.reason).not.toContain('\n');
  });
});

describe('a module without memory', () => {
  test.each([
    ['none', '', '(drop (i32.const 0))'],
    ['an empty one', '(memory 0 0)', '(if (i32.ne (memory.size) (i32.const 0)) (then (unreachable)))'],
    [
      'one that is empty at first',
      '(memory 0 2)',
      `(if (i32.ne (memory.grow (i32.const 1)) (i32.const 0)) (then (unreachable)))
       (i32.store (i32.const 65532) (i32.const 1))
       (if (i32.ne (memory.grow (i32.const 2)) (i32.const -1)) (then (unreachable)))`,
    ],
  ])('%s', async (_, memory, body) => {
    const run = machine.run(assemble(`(module ${memory} (func (export "_start") ${body}))`));
    expect(await run.exited).toMatchObject({ code: 0, reason: '' });
    expect(machine.pmap.spaces.at(-1)!.destroyed).toBe(true);
  });
});
