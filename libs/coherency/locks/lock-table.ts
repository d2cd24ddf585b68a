// The locks of one dataspace that are held, by all owners. Its caller asks `conflict` before it sets.
import { IntervalTree } from './interval-tree.ts';
import { earlierOf, type LockMode, type LockRange, laterOf, modesConflict } from './lock-mode.ts';
import { type HeldRange, OwnedRanges } from './owned-ranges.ts';

const NO_RANGES: readonly HeldRange[] = [];

export class LockTable {
  /** By mode, because most questions are about one of them: a reader only minds those who exclude it. */
  readonly shared = new IntervalTree<HeldRange>();
  readonly excluding = new IntervalTree<HeldRange>();
  /** Also those that hold nothing now: who locks and unlocks by turns would fill the map with graves of one key. */
  private readonly owners = new Map<bigint, OwnedRanges>();
  private lastOrder = 0;

  get count(): number {
    return this.shared.size + this.excluding.size;
  }

  rangesOf(owner: bigint): Iterable<HeldRange> {
    return this.owners.get(owner) ?? NO_RANGES;
  }

  countOf(owner: bigint): number {
    return this.owners.get(owner)?.count ?? 0;
  }

  /** A range of another owner that the request may not be held beside. */
  conflict(request: LockRange): HeldRange | undefined {
    const { begin, end, mode, owner } = request;
    const isOther = (range: HeldRange) => range.owner !== owner;
    const excluder = this.excluding.first(begin, end, isOther);
    if (excluder !== undefined || mode === 'SHARED') return excluder;
    return this.shared.first(begin, end, isOther);
  }

  /** True where this owner holds something that stands against the request. */
  conflictsWith(owner: bigint, request: LockRange): boolean {
    const stands = (range: HeldRange) => modesConflict(range.mode, request.mode);
    return this.owners.get(owner)?.first(request.begin, request.end, stands) !== undefined;
  }

  /** The parts of a range that its owner does not hold in any mode. */
  gaps({ owner, begin, end }: LockRange): { begin: bigint; end: bigint }[] {
    return this.owners.get(owner)?.gaps(begin, end) ?? [{ begin, end }];
  }

  /** Gives the owner the range in this mode. Returns what it held more strongly before: others may share it now. */
  set({ owner, begin, end, mode }: LockRange): { begin: bigint; end: bigint }[] {
    let owned = this.owners.get(owner);
    if (owned === undefined) {
      owned = new OwnedRanges(owner, () => ++this.lastOrder);
      this.owners.set(owner, owned);
    }
    const removed = this.apply(owned.set(begin, end, mode));
    return removed.filter((r) => mode === 'SHARED' && r.mode !== 'SHARED').map((r) => clip(r, begin, end));
  }

  /** Takes a range from the owner. Returns the parts of it that it held. */
  clear(owner: bigint, begin: bigint, end: bigint): { begin: bigint; end: bigint }[] {
    const owned = this.owners.get(owner);
    if (owned === undefined) return [];
    const removed = this.apply(owned.clear(begin, end));
    return removed.map((range) => clip(range, begin, end));
  }

  /** The same of all that it holds; nothing of the owner stays. */
  clearAll(owner: bigint): { begin: bigint; end: bigint }[] {
    const ranges = [...this.rangesOf(owner)];
    for (const range of ranges) this.treeOf(range.mode).delete(range);
    this.owners.delete(owner);
    return ranges;
  }

  treeOf(mode: LockMode): IntervalTree<HeldRange> {
    return mode === 'SHARED' ? this.shared : this.excluding;
  }

  private apply(change: { removed: HeldRange[]; added: HeldRange[] }): HeldRange[] {
    for (const range of change.removed) this.treeOf(range.mode).delete(range);
    for (const range of change.added) this.treeOf(range.mode).add(range);
    return change.removed;
  }
}

function clip(range: HeldRange, begin: bigint, end: bigint): { begin: bigint; end: bigint } {
  return { begin: laterOf(range.begin, begin), end: earlierOf(range.end, end) };
}
