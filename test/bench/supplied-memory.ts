// Memory that the machine really has. A virtual machine's host may take free pages back (free page reporting) and
// supply them again at their first touch, which then costs as much as several faults of ours. So what a measurement is
// going to use is touched right before it, and given back to the kernel, which hands out first what it got last.

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { round } from './figure.ts';

const PIECE_BYTES = 2 ** 20;
/** More than any measurement uses, with what its processes allocate on the side. */
const SUPPLY_BYTES = 768 * 2 ** 20;
const QUICK_SUPPLY_BYTES = 64 * 2 ** 20;

/** Touches memory and gives it back. @returns nanoseconds a page */
export function supplyMemory({ quick }: { quick: boolean }): number {
  const bytes = quick ? QUICK_SUPPLY_BYTES : SUPPLY_BYTES;
  const folder = mkdtempSync('/dev/shm/odonata-bench-');
  const piece = Buffer.alloc(PIECE_BYTES, 1);
  try {
    const fd = openSync(join(folder, 'memory'), 'wx');
    const start = process.hrtime.bigint();
    for (let at = 0; at < bytes; at += PIECE_BYTES) writeSync(fd, piece, 0, PIECE_BYTES, at);
    const ns = Number(process.hrtime.bigint() - start);
    closeSync(fd);
    return ns / (bytes / PAGE_BYTES);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a page of memory costs on this machine, at once and again. */
export function memoryNote(setting: { quick: boolean }): string {
  const [firstNs, againNs] = [supplyMemory(setting), supplyMemory(setting)];
  return `A page of fresh memory took ${round(firstNs / 1e3)} us, and ${round(againNs / 1e3)} us when it was touched a moment ago, as all is before each measurement.`;
}
