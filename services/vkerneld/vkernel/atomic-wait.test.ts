// Waits and wakes of programs, which are the virtual kernel's own: what they answer, and that nothing else of a module changes.

import { afterAll, describe, expect, test } from 'vitest';
import { assemble } from './testdata/programs.ts';
import { TestMachine } from './testdata/run-process.ts';
import { prepareModule } from './wasm/module.ts';
import { waitExports } from './wasm/waits.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

const exit = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))';

/** Exits with what the body leaves. */
const answer = (body: string, more = ''): Uint8Array<ArrayBuffer> =>
  assemble(`(module ${exit} (import "env" "memory" (memory 1 4 shared)) ${more}
    (func $main (export "_start") (call $exit ${body})))`);

describe('answers', () => {
  test.each([
    ['another value', '(memory.atomic.wait32 (i32.const 8) (i32.const 1) (i64.const -1))', 1],
    [
      'another value of 64 bits',
      '(memory.atomic.wait64 (i32.const 8) (i64.const 4294967296) (i64.const -1))',
      1,
    ],
    ['time is over', '(memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const 2000000))', 2],
    ['no time', '(memory.atomic.wait64 (i32.const 8) (i64.const 0) (i64.const 0))', 2],
    ['nobody is woken', '(memory.atomic.notify (i32.const 8) (i32.const -1))', 0],
    [
      'an offset of 65,528 and a value below 0',
      `(block (result i32) (i32.store (i32.const 65532) (i32.const -5))
        (memory.atomic.wait32 offset=65528 (i32.const 4) (i32.const -5) (i64.const 1)))`,
      2,
    ],
  ])('%s', async (_, body, code) => {
    expect(await machine.run(answer(body)).exited).toEqual({ code, signal: '', reason: '', stack: '' });
  });

  test.each([
    ['(memory.atomic.wait32 (i32.const 2) (i32.const 0) (i64.const 0))', /unaligned/, 'SIGTRAP'],
    ['(memory.atomic.wait64 offset=4 (i32.const 8) (i64.const 0) (i64.const 0))', /unaligned/, 'SIGTRAP'],
    ['(memory.atomic.notify (i32.const 65536) (i32.const 0))', /out of bounds/, 'SIGSEGV'],
    [
      '(memory.atomic.wait32 offset=0xfffffffc (i32.const -4) (i32.const 0) (i64.const 0))',
      /out of bounds/,
      'SIGSEGV',
    ],
  ])('a trap: %s', async (body, reason, signal) => {
    const ended = await machine.run(answer(body)).exited;
    expect(ended).toMatchObject({ signal });
    expect(ended.reason).toMatch(reason);
    expect(ended.stack).toContain('main (function');
  });

  test.each(['i32.const 2', 'i32.const -4'])('a trap is nothing that the program catches: %s', async (at) => {
    const module = assemble(`(module ${exit} (import "env" "memory" (memory 1 4 shared))
      (func (export "_start")
        (block $caught (try_table (catch_all $caught)
          (drop (memory.atomic.wait32 (${at}) (i32.const 0) (i64.const 0)))))
        (call $exit (i32.const 3))))`);
    expect((await machine.run(module).exited).signal).toBe(at.endsWith('2') ? 'SIGTRAP' : 'SIGSEGV');
  });
});

test('what runs at the start of a module runs, and waits as all else does', async () => {
  const module = assemble(`(module ${exit} (import "env" "memory" (memory 1 4 shared))
    (func $begin (i32.store (i32.const 4) (memory.atomic.wait32 (i32.const 0) (i32.const 1) (i64.const -1))))
    (func (export "_start") (call $exit (i32.add (i32.load (i32.const 4)) (i32.const 6))))
    (start $begin))`);
  expect(await machine.run(module).exited).toMatchObject({ code: 7 });
});

test('functions, tables and globals keep their indices', async () => {
  const module = answer(
    '(call_indirect $calls (type $number) (i32.const 1))',
    `(type $number (func (result i32))) (table $other 1 funcref) (table $calls 2 funcref)
     (elem (table $calls) (i32.const 0) func $one $two) (global $three i32 (i32.const 3))
     (func $one (result i32) (memory.atomic.notify (i32.const 0) (i32.const 1)))
     (func $two (result i32) (i32.add (call $one) (global.get $three)))`,
  );
  expect(await machine.run(module).exited).toMatchObject({ code: 3 });
});

test('a module that waits for nothing is as it was, whatever bytes it has', () => {
  const plain = assemble(
    '(module (memory 1 1) (func (export "_start") (drop (i32.const 254)) (drop (i64.const 0x80fe01fe))))',
  );
  const { bytes } = prepareModule(plain, () => true);
  const exports = WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map(({ name }) => name);
  expect(exports).not.toContain(waitExports.table);
});

test('an instruction whose numbers are longer than they have to be is the same one', async () => {
  const imports = [2, 16, 1, 3, ...Buffer.from('env'), 6, ...Buffer.from('memory'), 2, 3, 1, 4];
  // (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))) would never end.
  const body = [0, 0x41, 0, 0x41, 0, 0x42, 0x7f, 0xfe, 0x81, 0x80, 0x00, 0x82, 0x00, 0x80, 0x00, 0x1a, 0x0b];
  const module = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0],
    ...imports,
    ...[3, 2, 1, 0, 7, 10, 1, 6, ...Buffer.from('_start'), 0, 0],
    ...[10, body.length + 2, 1, body.length, ...body],
  ]);
  const { bytes } = prepareModule(module, () => true);
  const exports = WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map(({ name }) => name);
  expect(exports).toContain(waitExports.table);
});
