import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CompiledPrograms, programKey } from './compiled-programs.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const needs = {
  initialPages: 0,
  maximumPages: 0,
  besideBytes: 0,
  spawns: false,
  image: undefined,
  threads: undefined,
  snapshot: undefined,
  parkable: undefined,
};
const program = () => ({ module: new WebAssembly.Module(EMPTY), needs });
const MIB = 2 ** 20;

test('a program is found by its bytes and quota, and by no others', () => {
  const programs = new CompiledPrograms();
  const [key, made] = [programKey(EMPTY, 7), program()];
  programs.keep(key, made, EMPTY.length);
  expect(programs.find(programKey(EMPTY.slice(), 7))).toMatchObject(made);
  expect(programs.find(programKey(EMPTY, 8))).toBeUndefined();
  expect(programs.find(programKey(Uint8Array.of(...EMPTY, 0), 7))).toBeUndefined();
});

test('so many bytes and programs are kept, those that were used last; one that is larger is not', () => {
  const programs = new CompiledPrograms();
  for (const name of ['a', 'b', 'c']) programs.keep(name, program(), 45 * MIB);
  programs.find('a');
  programs.keep('d', program(), 45 * MIB);
  expect(['a', 'b', 'c', 'd'].filter((name) => programs.find(name) !== undefined)).toEqual(['a', 'c', 'd']);
  programs.keep('large', program(), 145 * MIB);
  expect(programs.find('large')).toBeUndefined();
  for (let i = 0; i < 100; i++) programs.keep(`small ${i}`, program(), 8);
  expect(programs.find('small 36')).toBeDefined();
  expect(programs.find('small 35')).toBeUndefined();
});

test('nothing is kept where nothing starts', () => {
  const programs = new CompiledPrograms();
  programs.keep('a', program(), 8);
  vi.advanceTimersByTime(59_000);
  expect(programs.find('a')).toBeDefined();
  vi.advanceTimersByTime(59_000);
  expect(programs.find('a')).toBeDefined();
  vi.advanceTimersByTime(61_000);
  expect(programs.find('a')).toBeUndefined();
});
