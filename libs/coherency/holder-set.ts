// Sets of holders that never change: pages share them, and a page that nobody else has costs no memory for its.
import type { HolderId } from './page.ts';

/** Ascending. */
export type HolderSet = readonly HolderId[];

export const NO_HOLDERS: HolderSet = Object.freeze([]);

/** Most pages have one sharer: one array for each such holder. */
const ALONE_MAX = 4_096;
const alone: HolderSet[] = [];

function only(holder: HolderId): HolderSet {
  if (holder >= ALONE_MAX) return [holder];
  alone[holder] ??= Object.freeze([holder]);
  return alone[holder];
}

export function setOf(holders: Iterable<HolderId>): HolderSet {
  let set = NO_HOLDERS;
  for (const holder of holders) set = withHolder(set, holder);
  return set;
}

export function withHolder(set: HolderSet, holder: HolderId): HolderSet {
  if (set.length === 0) return only(holder);
  if (set.includes(holder)) return set;
  const at = set.findIndex((other) => other > holder);
  return at === -1 ? [...set, holder] : [...set.slice(0, at), holder, ...set.slice(at)];
}

export function withoutHolder(set: HolderSet, holder: HolderId): HolderSet {
  if (!set.includes(holder)) return set;
  if (set.length === 1) return NO_HOLDERS;
  if (set.length === 2) return only(set[0] === holder ? set[1]! : set[0]!);
  return set.filter((other) => other !== holder);
}
