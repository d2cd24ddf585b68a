// Which pages leave the memory of a node when frames run short: a pure policy, which moves nothing itself.
//
//   came --------------------> active (tail) ... active (head) --deactivate--> inactive (tail) ... (head) --evict--> gone
//     |                          ^  ^                                            |
//     | once pages of the        |  +--------- fault: a second chance -----------+
//     | space have left          +---------------- fault: it is used more than once ----------------+
//     +-----------------------> fresh (tail) ... fresh (head) --deactivate--> probation (tail) ... (head) --evict--> gone
//
// A page that is deactivated is taken out of the page tables, so that the next access is a fault, and keeps its bytes. Nobody
// sees the accesses to an active page; a fault on an inactive one is the sample that says that it is used. So what is
// used comes back before it reaches the head, for the price of a fault, and what is not used leaves.
//
// What comes while pages leave is fresh first, and leaves before what was there, unless it is used again: so a scan, or a loop through more than
// there is, takes a small part of the frames, and the rest stays (as in S3-FIFO: Yang and others, "FIFO queues are all you need for cache
// eviction", SOSP 2023). What left lately, and comes again, would have stayed with a few more frames: it is active at once. So who begins to
// use other pages gets them all, however few of the frames are for fresh ones.
//
// Whose pages: of the space with the largest overdraft, what it has of the node beyond its share. Its own pages only
// compete with each other, so who walks through more memory than there is takes nothing from who stays within their share.

/** Of the pages of a space: so many are inactive, once it is short, and so many fresh or on probation. */
const INACTIVE_PART = 1 / 16;
const FRESH_PART = 1 / 8;
/** Fresh pages that stay in the page tables: what is used some times at once is not used more than once for that. */
const FRESH_MAPPED = 64;
const INACTIVE_MIN = 16;
/** Left lately: one of the last that did, as many as the space has, and no more than so many. */
const LATELY_MAX = 65_536;
/** Evicted of one space before all are compared again. */
const BATCH = 16;

export type PageoutStep =
  /** Takes the page out of the page tables, and keeps its bytes. */
  | { readonly type: 'deactivate'; readonly space: bigint; readonly page: number }
  /** The frame of an inactive page is free; its bytes go where they are kept. */
  | { readonly type: 'evict'; readonly space: bigint; readonly page: number };

interface Queues {
  readonly active: Set<number>;
  readonly inactive: Set<number>;
  readonly fresh: Set<number>;
  readonly probation: Set<number>;
  /** How many pages of the space had left before it, of those that did lately. */
  readonly left: Map<number, number>;
  /** Pages that left so far. */
  leftCount: number;
}

const sizeOf = ({ active, inactive, fresh, probation }: Queues): number =>
  active.size + inactive.size + fresh.size + probation.size;

export class PageoutPolicy {
  private readonly spaces = new Map<bigint, Queues>();
  private readonly inactiveMax: number;
  private active = 0;
  private inactive = 0;

  /** @param inactiveMax pages that are inactive or on probation at most, in all spaces */
  constructor(inactiveMax: number) {
    this.inactiveMax = inactiveMax;
  }

  /** Those that are in page tables: active and fresh. */
  get activePages(): number {
    return this.active;
  }

  /** Those that are not: inactive and on probation. */
  get inactivePages(): number {
    return this.inactive;
  }

  /** Pages of a space that may be evicted. */
  pagesOf(space: bigint): number {
    const queues = this.spaces.get(space);
    return queues === undefined ? 0 : sizeOf(queues);
  }

  open(space: bigint): void {
    if (this.spaces.has(space)) return;
    const [active, inactive, fresh, probation] = [0, 1, 2, 3].map(() => new Set<number>());
    this.spaces.set(space, {
      ...{ active: active!, inactive: inactive!, fresh: fresh!, probation: probation! },
      ...{ left: new Map(), leftCount: 0 },
    });
  }

  /** The space is gone with all of its pages. */
  close(space: bigint): void {
    const queues = this.spaces.get(space);
    if (queues === undefined) return;
    this.active -= queues.active.size + queues.fresh.size;
    this.inactive -= queues.inactive.size + queues.probation.size;
    this.spaces.delete(space);
  }

  /** A page has a frame and is mapped: it came, or is used again. */
  came(space: bigint, page: number): void {
    const queues = this.spaces.get(space);
    if (queues === undefined || queues.active.has(page) || queues.fresh.has(page)) return;
    const isUsed = queues.inactive.delete(page) || queues.probation.delete(page);
    if (isUsed) this.inactive--;
    const isFresh = !isUsed && queues.leftCount > 0 && !leftLately(queues, page);
    (isFresh ? queues.fresh : queues.active).add(page);
    queues.left.delete(page);
    this.active++;
  }

  /** A page is gone, for another reason than this one. */
  gone(space: bigint, page: number): void {
    const queues = this.spaces.get(space);
    if (queues === undefined) return;
    if (queues.active.delete(page) || queues.fresh.delete(page)) this.active--;
    if (queues.inactive.delete(page) || queues.probation.delete(page)) this.inactive--;
  }

  isInactive(space: bigint, page: number): boolean {
    const queues = this.spaces.get(space);
    return queues?.inactive.has(page) === true || queues?.probation.has(page) === true;
  }

  /**
   * Frees frames.
   * @param overdraftOf what a space has of the node beyond its share
   * @param freshFirst what was there before will hardly leave: nobody takes it
   * @returns what to do, in this order: up to `want` pages are evicted, and fewer only where there are no more
   */
  reclaim(want: number, overdraftOf: (space: bigint) => number, freshFirst = false): PageoutStep[] {
    const steps: PageoutStep[] = [];
    const overdrafts = new Map<bigint, number>();
    for (const [space, queues] of this.spaces)
      if (sizeOf(queues) > 0) overdrafts.set(space, overdraftOf(space));
    for (let left = want; left > 0; ) {
      const space = largest(overdrafts);
      if (space === undefined) break;
      const evicted = this.evict(space, Math.min(left, BATCH), steps, freshFirst);
      left -= evicted;
      if (this.pagesOf(space) === 0) overdrafts.delete(space);
      else overdrafts.set(space, overdrafts.get(space)! - evicted);
    }
    return steps;
  }

  private evict(space: bigint, want: number, steps: PageoutStep[], freshFirst: boolean): number {
    const queues = this.spaces.get(space)!;
    const { active, inactive, fresh, probation } = queues;
    let evicted = 0;
    for (; evicted < want; evicted++) {
      const freshPages = fresh.size + probation.size;
      const main = active.size + inactive.size;
      if (freshPages + main === 0) break;
      const freshMost = freshFirst ? 0 : (freshPages + main) * FRESH_PART;
      const isFresh = freshPages > freshMost || main === 0;
      const [from, to] = isFresh ? [fresh, probation] : [active, inactive];
      // Those that are out of the page tables already had their second chance.
      if (to.size === 0) this.takeOut(space, { from, to, until: INACTIVE_MIN }, steps);
      const [page] = to;
      to.delete(page!);
      this.inactive--;
      leave(queues, page!);
      steps.push({ type: 'evict', space, page: page! });
    }
    this.deactivate(space, queues, steps);
    return evicted;
  }

  /** Frames run short soon: deactivates pages of the space with the largest overdraft, so that used ones have time to show. */
  age(overdraftOf: (space: bigint) => number): PageoutStep[] {
    const steps: PageoutStep[] = [];
    const overdrafts = new Map([...this.spaces.keys()].map((space) => [space, overdraftOf(space)]));
    const space = largest(overdrafts);
    if (space !== undefined) this.deactivate(space, this.spaces.get(space)!, steps);
    return steps;
  }

  private deactivate(space: bigint, queues: Queues, steps: PageoutStep[]): void {
    const { active, inactive, fresh, probation } = queues;
    const pages = sizeOf(queues);
    const mapped = Math.min(FRESH_MAPPED, Math.ceil((pages * FRESH_PART) / 2));
    const until = probation.size + Math.max(0, fresh.size - mapped);
    this.takeOut(space, { from: fresh, to: probation, until }, steps);
    const most = Math.max(INACTIVE_MIN, Math.ceil(pages * INACTIVE_PART));
    this.takeOut(space, { from: active, to: inactive, until: most }, steps);
  }

  // Out of the page tables, the oldest first; no more than may be, but one.
  private takeOut(
    space: bigint,
    { from, to, until }: { from: Set<number>; to: Set<number>; until: number },
    steps: PageoutStep[],
  ): void {
    for (const page of from) {
      if (to.size >= until || (this.inactive >= this.inactiveMax && to.size > 0)) return;
      from.delete(page);
      to.add(page);
      this.active--;
      this.inactive++;
      steps.push({ type: 'deactivate', space, page });
    }
  }
}

const latelyMax = (queues: Queues): number => Math.min(LATELY_MAX, Math.max(INACTIVE_MIN, sizeOf(queues)));

function leftLately(queues: Queues, page: number): boolean {
  const before = queues.left.get(page);
  return before !== undefined && queues.leftCount - before <= latelyMax(queues);
}

function leave(queues: Queues, page: number): void {
  const { left } = queues;
  left.delete(page);
  left.set(page, queues.leftCount++);
  for (const [oldest, before] of left) {
    if (queues.leftCount - before <= latelyMax(queues)) break;
    left.delete(oldest);
  }
}

function largest(overdrafts: ReadonlyMap<bigint, number>): bigint | undefined {
  let found: bigint | undefined;
  let most = Number.NEGATIVE_INFINITY;
  for (const [space, overdraft] of overdrafts) {
    if (overdraft <= most) continue;
    found = space;
    most = overdraft;
  }
  return found;
}
