// What a cluster's nodes get of /dev/shm, and what others were promised.
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tryLock } from './lock.ts';
import { type MemorySpace, memorySpace, nodeMemory, promise } from './memory-space.ts';

const folder = mkdtempSync('/dev/shm/odonata-test-space-');
afterAll(() => rmSync(folder, { recursive: true }));

const MIB = 2 ** 20;
const space = (availableMib: number, promisedMib = 0): MemorySpace => ({
  ...{ folder: '/dev/shm', sizeBytes: 1024 * MIB },
  ...{ availableBytes: availableMib * MIB, promisedBytes: promisedMib * MIB },
});

test('what is asked for by name is there, or refused with what there is', () => {
  expect(nodeMemory(space(300), 2, 150 * MIB)).toEqual({ bytes: 150 * MIB });
  expect(() => nodeMemory(space(300), 2, 151 * MIB)).toThrow(
    '--node-memory: 2 x 151 MiB is more than there is: /dev/shm has 300 MiB of 1 GiB left',
  );
  expect(() => nodeMemory(space(300, 200), 1, 128 * MIB)).toThrow('200 MiB of it promised to other clusters');
  expect(() => nodeMemory(space(300), 1, MIB)).toThrow('4 MiB is the least');
});

test('without a name nodes share what is left, and say where others take of it', () => {
  expect(nodeMemory(space(400), 3, undefined)).toEqual({ bytes: 100 * MIB });
  const { bytes, note } = nodeMemory(space(4096, 2048), 1, undefined);
  expect(bytes).toBe(1536 * MIB);
  expect(note).toMatch(/^each node gets 1.5 GiB of memory: .*2 GiB of it promised to other clusters$/);
  // However much was promised: what is really there is enough to work with.
  expect(nodeMemory(space(4096, 4096), 1, undefined).bytes).toBe(256 * MIB);
  expect(() => nodeMemory(space(4), 2, undefined)).toThrow('too little for 2 nodes');
});

test('what strangers put there stops and hangs nobody', () => {
  const mine = join(folder, 'odonata-0-mine.lock');
  const place = (name: string): string => join(folder, `odonata-0-${name}.lock`);
  // A pipe nobody writes to.
  execFileSync('mkfifo', [place('pipe')]);
  mkdirSync(place('folder'));
  const huge = tryLock(place('huge'))!;
  symlinkSync(place('huge'), place('link'));
  try {
    promise(place('huge'), 10 * MIB);
    expect(memorySpace(mine, folder).promisedBytes).toBe(10 * MIB);
    for (const text of ['Infinity', 'much', '-1', '1.5', `1${'0'.repeat(100)}`]) {
      writeFileSync(place('huge'), text);
      expect(memorySpace(mine, folder).promisedBytes, text).toBe(0);
    }
    // No more than there is.
    writeFileSync(place('huge'), '1e15');
    const { blocks, bsize } = statfsSync(folder);
    expect(memorySpace(mine, folder).promisedBytes).toBe(blocks * bsize);
    // What is used counts of nobody's folder to which a link leads.
    promise(place('huge'), 10 * MIB);
    mkdirSync(join(folder, 'elsewhere'));
    writeFileSync(join(folder, 'elsewhere/file'), Buffer.alloc(4 * MIB, 1));
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'odonata-0-huge'));
    expect(memorySpace(mine, folder).promisedBytes).toBe(10 * MIB);
    if (process.getuid!() !== 0) return;
    // Of another user, held by whomever.
    chownSync(place('huge'), 65_534, 65_534);
    expect(memorySpace(mine, folder).promisedBytes).toBe(0);
  } finally {
    huge.release();
  }
});

test('a promise counts while its cluster lives, less what it has used of it', () => {
  const mine = join(folder, 'odonata-0-mine.lock');
  const other = join(folder, 'odonata-0-other.lock');
  const lock = tryLock(other)!;
  promise(other, 10 * MIB);
  expect(memorySpace(mine, folder).promisedBytes).toBe(10 * MIB);
  mkdirSync(join(folder, 'odonata-0-other/node1'), { recursive: true });
  writeFileSync(join(folder, 'odonata-0-other/node1/ds-1'), Buffer.alloc(4 * MIB, 1));
  expect(memorySpace(mine, folder).promisedBytes).toBe(6 * MIB);
  expect(memorySpace(other, folder).promisedBytes).toBe(0);
  lock.release();
  expect(memorySpace(mine, folder).promisedBytes).toBe(0);
});
