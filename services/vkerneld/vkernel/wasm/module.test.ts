import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { assemble } from '../testdata/programs.ts';
import { oneLine } from '../trap.ts';
import { prepareModule } from './module.ts';

const none = (): boolean => false;
const all = (): boolean => true;

/** An empty module with a custom section of this name. */
const withSection = (name: string): Buffer =>
  Buffer.from([0, 97, 115, 109, 1, 0, 0, 0, 0, name.length + 1, name.length, ...Buffer.from(name)]);

function instantiate(bytes: Uint8Array<ArrayBuffer>): {
  memory: WebAssembly.Memory;
  exports: Record<string, (...args: number[]) => number>;
} {
  const prepared = prepareModule(bytes, all);
  const memory = new WebAssembly.Memory({
    initial: prepared.initialPages,
    maximum: prepared.maximumPages,
    shared: true,
  });
  const module = new WebAssembly.Module(prepared.bytes);
  const f = { f: () => 5 };
  const { exports } = new WebAssembly.Instance(module, { odonata_vkernel: { memory }, a: f, b: f });
  return { memory, exports: exports as never };
}

describe('prepareModule', () => {
  test('a defined memory becomes an imported shared one, with its data, growth and export', () => {
    const { memory, exports } = instantiate(
      assemble(`(module
        (import "a" "f" (func $a (result i32)))
        (import "b" "f" (func $b (result i32)))
        (memory (export "memory") 2 7)
        (data (i32.const 70000) "x")
        (func (export "sum") (result i32) (i32.add (call $a) (call $b)))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))`),
    );
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(memory.buffer.byteLength).toBe(2 * 65536);
    expect(exports.memory).toBe(memory);
    expect(exports.sum!()).toBe(10);
    expect(exports.load!(70000)).toBe(120);
    expect(exports.grow!(5)).toBe(2);
    expect(exports.grow!(1)).toBe(-1);
  });

  test('without a maximum it may grow to 4 GiB', () => {
    const bytes = assemble('(module (memory 3))');
    expect(prepareModule(bytes, none)).toMatchObject({ initialPages: 3, maximumPages: 65536 });
  });

  test('an imported memory is imported from us', () => {
    const bytes = assemble(
      '(module (import "env" "memory" (memory 1 4)) (func (export "size") (result i32) memory.size))',
    );
    expect(instantiate(bytes).exports.size!()).toBe(1);
    expect(prepareModule(bytes, none).maximumPages).toBe(4);
  });

  test('a shared memory stays shared', () => {
    const bytes = assemble(
      '(module (memory 1 3 shared) (func (export "f") (result i32) (i32.atomic.load (i32.const 0))))',
    );
    expect(instantiate(bytes).exports.f!()).toBe(0);
  });

  test('no memory and no imports', () => {
    expect(
      instantiate(assemble('(module (func (export "f") (result i32) (i32.const 9)))')).exports.f!(),
    ).toBe(9);
    expect(prepareModule(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]), none).initialPages).toBe(0);
  });

  test('tells of a start section', () => {
    expect(prepareModule(assemble('(module (func $f) (start $f))'), none).hasStartSection).toBe(true);
    expect(prepareModule(assemble('(module (func $f))'), none).hasStartSection).toBe(false);
  });

  test.each([
    ['text', Buffer.from('hello\n'), /^not a WebAssembly module: give a module/],
    ['nothing', Buffer.alloc(0), /^empty: look whether/],
    ['half a header', Buffer.from('\0asm\x01'), /^not a WebAssembly module: it is cut short/],
    ['a script', Buffer.from('#!/bin/sh\necho hello\n'), /^a script: run its interpreter/],
    [
      'text format',
      Buffer.from(';; comment\n\n(; and\nmore ;) ( module $m)'),
      /^WebAssembly in text format: .*wat2wasm/,
    ],
    ['a component in text format', Buffer.from('(component)'), /^WebAssembly in text format/],
    ['a program of Linux', Buffer.from('\x7fELF\x02\x01\x01'), /\(ELF\): compile it for WASI/],
    ['gzip', gzipSync(assemble('(module)')), /^compressed by gzip: unpack it first: gunzip$/],
    ['zip', Buffer.from('PK\x03\x04'), /^a zip archive: .*unzip/],
    ['an archive', Buffer.from('!<arch>\n'), /^an archive of object files: link/],
    ['an object file', withSection('linking'), /^an object file, not a program: link it/],
    ['a shared library', withSection('dylink.0'), /^a shared library, not a program/],
    [
      'a component',
      Buffer.from([0, 97, 115, 109, 13, 0, 1, 0]),
      /^a WebAssembly component \(.*\), not a module: build .*wasm32-wasip1.*clang.*GOOS=wasip1.*tinygo -target=wasip1.*Python/,
    ],
    ['another version', Buffer.from([0, 97, 115, 109, 2, 0, 0, 0]), /unknown version \(2\)/],
    ['a cut file', Buffer.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 99]), /cut short/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => prepareModule(new Uint8Array(bytes), all)).toThrow(message);
  });

  test('every cut of a module is refused or whole, and nothing else is thrown', () => {
    const whole = assemble(
      '(module (import "a" "f" (func)) (memory 1) (data (i32.const 0) "abc") (func (export "g")))',
    );
    for (let length = 0; length < whole.length; length++) {
      try {
        prepareModule(whole.slice(0, length), all);
      } catch (error) {
        expect((error as Error).name).toBe('ModuleError');
      }
    }
  });

  test('names the imports that are missing', () => {
    const functions = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      .map((name) => `(import "env" "${name}" (func))`)
      .join('');
    expect(() => prepareModule(assemble(`(module ${functions})`), (_, name) => name === 'a')).toThrow(
      'the program imports env.b, env.c, env.d, env.e, env.f and 1 more, which a virtual kernel does not have',
    );
    expect(() => prepareModule(assemble('(module (import "x" "t" (table 1 funcref)))'), all)).toThrow(
      'the program imports x.t (a table), which a virtual kernel does not have',
    );
  });

  test.each([
    ['wasi:cli/stdout@0.2.0', /core of a component: build .*wasm32-wasip1/],
    ['wasi_unstable', /before preview 1/],
    ['gojs', /GOOS=wasip1/],
    ['__wbindgen_placeholder__', /wasm-bindgen/],
    ['wasix_32v1', /WASIX/],
    ['something', /does not have$/],
  ])('what imports from %s hears for what it was built', (module, message) => {
    const bytes = assemble(`(module (import "${module}" "f" (func)))`);
    expect(() => prepareModule(bytes, none)).toThrow(message);
  });

  test.each([
    ['env', 'abort', /AssemblyScript.*--use abort=/],
    ['env', 'emscripten_memcpy_js', /Emscripten.*--target=wasm32-wasi/],
    ['env', '__cxa_throw', /throw\.cc/],
    ['wasi_snapshot_preview1', 'sock_open', /--listen.*odonata_connect/],
    ['env', 'aborted', /does not have$/],
  ])('what imports %s.%s hears how to build it', (module, name, message) => {
    const bytes = assemble(`(module (import "${module}" "${name}" (func)))`);
    expect(() => prepareModule(bytes, none)).toThrow(message);
  });

  test('refuses what would be allocated out of every quota', () => {
    expect(() =>
      prepareModule(
        assemble('(module (type $s (struct (field i32))) (global (ref null $s) (ref.null $s)))'),
        all,
      ),
    ).toThrow(/garbage-collected/);
    expect(() => prepareModule(assemble('(module (table 2000000 funcref))'), all)).toThrow(/2000000 entries/);
    expect(() => prepareModule(assemble('(module (table 1 exnref))'), all)).toThrow(/unusual table/);
  });

  test('refuses what would take a virtual kernel down: sections and tables without end, names of spaces', () => {
    const header = [0, 97, 115, 109, 1, 0, 0, 0];
    const empty = new Uint8Array(Buffer.concat([Buffer.from(header), Buffer.alloc(4 << 20)]));
    expect(() => prepareModule(empty, all)).toThrow(/more than 10000 sections/);
    const tables = Array.from({ length: 3 }, () => '(table 400000 funcref)').join('');
    expect(() => prepareModule(assemble(`(module ${tables})`), all)).toThrow(/tables of 1200000 entries/);
    const spaces = assemble(`(module (import "${' '.repeat(300_000)}" "x" (func)))`);
    const startMs = performance.now();
    expect(() => prepareModule(spaces, none)).toThrow(/^the program imports {101}…, which a virtual kernel/);
    expect(oneLine(' '.repeat(300_000))).toBe('');
    // The search for ends of lines took minutes.
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  test('refuses exceptions of many values, of which each place that catches them has code for each', () => {
    const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const catches = (values: number) =>
      Uint8Array.from([
        ...[...header, 1, values + 7, 2, 0x60, 0, 0, 0x60, values, ...new Array(values).fill(0x7f), 0],
        ...[3, 2, 1, 0, 13, 3, 1, 0, 1, 10, 4, 1, 2, 0, 0x0b],
      ]);
    expect(prepareModule(catches(16), all).besideBytes).toBe(0);
    expect(() => prepareModule(catches(17), all)).toThrow('exceptions of 17 values; there may be 16');
  });

  test('refuses more of anything than V8 takes, before it is read', () => {
    const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    // The count is a lie; nothing of that size need be there.
    const lie = (id: number, ...body: number[]) => Uint8Array.from([...header, id, body.length, ...body]);
    const million = [0xc1, 0x84, 0x3d]; // 1,000,001
    expect(() => prepareModule(lie(1, ...million), all)).toThrow(/1000001 types/);
    expect(() => prepareModule(lie(2, ...million), all)).toThrow(/1000001 imports/);
    expect(() => prepareModule(lie(1, 1, 0x60, 0xe9, 0x07), all)).toThrow(/1001 parameters or results/);
    expect(() => prepareModule(lie(5, ...million), all)).toThrow(/1000001 memories/);
  });

  test('tables grow together to what the quota leaves them, and count against it', () => {
    const two = assemble('(module (table 3 funcref) (table 5 9 externref) (table 7 7 funcref))');
    expect(prepareModule(two, none).besideBytes).toBeLessThanOrEqual(40 * 1_000_000);
    // A sixteenth of 640 KiB: 1,024 entries of 40 bytes, for two that can grow.
    const quotaBytes = 640 << 10;
    const { bytes, besideBytes } = prepareModule(two, none, quotaBytes);
    expect(besideBytes).toBe((3 + 512 + 9 + 7) * 40);
    expect(() => new WebAssembly.Module(bytes)).not.toThrow();
    expect(() => prepareModule(assemble('(module (table 20000 funcref))'), none, quotaBytes)).toThrow(
      /20000 entries, which take more than its whole quota/,
    );
  });

  test('a table can grow to a bound', () => {
    const grow = '(func (export "grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))';
    const { exports } = instantiate(assemble(`(module (table 3 funcref) ${grow})`));
    expect(exports.grow!(1000)).toBe(3);
    expect(exports.grow!(1_000_000)).toBe(-1);
  });

  test('refuses 64-bit and several memories', () => {
    expect(() => prepareModule(assemble('(module (memory i64 1))'), all)).toThrow(/64-bit/);
    expect(() => prepareModule(assemble('(module (memory 1) (memory 1))'), all)).toThrow(/several memories/);
  });
});
