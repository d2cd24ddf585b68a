// What one owner has locked of one dataspace: ranges that do not overlap, each in one mode; neighbours in the same
// mode are one range. Both sides of a lock keep it: the directory, and the node, which tells a new directory.
import { type Interval, IntervalTree } from './interval-tree.ts';
import { earlierOf, type LockMode, laterOf } from './lock-mode.ts';

export interface HeldRange extends Interval {
  readonly owner: bigint;
  readonly mode: LockMode;
}

/** Ranges that are no longer, and those that came in their place. */
export interface RangeChange {
  removed: HeldRange[];
  added: HeldRange[];
}

const NO_CHANGE: RangeChange = { removed: [], added: [] };

export class OwnedRanges {
  readonly owner: bigint;
  private readonly nextOrder: () => number;
  private readonly ranges = new IntervalTree<HeldRange>();

  /** @param nextOrder a number that no other range of the dataspace has */
  constructor(owner: bigint, nextOrder: () => number) {
    this.owner = owner;
    this.nextOrder = nextOrder;
  }

  get count(): number {
    return this.ranges.size;
  }

  /** Gives every byte of [begin, end] this mode, whatever it had. */
  set(begin: bigint, end: bigint, mode: LockMode): RangeChange {
    const near = this.ranges.overlapping(begin - 1n, end + 1n);
    const covers = (r: HeldRange) => r.mode === mode && r.begin <= begin && r.end >= end;
    if (near.some(covers)) return NO_CHANGE;
    const isChanged = (r: HeldRange) => r.mode === mode || (r.begin <= end && r.end >= begin);
    const removed = near.filter(isChanged);
    const merged = removed.filter((r) => r.mode === mode);
    const from = merged.reduce((least, r) => earlierOf(least, r.begin), begin);
    const to = merged.reduce((most, r) => laterOf(most, r.end), end);
    const rest = removed.filter((r) => r.mode !== mode).flatMap((r) => this.outside(r, begin, end));
    return this.replace(removed, [...rest, this.range(from, to, mode)]);
  }

  /** Takes the bytes [begin, end] away. */
  clear(begin: bigint, end: bigint): RangeChange {
    const removed = this.ranges.overlapping(begin, end);
    if (removed.length === 0) return NO_CHANGE;
    return this.replace(
      removed,
      removed.flatMap((r) => this.outside(r, begin, end)),
    );
  }

  /** The first range that shares a byte with [begin, end] and is accepted. */
  first(begin: bigint, end: bigint, accept: (range: HeldRange) => boolean): HeldRange | undefined {
    return this.ranges.first(begin, end, accept);
  }

  /** The parts of [begin, end] that are not held in any mode, from the left. */
  gaps(begin: bigint, end: bigint): { begin: bigint; end: bigint }[] {
    const gaps: { begin: bigint; end: bigint }[] = [];
    let from = begin;
    for (const range of this.ranges.overlapping(begin, end)) {
      if (range.begin > from) gaps.push({ begin: from, end: range.begin - 1n });
      from = range.end + 1n;
    }
    if (from <= end) gaps.push({ begin: from, end });
    return gaps;
  }

  [Symbol.iterator](): IterableIterator<HeldRange> {
    return this.ranges[Symbol.iterator]();
  }

  private range(begin: bigint, end: bigint, mode: LockMode): HeldRange {
    return { owner: this.owner, begin, end, mode, order: this.nextOrder() };
  }

  private outside(range: HeldRange, begin: bigint, end: bigint): HeldRange[] {
    const parts: HeldRange[] = [];
    if (range.begin < begin) parts.push(this.range(range.begin, begin - 1n, range.mode));
    if (range.end > end) parts.push(this.range(end + 1n, range.end, range.mode));
    return parts;
  }

  private replace(removed: HeldRange[], added: HeldRange[]): RangeChange {
    for (const range of removed) this.ranges.delete(range);
    for (const range of added) this.ranges.add(range);
    return { removed, added };
  }
}
