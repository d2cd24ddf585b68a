import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { expect, it } from 'vitest';
import { ownBytes, residentBytes } from './heap.ts';

const MIB = 2 ** 20;
const [PROT_READ_WRITE, MAP_SHARED, MADV_POPULATE_WRITE] = [3, 1, 23];
const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(void *, size_t, int, int, int, int64_t)');
const madvise = libc.func('int madvise(void *, size_t, int)');
const munmap = libc.func('int munmap(void *, size_t)');

it('memory of its own: what is mapped of a memory file, as guests have it, is not', () => {
  const folder = mkdtempSync('/dev/shm/odonata-heap-');
  const bytes = 64 * MIB;
  const before = { own: ownBytes()!, resident: residentBytes()! };
  try {
    const file = openSync(join(folder, 'memory'), 'w+');
    ftruncateSync(file, bytes);
    const at = mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED, file, 0);
    closeSync(file);
    expect(madvise(at, bytes, MADV_POPULATE_WRITE)).toBe(0);
    expect(residentBytes()! - before.resident).toBeGreaterThan(bytes / 2);
    expect(ownBytes()! - before.own).toBeLessThan(bytes / 2);
    munmap(at, bytes);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const kept = Buffer.alloc(bytes, 1);
  expect(ownBytes()! - before.own).toBeGreaterThan(bytes / 2);
  expect(kept.length).toBe(bytes);
});
