// What a process has of the machine.
import { readdirSync, readFileSync } from 'node:fs';

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
