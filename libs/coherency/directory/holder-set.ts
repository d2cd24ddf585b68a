// Sets of holders that never change: pages share them, and a page that nobody else has costs no memory for its.
import type { HolderId } from '../page.ts';

/** Ascending. */
export type HolderSet = readonly HolderId[];

export const NO_HOLDERS: HolderSet = Object.freeze([]);

/** Most pages have one sharer or two: one array for each such holder, and for so many pairs. */
const ALONE_MAX = 4_096;
const PAIRS_MAX = 65_536;
const alone: HolderSet[] = [];
const pairs = new Map<number, HolderSet>();

function only(holder: HolderId): HolderSet {
  if (holder >= ALONE_MAX) return [holder];
  alone[holder] ??= Object.freeze([holder]);
  return alone[holder];
}

function both(less: HolderId, more: HolderId): HolderSet {
  if (more >= ALONE_MAX) return [less, more];
  const key = less * ALONE_MAX + more;
  const known = pairs.get(key);
  if (known !== undefined || pairs.size >= PAIRS_MAX) return known ?? [less, more];
  const pair = Object.freeze([less, more]);
  pairs.set(key, pair);
  return pair;
}

export function setOf(holders: Iterable<HolderId>): HolderSet {
  let set = NO_HOLDERS;
  for (const holder of holders) set = withHolder(set, holder);
  return set;
}

export function withHolder(set: HolderSet, holder: HolderId): HolderSet {
  if (set.length === 0) return only(holder);
  if (set.includes(holder)) return set;
  if (set.length === 1) return both(Math.min(set[0]!, holder), Math.max(set[0]!, holder));
  const at = set.findIndex((other) => other > holder);
  return at === -1 ? [...set, holder] : [...set.slice(0, at), holder, ...set.slice(at)];
}

export function withoutHolder(set: HolderSet, holder: HolderId): HolderSet {
  if (!set.includes(holder)) return set;
  if (set.length === 1) return NO_HOLDERS;
  if (set.length === 2) return only(set[0] === holder ? set[1]! : set[0]!);
  const rest = set.filter((other) => other !== holder);
  return rest.length === 2 ? both(rest[0]!, rest[1]!) : rest;
}

export function isSameSet(a: HolderSet, b: HolderSet): boolean {
  return a === b || (a.length === b.length && a.every((holder, i) => holder === b[i]));
}
