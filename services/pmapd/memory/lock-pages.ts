// The pages under a range lock: what a process locks it will use. A lock's range is of bytes of its dataspace.
import type { LockedRange } from '@odonata/coherency/node/relay/relay-messages.ts';
import { type AccessMode, PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { MapEntry } from '../sessions/map-entry.ts';

/** Of longer ranges none: whoever locks a whole dataspace will hardly use all of it. */
const PAGES_MAX = 64n;

export interface LockAdvice {
  type: 'advise';
  entry: MapEntry;
  firstPage: number;
  pageCount: number;
  mode: AccessMode;
}

/** @param entries of the process that locks */
export function pagesUnder(
  { dataspace, begin, end, mode }: LockedRange,
  entries: Iterable<MapEntry>,
): LockAdvice[] {
  const first = begin / BigInt(PAGE_BYTES);
  const count = end / BigInt(PAGE_BYTES) - first + 1n;
  if (count > PAGES_MAX) return [];
  const advice: LockAdvice[] = [];
  for (const entry of entries) {
    if (entry.dataspace.id !== dataspace) continue;
    const part = entry.clip(Number(first), Number(count));
    const access = entry.writable && mode !== 'SHARED' ? 'WRITE' : 'READ';
    if (part !== undefined) advice.push({ type: 'advise', entry, ...part, mode: access });
  }
  return advice;
}
