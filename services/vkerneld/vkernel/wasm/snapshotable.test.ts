import { expect, test } from 'vitest';
import { assemble } from '../testdata/programs.ts';
import { prepareModule } from './module.ts';

const RESUME = '(func (export "odonata_resume"))';
const snapshotOf = (text: string) => prepareModule(assemble(`(module ${text})`), () => true).snapshot;

test('a program that exports odonata_resume exports the numbers that can change, and no other does', () => {
  const text = `(memory 1) (global i32 (i32.const 1)) (global (mut i64) (i64.const 2)) (global (mut f32) (f32.const 1))
    (func $a (export "_start"))`;
  expect(snapshotOf(text)).toBeUndefined();
  const { snapshot, bytes } = prepareModule(assemble(`(module ${text} ${RESUME})`), () => true);
  expect(snapshot).toEqual({
    globals: [
      { index: 1, type: 'i64' },
      { index: 2, type: 'f32' },
    ],
  });
  const exported = WebAssembly.Module.exports(new WebAssembly.Module(bytes)).filter(
    ({ kind }) => kind === 'global',
  );
  expect(exported.map(({ name }) => name)).toEqual(['odonata_global_1', 'odonata_global_2']);
});

test.each([
  ['(memory 1) (func (export "odonata_resume") (param i32))', 'takes or returns something'],
  [`(global (export "odonata_global_0") (mut i32) (i32.const 1)) ${RESUME}`, 'exports of its own'],
  [`(global (mut v128) (v128.const i32x4 0 0 0 0)) ${RESUME}`, 'global 0, which can change, is no number'],
  [`(global (mut funcref) (ref.null func)) ${RESUME}`, 'is no number'],
  [
    `${'(global (mut i32) (i32.const 1))'.repeat(10_000)} ${RESUME}`,
    '10000 globals that can change; 1000 are the most',
  ],
  [`(table 1 funcref) ${RESUME} (func (table.set (i32.const 0) (ref.null func)))`, 'change tables'],
  [`(table 1 funcref) ${RESUME} (func (drop (table.grow (ref.null func) (i32.const 1))))`, 'change tables'],
  [
    `(table 1 funcref) ${RESUME} (func (table.fill (i32.const 0) (ref.null func) (i32.const 1)))`,
    'change tables',
  ],
])('%.60s: there can be none of it, and it runs', (text, why) => {
  expect(snapshotOf(text)).toEqual({ refused: expect.stringContaining(why) });
});

test('constants of any kind are read over', () => {
  expect(
    snapshotOf(`(func $f) (global funcref (ref.func $f)) (global f64 (f64.const -1.5)) (global (mut f64) (f64.const 3))
      (global v128 (v128.const i64x2 11 11)) (global i32 (i32.add (i32.const 11) (i32.const 2))) (global (mut i32) (i32.const -11)) ${RESUME}`),
  ).toEqual({
    globals: [
      { index: 2, type: 'f64' },
      { index: 5, type: 'i32' },
    ],
  });
});
