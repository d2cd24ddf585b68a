import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { MemoryFiles } from './memory-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-memory-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

const opened = (): number => openSync(join(folder, 'ds-7'), 'a+');
/** As the pmap manager does that makes it anew. */
const madeAnew = (): number => {
  rmSync(join(folder, 'ds-7'));
  return opened();
};

test('one descriptor a file, until the last process gives it back', () => {
  const files = new MemoryFiles();
  const [first, second] = [files.keep(7n, false, opened()), files.keep(7n, false, opened())];
  expect(second.fd).toBe(first.fd);
  first.release();
  first.release();
  expect(() => fstatSync(second.fd)).not.toThrow();
  second.release();
  expect(() => fstatSync(second.fd)).toThrow(/EBADF/);
});

test('a file that was made anew is not taken for that of before, which a process that ends still has', () => {
  const files = new MemoryFiles();
  const before = files.keep(7n, false, opened());
  const fd = madeAnew();
  const { ino } = fstatSync(fd);
  const after = files.keep(7n, false, fd);
  expect(fstatSync(after.fd).ino).toBe(ino);
  before.release();
  expect(fstatSync(after.fd).ino).toBe(ino);
  after.release();
});

test('nor is one that came just before the pmap manager went away', () => {
  const files = new MemoryFiles();
  const late = opened();
  files.forget();
  const before = files.keep(7n, false, late);
  const fd = madeAnew();
  const after = files.keep(7n, false, fd);
  expect(after.fd).not.toBe(before.fd);
  before.release();
  closeSync(after.fd);
});
