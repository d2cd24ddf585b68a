// What is named to V8 is optimised at its first call, and nothing else is.
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { BinaryReader } from '@odonata/guest/wasm/binary.ts';
import { expect, test } from 'vitest';
import { buildGuest } from '../../../../test/guests/build.ts';
import { assemble } from '../testdata/programs.ts';
import { prepareModule } from './module.ts';
import { HINTS_SECTION, tierHints } from './tier-hints.ts';

setFlagsFromString('--experimental-wasm-compilation-hints');
setFlagsFromString('--allow-natives-syntax');
const isBaseline = new Function('f', 'return %IsLiftoffFunction(f)') as (f: unknown) => boolean;

const loop = (body: string, counter: string) => `(loop
  ${body}
  (local.set ${counter} (i32.add (local.get ${counter}) (i32.const 1)))
  (br_if 0 (i32.lt_s (local.get ${counter}) (i32.const 3))))`;
const fn = (name: string, body: string) =>
  `(func $${name} (export "${name}") (result i32) (local $a i32) (local $b i32) (local $sum i32) ${body} (local.get $sum))`;
const add = '(local.set $sum (i32.add (local.get $sum) (i32.const 1)))';
const call = '(drop (call $plain))';
const program = `(module
  ${fn('plain', add)}
  ${fn('once', loop(add, '$a'))}
  ${fn('twice', loop(`(local.set $b (i32.const 0)) ${loop(add, '$b')}`, '$a'))}
  ${fn('calling', loop(loop(call.repeat(40), '$b'), '$a'))}
  ${fn('long', add.repeat(600) + loop(`(local.set $b (i32.const 0)) ${loop(add.repeat(100), '$b')}`, '$a'))}
  ${fn('straight', add.repeat(700) + loop(loop(add, '$b'), '$a'))})`;

test('loops within loops are optimised at once; what loops once, or calls a lot, is not', () => {
  const { bytes } = prepareModule(assemble(program), () => true);
  const memory = new WebAssembly.Memory({ initial: 0, maximum: 0, shared: true });
  const module = new WebAssembly.Module(bytes);
  const { exports } = new WebAssembly.Instance(module, { odonata_vkernel: { memory } });
  const baseline = Object.entries(exports as Record<string, () => number>).map(([name, each]) => {
    each();
    return [name, isBaseline(each)];
  });
  const expected = { plain: true, once: true, twice: false, calling: true, long: false, straight: true };
  expect(Object.fromEntries(baseline)).toEqual(expected);
  expect((exports as Record<string, () => number>).twice!()).toBe(9);
});

test('what a program wishes by itself is left out', () => {
  const name = Buffer.from(HINTS_SECTION);
  const body = Buffer.concat([Buffer.from([name.length]), name, Buffer.from([1, 0x2a])]);
  const wish = Buffer.concat([Buffer.from([0, body.length]), body]);
  const plain = assemble(`(module ${fn('plain', add)})`);
  const bytes = new Uint8Array(Buffer.concat([plain, wish]));
  expect(Buffer.from(prepareModule(bytes, () => true).bytes).includes(name)).toBe(false);
});

// All of jacobi is one long `main`, as clang has it.
test.each(['matmul', 'jacobi'])('of the C program %s its kernel, and not printf', async (name) => {
  const bytes = new Uint8Array(readFileSync(await buildGuest(name)));
  const hints = tierHints(codeOf(bytes))!;
  expect(hints.filter((hint) => hint === 0x29)).toHaveLength(1);
});

test('of a program that says hello nothing', async () => {
  expect(tierHints(codeOf(new Uint8Array(readFileSync(await buildGuest('hello')))))).toBeUndefined();
});

test('code that is none, and too much of it, has no hints', () => {
  expect(tierHints(new Uint8Array([1, 3, 0, 0xff, 0x0b]))).toBeUndefined();
  expect(tierHints(new Uint8Array(2 ** 20 + 1))).toBeUndefined();
});

function codeOf(module: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const reader = new BinaryReader(module, 8);
  for (;;) {
    const id = reader.u8();
    const body = reader.bytes(reader.u32());
    if (id === 10) return body;
  }
}
