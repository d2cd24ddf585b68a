// V8 ends a process whose programs had a million different types of functions; so none gets there.
import { spawnSync } from 'node:child_process';
import { concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { expect, test } from 'vitest';
import { compileProgram } from '../program.ts';
import { TYPES_SEEN_MAX, TypesSeen } from './types-seen.ts';

type Bytes = Uint8Array<ArrayBuffer>;
/** A type of 12 parameters, one of 4^12. */
const typeOf = (number: number): Bytes =>
  Uint8Array.from([0x60, 12, ...Array.from({ length: 12 }, (_, at) => 0x7c + ((number >> (2 * at)) & 3)), 0]);
const PER_MODULE = 10_000;

/** A program with so many types, from the first one on. */
function program(first: number, count = PER_MODULE): Bytes {
  const section = (id: number, body: Bytes) => concat([Uint8Array.of(id), unsignedLeb(body.length), body]);
  const types = Array.from({ length: count - 1 }, (_, at) => typeOf(first + at));
  return concat([
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
    section(1, concat([unsignedLeb(count), Uint8Array.of(0x60, 0, 0), ...types])),
    section(3, Uint8Array.of(1, 0)),
    section(7, Uint8Array.of(1, 6, ...Buffer.from('_start'), 0, 0)),
    section(10, Uint8Array.of(1, 2, 0, 0x0b)),
  ]);
}

test('V8 ends a process that has had a million', () => {
  const script = `
    const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], leb = (n) => n < 128 ? [n] : [n & 127 | 128, ...leb(n >> 7)];
    const all = [];
    for (let i = 0; i < 1e6; i++) { all.push(0x60, 12); for (let k = 0; k < 12; k++) all.push(0x7c + ((i >> 2 * k) & 3)); all.push(0); }
    const count = leb(1e6), size = leb(count.length + all.length);
    try { new WebAssembly.Module(Uint8Array.from([...head, 1, ...size, ...count].concat(all))); } catch {}`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  // Where this is no longer so, nothing needs to be counted.
  expect(status).not.toBe(0);
  expect(stderr).toContain('too many canonicalized types');
});

test('the same types count once, in whichever thread; others until there is no room for them', async () => {
  const memory = TypesSeen.memory();
  const seen = new TypesSeen(memory);
  for (let turn = 0; turn < 3; turn++) await compileProgram(program(0), 2 ** 30, new TypesSeen(memory));
  // With that of its own function.
  expect(seen.count).toBe(10_000);
  await expect(compileProgram(program(0, 10_001), 2 ** 30, seen)).rejects.toThrow(
    'a module with 10001 types; there may be 10000',
  );
  for (let first = PER_MODULE; seen.note([typeOf(first)]); first++);
  expect(seen.count).toBe(TYPES_SEEN_MAX);
  await expect(compileProgram(program(2_000_000, 100), 2 ** 30, seen)).rejects.toThrow(
    /^a module of 100 types of functions; programs of this virtual kernel had 262144 different ones so far/,
  );
  // What it has had runs on.
  await compileProgram(program(0), 2 ** 30, seen);
}, 60_000);
