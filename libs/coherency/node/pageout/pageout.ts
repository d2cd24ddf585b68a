// Which pages leave the memory of a node when frames run short: a pure policy, which moves nothing itself.
//
//   came --> active (tail) ... active (head) --deactivate--> inactive (tail) ... inactive (head) --evict--> gone
//              ^                                                |
//              +--------------- fault: a second chance ---------+
//
// A page that is deactivated is taken out of the page tables, so that the next access is a fault, and keeps its bytes. Nobody
// sees the accesses to an active page; a fault on an inactive one is the sample that says that it is used. So what is
// used comes back before it reaches the head, for the price of a fault, and what is not used leaves.
//
// Whose pages: of the space with the largest overdraft, what it has of the node beyond its share. Its own pages only
// compete with each other, so who walks through more memory than there is takes nothing from who stays within their share.

/** Of the pages of a space: so many are inactive, once it is short. */
const INACTIVE_PART = 1 / 4;
const INACTIVE_MIN = 16;
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
}

export class PageoutPolicy {
  private readonly spaces = new Map<bigint, Queues>();
  private readonly inactiveMax: number;
  private active = 0;
  private inactive = 0;

  /** @param inactiveMax pages that are inactive at most, in all spaces */
  constructor(inactiveMax: number) {
    this.inactiveMax = inactiveMax;
  }

  get activePages(): number {
    return this.active;
  }

  get inactivePages(): number {
    return this.inactive;
  }

  /** Pages of a space that may be evicted. */
  pagesOf(space: bigint): number {
    const queues = this.spaces.get(space);
    return queues === undefined ? 0 : queues.active.size + queues.inactive.size;
  }

  open(space: bigint): void {
    if (!this.spaces.has(space)) this.spaces.set(space, { active: new Set(), inactive: new Set() });
  }

  /** The space is gone with all of its pages. */
  close(space: bigint): void {
    const queues = this.spaces.get(space);
    if (queues === undefined) return;
    this.active -= queues.active.size;
    this.inactive -= queues.inactive.size;
    this.spaces.delete(space);
  }

  /** A page has a frame and is mapped: it came, or is used again. */
  came(space: bigint, page: number): void {
    const queues = this.spaces.get(space);
    if (queues === undefined) return;
    if (queues.inactive.delete(page)) this.inactive--;
    if (queues.active.has(page)) return;
    queues.active.add(page);
    this.active++;
  }

  /** A page is gone, for another reason than this one. */
  gone(space: bigint, page: number): void {
    const queues = this.spaces.get(space);
    if (queues?.active.delete(page)) this.active--;
    if (queues?.inactive.delete(page)) this.inactive--;
  }

  isInactive(space: bigint, page: number): boolean {
    return this.spaces.get(space)?.inactive.has(page) === true;
  }

  /**
   * Frees frames.
   * @param overdraftOf what a space has of the node beyond its share
   * @returns what to do, in this order: up to `want` pages are evicted, and fewer only where there are no more
   */
  reclaim(want: number, overdraftOf: (space: bigint) => number): PageoutStep[] {
    const steps: PageoutStep[] = [];
    const overdrafts = new Map<bigint, number>();
    for (const [space, { active, inactive }] of this.spaces)
      if (active.size + inactive.size > 0) overdrafts.set(space, overdraftOf(space));
    for (let left = want; left > 0; ) {
      const space = largest(overdrafts);
      if (space === undefined) break;
      const evicted = this.evict(space, Math.min(left, BATCH), steps);
      left -= evicted;
      if (this.pagesOf(space) === 0) overdrafts.delete(space);
      else overdrafts.set(space, overdrafts.get(space)! - evicted);
    }
    return steps;
  }

  private evict(space: bigint, want: number, steps: PageoutStep[]): number {
    const queues = this.spaces.get(space)!;
    let evicted = 0;
    while (evicted < want && this.pagesOf(space) > 0) {
      // Those that are inactive already had their second chance.
      if (queues.inactive.size === 0) this.deactivate(space, queues, steps);
      for (const page of queues.inactive) {
        if (evicted === want) break;
        queues.inactive.delete(page);
        this.inactive--;
        steps.push({ type: 'evict', space, page });
        evicted++;
      }
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

  private deactivate(space: bigint, { active, inactive }: Queues, steps: PageoutStep[]): void {
    const part = Math.ceil((active.size + inactive.size) * INACTIVE_PART);
    const target = Math.max(INACTIVE_MIN, part);
    for (const page of active) {
      if (inactive.size >= target || (this.inactive >= this.inactiveMax && inactive.size > 0)) return;
      active.delete(page);
      inactive.add(page);
      this.active--;
      this.inactive++;
      steps.push({ type: 'deactivate', space, page });
    }
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
