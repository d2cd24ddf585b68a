import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { afterAll, expect, test } from 'vitest';
import { SwapFile } from './swap-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-swap-test-'));
afterAll(() => rmSync(folder, { recursive: true }));
const page = (byte: number): Buffer => Buffer.alloc(PAGE_BYTES, byte);

test('pages come back as they went, slots are used again, and a full one takes no more', () => {
  const swap = new SwapFile(folder, 3 * PAGE_BYTES + 1);
  const slots = [1, 2, 3].map((byte) => swap.put(page(byte))!);
  expect([swap.slots, swap.usedSlots, swap.freeSlots, swap.put(page(4))]).toEqual([3, 3, 0, undefined]);
  swap.free(slots[1]!);
  const again = swap.put(page(5))!;
  expect(again).toBe(slots[1]);
  const read = page(0);
  for (const [i, byte] of [1, 5, 3].entries()) {
    swap.get(slots[i]!, read);
    expect(read.equals(page(byte))).toBe(true);
  }
  swap.close();
});

test('it has no name, and only its owner could open it', () => {
  const swap = new SwapFile(folder, PAGE_BYTES);
  expect(readdirSync(folder)).toEqual([]);
  const fd = readdirSync('/proc/self/fd').find((each) => {
    try {
      return readlinkSync(`/proc/self/fd/${each}`).startsWith(`${folder}/swap-`);
    } catch {
      return false;
    }
  });
  const { mode, nlink } = statSync(`/proc/self/fd/${fd}`);
  expect([mode & 0o777, nlink]).toEqual([0o600, 0]);
  swap.close();
});

test('what was never written there is an error, and no zeros', () => {
  const swap = new SwapFile(folder, 4 * PAGE_BYTES);
  swap.put(page(1));
  expect(() => swap.get(2, page(0))).toThrow('slot 2 of the swap file cannot be read');
  swap.close();
});
