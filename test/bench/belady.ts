// The least faults that any choice of pages to leave could have had: Belady's, which knows what is used next (L. A. Belady, "A study of
// replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966).

/**
 * @param uses pages, in the order of their uses
 * @param frames pages that may be there at one time
 * @param counts whether a page that comes again is counted; it takes its frame in any case
 * @returns how often pages came again that had been there
 */
export function leastRefaults(
  uses: readonly number[],
  frames: number,
  counts: (page: number) => boolean = () => true,
): number {
  const nextUse = new Array<number>(uses.length);
  const seenAt = new Map<number, number>();
  for (let i = uses.length - 1; i >= 0; i--) {
    nextUse[i] = seenAt.get(uses[i]!) ?? Number.POSITIVE_INFINITY;
    seenAt.set(uses[i]!, i);
  }
  /** Of those that are there: when each is used next. */
  const resident = new Map<number, number>();
  const before = new Set<number>();
  let refaults = 0;
  for (const [i, page] of uses.entries()) {
    if (!resident.has(page)) {
      if (before.has(page) && counts(page)) refaults++;
      before.add(page);
      if (resident.size === frames) resident.delete(farthest(resident));
    }
    resident.set(page, nextUse[i]!);
  }
  return refaults;
}

function farthest(resident: ReadonlyMap<number, number>): number {
  let [found, at] = [-1, -1];
  for (const [page, next] of resident) if (next > at) [found, at] = [page, next];
  return found;
}

/** The same where the page leaves that was used last before all others (LRU), by one who sees every use: no pmap manager does. */
export function lruRefaults(
  uses: readonly number[],
  frames: number,
  counts: (page: number) => boolean = () => true,
): number {
  const resident = new Set<number>();
  const before = new Set<number>();
  let refaults = 0;
  for (const page of uses) {
    if (!resident.delete(page)) {
      if (before.has(page) && counts(page)) refaults++;
      before.add(page);
      const [oldest] = resident;
      if (resident.size === frames) resident.delete(oldest!);
    }
    resident.add(page);
  }
  return refaults;
}
