// What a process has of the machine.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Footprint {
  readonly residentMib: number;
  readonly descriptors: number;
}

export function footprintOf(pid: number): Footprint {
  const [, pages = '0'] = readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
  return {
    residentMib: (Number(pages) * 4096) / 2 ** 20,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** How long what ended may take to be let go of. */
export const REST_MS = 60_000;

/** Until its memory stays as it is, for some looks in a row. */
export async function rested(pid: number): Promise<void> {
  let [lastMib, looks] = [0, 0];
  const untilMs = performance.now() + REST_MS;
  while (looks < 4 && performance.now() < untilMs) {
    await sleep(2_500);
    const { residentMib } = footprintOf(pid);
    looks = Math.abs(residentMib - lastMib) < 8 ? looks + 1 : 0;
    lastMib = residentMib;
  }
}
