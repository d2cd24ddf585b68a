import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { duplicate, punchHole } from '@odonata/userfault/libc.ts';
import { startFixedSize } from '@odonata/userfault/sandbox/fixed-size.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryFile } from './memory-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync('/dev/shm/odonata-test-');
});
afterEach(() => rmSync(dir, { recursive: true }));

const page = (value: number) => Buffer.alloc(4096, value);

test('pages that were never written take no memory and read as zero', () => {
  const file = new MemoryFile(join(dir, 'ds'), 1 << 20);
  expect(statSync(file.path).blocks).toBe(0);
  expect(file.read(77, 1).equals(page(0))).toBe(true);
  expect(file.has(77)).toBe(false);
  file.remove();
  expect(existsSync(file.path)).toBe(false);
});

test('a dropped page gives its frame back', () => {
  const file = new MemoryFile(join(dir, 'ds'), 100);
  file.write(3, Buffer.concat([page(1), page(2)]));
  expect(file.residentPages).toBe(2);
  file.drop(3, 1);
  expect(file.residentPages).toBe(1);
  expect(file.has(3)).toBe(false);
  expect(file.read(3, 2).equals(Buffer.concat([page(0), page(2)]))).toBe(true);
  expect(statSync(file.path).blocks).toBe(8);
  file.remove();
});

test('filling holes keeps what is there', () => {
  const file = new MemoryFile(join(dir, 'ds'), 200);
  file.write(70, page(9));
  file.fillHoles(0, 150);
  expect(file.residentPages).toBe(150);
  expect(file.read(70, 1).equals(page(9))).toBe(true);
  file.remove();
});

test('a page is charged to who brought it until it is dropped', () => {
  const counts = new Map<number, number>();
  const count = (number: number, pages: number) => counts.set(number, (counts.get(number) ?? 0) + pages);
  const ledger = {
    taken: (number: number) => count(number, 1),
    dropped: (number: number, pages: number) => count(number, -pages),
  };
  const file = new MemoryFile(join(dir, 'ds'), 10, undefined, ledger);
  file.fillHoles(0, 4, () => 7);
  file.write(2, page(1), () => 8);
  file.write(5, page(1));
  expect(Object.fromEntries(counts)).toEqual({ 1: 1, 7: 4 });
  file.drop(2, 1);
  file.charge(0, 10, 9);
  expect(Object.fromEntries(counts)).toEqual({ 1: 0, 7: 3, 9: 1 });
  file.unmapAll(0, 10);
  file.remove();
  expect(Object.fromEntries(counts)).toEqual({ 1: 0, 7: 0, 9: 0 });
});

test('bytes that are no whole pages make their pages resident', () => {
  const file = new MemoryFile(join(dir, 'ds'), 10);
  file.writeAt(4095, Buffer.from([7, 8]));
  expect([file.has(0), file.has(1), file.has(2)]).toEqual([true, true, false]);
  expect(file.read(0, 2).subarray(4095, 4097)).toEqual(Buffer.from([7, 8]));
  file.remove();
});

test('what somebody cut off or took out reads as zeros, is put in anew, and bytes that are there stay', () => {
  const path = join(dir, 'cut');
  const file = new MemoryFile(path, 4);
  file.write(0, Buffer.alloc(4 * 4096, 7));
  const other = file.withDescriptor(false, (fd) => duplicate(fd));
  punchHole(other, 4096, 4096);
  ftruncateSync(other, 2 * 4096);
  const bytes = Buffer.alloc(4 * 4096, 9);
  file.readInto(0, bytes);
  expect([bytes[0], bytes[4096], bytes[2 * 4096], bytes[4 * 4096 - 1]]).toEqual([7, 0, 0, 0]);
  expect([0, 1, 3].map((page) => file.mend(page))).toEqual([true, true, true]);
  expect(file.mend(0)).toBe(false);
  expect(fstatSync(other).size).toBe(4 * 4096);
  file.readInto(0, bytes);
  expect([bytes[0], bytes[4096], bytes[3 * 4096]]).toEqual([7, 0, 0]);
  closeSync(other);
  file.remove();
});

test('whoever gets a descriptor cannot change its size by it; what is written beyond the end is taken back', () => {
  startFixedSize((reason) => expect.fail(reason));
  const path = join(dir, 'fixed');
  for (const exists of [false, true]) {
    const file = new MemoryFile(path, 4, exists);
    file.write(0, Buffer.alloc(4 * 4096, 7));
    const other = file.withDescriptor(false, (fd) => duplicate(fd));
    for (const size of [0, 4096, 1 << 30]) expect(() => ftruncateSync(other, size)).toThrow(/EACCES/);
    // Nor by another one, that it makes of it: of a plain user the mode keeps it from that, of root its uid.
    if (process.getuid!() !== 0) expect(() => openSync(`/proc/self/fd/${other}`, 'r+')).toThrow(/EACCES/);
    expect(file.undoGrowth()).toBe(exists);
    for (let turn = 0; turn < 2; turn++) {
      writeSync(other, Buffer.alloc(1 << 20, 1), 0, 1 << 20, ((exists ? 50 : 5) + turn) * 4096);
      expect(file.undoGrowth()).toBe(true);
      expect(file.undoGrowth()).toBe(false);
      expect(fstatSync(other).blocks * 512).toBe(4 * 4096);
    }
    expect(file.read(0, 4)).toEqual(Buffer.alloc(4 * 4096, 7));
    closeSync(other);
    if (exists) file.remove();
    else file.close();
  }
});

test('a descriptor for reading is one', () => {
  const file = new MemoryFile(join(dir, 'read'), 1);
  file.withDescriptor(true, (fd) => expect(() => writeSync(fd, 'x', 0)).toThrow(/EBADF/));
  expect(statSync(file.path).mode & 0o777).toBe(0o400);
  // As the next pmap manager opens it.
  const next = new MemoryFile(file.path, 1, true);
  next.write(0, Buffer.alloc(4096, 1));
  next.close();
  file.remove();
});
