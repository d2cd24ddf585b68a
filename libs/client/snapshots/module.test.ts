// A snapshot of any module is one that V8 takes, and that begins with what there was: memory, its size, globals; at its odonata_resume.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assemble } from '../../../services/vkerneld/vkernel/testdata/programs.ts';
import { decodeHeader, encodeHeader } from './header.ts';
import { readMemory } from './memory.ts';
import { type ProgramState, snapshotModule } from './module.ts';

const PAGE = 65_536;
type Type = 'i32' | 'i64' | 'f32' | 'f64';

interface Shape {
  readonly pages: number;
  readonly imported: boolean;
  readonly globals: readonly { readonly type: Type; readonly mutable: boolean; readonly bits: bigint }[];
  readonly data: readonly { readonly at: number; readonly text: string; readonly passive: boolean }[];
  readonly startSection: boolean;
  /** What the program does: words into memory, and pages more. */
  readonly writes: readonly { readonly at: number; readonly word: number }[];
  readonly grows: number;
}

const shape = fc.record<Shape>({
  pages: fc.integer({ min: 1, max: 3 }),
  imported: fc.boolean(),
  globals: fc.array(
    fc.record({
      type: fc.constantFrom<Type>('i32', 'i64', 'f32', 'f64'),
      mutable: fc.boolean(),
      bits: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    }),
    { maxLength: 6 },
  ),
  data: fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: PAGE - 64 }),
      text: fc.stringMatching(/^[a-z]{1,40}$/),
      passive: fc.boolean(),
    }),
    { maxLength: 5 },
  ),
  startSection: fc.boolean(),
  writes: fc.array(
    fc.record({
      at: fc.integer({ min: 0, max: 4 * PAGE - 4 }),
      word: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    }),
    { maxLength: 20 },
  ),
  grows: fc.integer({ min: 0, max: 2 }),
});

const text = ({ pages, imported, globals, data, startSection }: Shape): string => `(module
  ${imported ? `(import "env" "memory" (memory ${pages} 9))` : `(memory ${pages} 9)`}
  (export "memory" (memory 0))
  ${globals.map(({ type, mutable }, i) => `(global $g${i} (export "g${i}") ${mutable ? `(mut ${type})` : type} (${type}.const 7))`).join('\n')}
  ${data.map(({ at, text, passive }) => `(data ${passive ? '' : `(i32.const ${at})`} "${text}")`).join('\n')}
  (func (export "odonata_resume") (i32.store (i32.const 16) (i32.const 77)))
  (func (export "_start") (i32.store (i32.const 16) (i32.const 66)))
  (func $begin (i32.store8 (i32.const 24) (i32.const 1)))
  ${startSection ? '(start $begin)' : ''}
  ${data.map(({ passive, text }, i) => (passive ? `(func (export "init${i}") (memory.init ${i} (i32.const 128) (i32.const 0) (i32.const ${text.length})))` : '')).join('\n')})`;

type Exports = Record<string, WebAssembly.Global> & { memory: WebAssembly.Memory };
const instantiate = (module: Uint8Array<ArrayBuffer>, pages: number) => {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 9 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module), { env: { memory } });
  return exports as Exports & Record<string, () => void>;
};

/** No NaNs: what JavaScript has of one is another one. */
function numberOf(type: Type, bits: bigint): { value: number | bigint; bits: bigint } {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits, true);
  if (type === 'i64') return { value: view.getBigInt64(0, true), bits };
  if (type === 'i32') return { value: view.getInt32(0, true), bits: BigInt(view.getUint32(0, true)) };
  const isWide = type === 'f64';
  const value = isWide ? view.getFloat64(0, true) : view.getFloat32(0, true);
  if (Number.isNaN(value)) return numberOf(type, 1n);
  return { value, bits: isWide ? bits : BigInt(view.getUint32(0, true)) };
}

test('what begins from it has the memory and the globals that there were, and begins at its odonata_resume', async () => {
  await fc.assert(
    fc.asyncProperty(shape, async (of) => {
      const module = assemble(text(of));
      const program = instantiate(module, of.pages);
      if (of.grows > 0) program.memory.grow(of.grows);
      const bytes = new DataView(program.memory.buffer);
      for (const { at, word } of of.writes) if (at + 4 <= bytes.byteLength) bytes.setInt32(at, word, true);
      const values = of.globals.map(({ type, bits }) => numberOf(type, bits));
      const globals = of.globals.flatMap(({ mutable }, index) =>
        mutable ? [{ index, bits: values[index]!.bits }] : [],
      );
      for (const { index } of globals) program[`g${index}`]!.value = values[index]!.value;

      const memoryPages = program.memory.buffer.byteLength / PAGE;
      const read = async (at: number, length: number) =>
        new Uint8Array(program.memory.buffer.slice(at, at + length));
      const { spans } = await readMemory(memoryPages * PAGE, read, 1 << 30);
      const state: ProgramState = { memoryPages, globals, spans };
      const snapshot = snapshotModule(module, state);
      expect(WebAssembly.validate(snapshot)).toBe(true);
      const clone = instantiate(snapshot, memoryPages);
      expect(clone.memory.buffer.byteLength).toBe(memoryPages * PAGE);
      expect(Buffer.compare(Buffer.from(clone.memory.buffer), Buffer.from(program.memory.buffer))).toBe(0);
      for (const [i, { mutable }] of of.globals.entries())
        expect(clone[`g${i}`]!.value).toBe(
          mutable ? values[i]!.value : instantiate(module, of.pages)[`g${i}`]!.value,
        );
      // Passive segments are where they were.
      for (const [i, { passive, text }] of of.data.entries()) {
        if (!passive) continue;
        (clone[`init${i}`] as unknown as () => void)();
        expect(Buffer.from(clone.memory.buffer, 128, text.length).toString()).toBe(text);
      }
      (clone._start as unknown as () => void)();
      expect(new DataView(clone.memory.buffer).getInt32(16, true)).toBe(77);
      expect(clone.odonata_resume).toBeUndefined();
    }),
    { numRuns: 150 },
  );
});

test('what is no module of a program that may be snapshotted is refused', () => {
  const state: ProgramState = { memoryPages: 1, globals: [], spans: [] };
  const plain = assemble('(module (memory 1) (func (export "_start")))');
  expect(() => snapshotModule(plain, state)).toThrow('no function odonata_resume');
  const one = assemble('(module (memory 1) (global i32 (i32.const 1)) (func (export "odonata_resume")))');
  expect(() => snapshotModule(one, { ...state, globals: [{ index: 0, bits: 1n }] })).toThrow(
    'none that can change',
  );
  expect(() => snapshotModule(one, { ...state, globals: [{ index: 9, bits: 1n }] })).toThrow(
    'none that can change',
  );
  expect(() => snapshotModule(one.subarray(0, one.length - 3), state)).toThrow(RangeError);
});

test('memory of zeros costs nothing, and too much is refused', async () => {
  const reads: number[] = [];
  const zeros = async (at: number, length: number) => {
    reads.push(at);
    return new Uint8Array(length);
  };
  expect(await readMemory(5 * PAGE, zeros, 0)).toEqual({ spans: [], pages: 0 });
  expect(reads).toEqual([0]);
  const ones = async (_: number, length: number) => new Uint8Array(length).fill(1);
  await expect(readMemory(64 << 20, ones, 8 << 20)).rejects.toThrow(
    'more than 8 MiB of its memory are not zero',
  );
  const broken = async () => Promise.reject(new Error('gone'));
  await expect(readMemory(64 << 20, broken, 8 << 20)).rejects.toThrow('gone');
});

test('a header is what it was, and nothing else is one', () => {
  const header = {
    ...{
      moduleBytes: 7,
      sha256: 'ab'.repeat(32),
      program: 'wärm',
      takenAtMs: 5,
      memoryBytes: PAGE,
      pages: 3,
    },
  };
  const page = encodeHeader(header);
  expect(page).toHaveLength(4_096);
  expect(decodeHeader(page)).toEqual(header);
  expect(decodeHeader(Buffer.alloc(4_096))).toBeUndefined();
  expect(decodeHeader(Buffer.alloc(4_096, 'odonata snapshot\n{'))).toBeUndefined();
  const with_ = (more: object) =>
    Buffer.from(`odonata snapshot\n${JSON.stringify({ version: 1, ...header, ...more })}\0`);
  expect(decodeHeader(with_({}))).toEqual(header);
  for (const more of [{ version: 2 }, { moduleBytes: 2 ** 40 }, { sha256: 'x' }, { pages: -1 }, { more: 1 }])
    expect(decodeHeader(with_(more))).toBeUndefined();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      (bytes) => decodeHeader(Buffer.concat([Buffer.from('odonata snapshot\n'), bytes])) === undefined,
    ),
  );
});
