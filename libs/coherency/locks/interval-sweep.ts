// Many searches in one tree that does not change meanwhile, each interval at most once: what a search of a graph
// needs whose edges are overlaps. A part of the tree that was seen whole is not entered again.
import type { Interval, IntervalNode, IntervalTree, OrderWindow } from './interval-tree.ts';

/** SEEN: never show it again. LATER: it may come again. STOP: end the search. */
export type Verdict = 'SEEN' | 'LATER' | 'STOP';

interface Visit<T> {
  begin: bigint;
  end: bigint;
  /** The same as numbers. */
  from: number;
  to: number;
  orders: OrderWindow;
  visitor: (item: T) => Verdict;
}

export class IntervalSweep<T extends Interval> {
  private readonly tree: IntervalTree<T>;
  /** Intervals, and nodes all of whose intervals are. */
  private readonly seen = new Set<T | IntervalNode<T>>();

  constructor(tree: IntervalTree<T>) {
    this.tree = tree;
  }

  /** Shows what shares a byte with [begin, end] and was not seen yet. False: it was stopped. */
  visit(begin: bigint, end: bigint, orders: OrderWindow, visitor: (item: T) => Verdict): boolean {
    if (this.tree.size === 0) return true;
    return this.walk(this.tree.root, { begin, end, from: Number(begin), to: Number(end), orders, visitor });
  }

  private walk(node: IntervalNode<T>, visit: Visit<T>): boolean {
    const { begins, ends, ordersMin, ordersMax, below } = node;
    const { from, to, orders } = visit;
    for (let i = 0; i < begins.length && begins[i]! <= to; i++) {
      if (ends[i]! < from || ordersMax[i]! <= orders.after || ordersMin[i]! >= orders.before) continue;
      const entry = below?.[i] ?? node.firsts[i]!;
      if (this.seen.has(entry)) continue;
      const goesOn = below === undefined ? this.show(node.firsts[i]!, visit) : this.walk(below[i]!, visit);
      if (!goesOn) return false;
    }
    const entries: readonly (T | IntervalNode<T>)[] = below ?? node.firsts;
    if (entries.every((entry) => this.seen.has(entry))) this.seen.add(node);
    return true;
  }

  private show(item: T, { begin, end, visitor }: Visit<T>): boolean {
    if (item.begin > end || item.end < begin) return true;
    const verdict = visitor(item);
    if (verdict === 'SEEN') this.seen.add(item);
    return verdict !== 'STOP';
  }
}
