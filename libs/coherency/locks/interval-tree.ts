// Intervals of bytes [begin, end], end inclusive, that may overlap, sorted by begin and then by order.
//
// A B-tree. An entry of a node is an interval or a node below, and the node knows of each what a search needs to
// leave it out: where it begins, how far it reaches, and the least and greatest order in it. Those stand in arrays of
// numbers, so that a search reads few lines of memory: in a large tree that is what it costs. Offsets have 64 bits,
// numbers 53; but rounding never turns two numbers round, so what rounded numbers rule out is out, and the intervals
// themselves are asked about the rest.

export interface Interval {
  readonly begin: bigint;
  readonly end: bigint;
  /** Unique among the intervals of a tree; who came first has the lower one. */
  readonly order: number;
}

/** Orders that a search takes: those between the two, both left out. */
export interface OrderWindow {
  after: number;
  before: number;
}

export const ANY_ORDER: OrderWindow = { after: Number.NEGATIVE_INFINITY, before: Number.POSITIVE_INFINITY };

const ENTRIES_MAX = 64;

export interface IntervalNode<T extends Interval> {
  /** Of a leaf undefined: its entries are the intervals in `firsts`. */
  readonly below: IntervalNode<T>[] | undefined;
  /** Of each entry its first interval, and what bounds all of them. */
  readonly firsts: T[];
  readonly begins: number[];
  readonly ends: number[];
  readonly ordersMin: number[];
  /** Of a leaf the same array. */
  readonly ordersMax: number[];
}

export class IntervalTree<T extends Interval> {
  private top: IntervalNode<T> = newNode(true);
  private count = 0;

  get size(): number {
    return this.count;
  }

  get root(): IntervalNode<T> {
    return this.top;
  }

  add(item: T): void {
    const right = insert(this.top, item);
    this.count++;
    if (right === undefined) return;
    const left = this.top;
    this.top = newNode(false);
    putNode(this.top, 0, left);
    putNode(this.top, 1, right);
  }

  delete(item: T): void {
    remove(this.top, item);
    this.count--;
    while (this.top.below?.length === 1) this.top = this.top.below[0]!;
  }

  /** The first interval by begin that shares a byte with [begin, end] and is accepted. */
  first(begin: bigint, end: bigint, accept: (item: T) => boolean = () => true): T | undefined {
    if (this.count === 0) return undefined;
    return firstOf(this.top, { begin, end, from: Number(begin), to: Number(end), accept });
  }

  /** Of those that share a byte with [begin, end], have a lower order and are accepted, the one that came last. */
  latest(begin: bigint, end: bigint, before: number, accept: (item: T) => boolean): T | undefined {
    if (this.count === 0) return undefined;
    const query = { begin, end, from: Number(begin), to: Number(end), accept };
    return latestOf(this.top, query, before, undefined);
  }

  /** All that share a byte with [begin, end], by begin. */
  overlapping(begin: bigint, end: bigint): T[] {
    const found: T[] = [];
    this.first(begin, end, (item) => {
      found.push(item);
      return false;
    });
    return found;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return itemsOf(this.top);
  }
}

/** What shares a byte with [begin, end]; `from` and `to` are these as numbers. */
interface Query<T> {
  begin: bigint;
  end: bigint;
  from: number;
  to: number;
  accept: (item: T) => boolean;
}

function newNode<T extends Interval>(isLeaf: boolean): IntervalNode<T> {
  const ordersMin: number[] = [];
  const numbers = { begins: [], ends: [], ordersMin, ordersMax: isLeaf ? ordersMin : [] };
  return { below: isLeaf ? undefined : [], firsts: [], ...numbers };
}

function isBefore(a: Interval, b: Interval): boolean {
  return a.begin < b.begin || (a.begin === b.begin && a.order < b.order);
}

/** The last entry that begins with the item or before it; -1: all begin after it. */
function entryAt<T extends Interval>(node: IntervalNode<T>, item: T): number {
  const begin = Number(item.begin);
  let low = -1;
  let high = node.firsts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const there = node.begins[middle]!;
    const isAfter = there > begin || (there === begin && isBefore(item, node.firsts[middle]!));
    if (isAfter) high = middle;
    else low = middle;
  }
  return low;
}

function insertAt<V>(array: V[], index: number, value: V): void {
  array.push(value);
  for (let i = array.length - 1; i > index; i--) array[i] = array[i - 1]!;
  array[index] = value;
}

function removeAt<V>(array: V[], index: number): void {
  for (let i = index + 1; i < array.length; i++) array[i - 1] = array[i]!;
  array.pop();
}

function numbersOf({ below, begins, ends, ordersMin, ordersMax }: IntervalNode<Interval>): number[][] {
  return below === undefined ? [begins, ends, ordersMin] : [begins, ends, ordersMin, ordersMax];
}

function putItem<T extends Interval>(leaf: IntervalNode<T>, index: number, item: T): void {
  insertAt(leaf.firsts, index, item);
  insertAt(leaf.begins, index, Number(item.begin));
  insertAt(leaf.ends, index, Number(item.end));
  insertAt(leaf.ordersMin, index, item.order);
}

function putNode<T extends Interval>(node: IntervalNode<T>, index: number, child: IntervalNode<T>): void {
  insertAt(node.below!, index, child);
  insertAt(node.firsts, index, child.firsts[0]!);
  for (const numbers of numbersOf(node)) insertAt(numbers, index, 0);
  summarize(node, index);
}

function drop<T extends Interval>(node: IntervalNode<T>, index: number): void {
  if (node.below !== undefined) removeAt(node.below, index);
  removeAt(node.firsts, index);
  for (const numbers of numbersOf(node)) removeAt(numbers, index);
}

/** The node below an entry changed. */
function summarize<T extends Interval>(node: IntervalNode<T>, index: number): void {
  const child = node.below![index]!;
  let end = child.ends[0]!;
  let least = child.ordersMin[0]!;
  let most = child.ordersMax[0]!;
  for (let i = 1; i < child.ends.length; i++) {
    if (child.ends[i]! > end) end = child.ends[i]!;
    if (child.ordersMin[i]! < least) least = child.ordersMin[i]!;
    if (child.ordersMax[i]! > most) most = child.ordersMax[i]!;
  }
  node.firsts[index] = child.firsts[0]!;
  node.begins[index] = child.begins[0]!;
  node.ends[index] = end;
  node.ordersMin[index] = least;
  node.ordersMax[index] = most;
}

/** An interval came into the node below an entry. */
function widen<T extends Interval>(node: IntervalNode<T>, index: number, item: T): void {
  const child = node.below![index]!;
  node.firsts[index] = child.firsts[0]!;
  node.begins[index] = child.begins[0]!;
  node.ends[index] = Math.max(node.ends[index]!, Number(item.end));
  node.ordersMin[index] = Math.min(node.ordersMin[index]!, item.order);
  node.ordersMax[index] = Math.max(node.ordersMax[index]!, item.order);
}

/** True where the interval may be the one that an entry's bounds come from. */
function bounds<T extends Interval>(node: IntervalNode<T>, index: number, item: T): boolean {
  const { order } = item;
  const isOuter = node.firsts[index] === item || node.ends[index]! <= Number(item.end);
  return isOuter || node.ordersMin[index] === order || node.ordersMax[index] === order;
}

/** Returns the right half of the node where it became too large. */
function insert<T extends Interval>(node: IntervalNode<T>, item: T): IntervalNode<T> | undefined {
  const at = entryAt(node, item);
  if (node.below === undefined) putItem(node, at + 1, item);
  else {
    const index = Math.max(at, 0);
    const right = insert(node.below[index]!, item);
    if (right === undefined) widen(node, index, item);
    else {
      summarize(node, index);
      putNode(node, index + 1, right);
    }
  }
  return node.firsts.length > ENTRIES_MAX ? split(node) : undefined;
}

function split<T extends Interval>(node: IntervalNode<T>): IntervalNode<T> {
  const half = node.firsts.length >> 1;
  const right = newNode<T>(node.below === undefined);
  right.below?.push(...node.below!.splice(half));
  right.firsts.push(...node.firsts.splice(half));
  const into = numbersOf(right);
  numbersOf(node).forEach((numbers, i) => {
    into[i]!.push(...numbers.splice(half));
  });
  return right;
}

function remove<T extends Interval>(node: IntervalNode<T>, item: T): void {
  const at = entryAt(node, item);
  if (node.below === undefined) {
    if (node.firsts[at] !== item) throw new Error(`no interval ${item.begin} to ${item.end} in the tree`);
    drop(node, at);
    return;
  }
  const child = node.below[at]!;
  remove(child, item);
  if (child.firsts.length === 0) drop(node, at);
  else {
    if (bounds(node, at, item)) summarize(node, at);
    joinWithNext(node, Math.max(at - 1, 0));
  }
}

/** Two neighbours that are half empty together become one. */
function joinWithNext<T extends Interval>(node: IntervalNode<T>, index: number): void {
  const left = node.below![index]!;
  const right = node.below![index + 1];
  if (right === undefined || left.firsts.length + right.firsts.length > ENTRIES_MAX / 2) return;
  left.below?.push(...right.below!);
  left.firsts.push(...right.firsts);
  const from = numbersOf(right);
  numbersOf(left).forEach((numbers, i) => {
    numbers.push(...from[i]!);
  });
  drop(node, index + 1);
  summarize(node, index);
}

function firstOf<T extends Interval>(node: IntervalNode<T>, query: Query<T>): T | undefined {
  const { begins, ends, below } = node;
  const { from, to } = query;
  for (let i = 0; i < begins.length && begins[i]! <= to; i++) {
    if (ends[i]! < from) continue;
    const found = below === undefined ? match(node.firsts[i]!, query) : firstOf(below[i]!, query);
    if (found !== undefined) return found;
  }
  return undefined;
}

function match<T extends Interval>(item: T, { begin, end, accept }: Query<T>): T | undefined {
  return item.begin <= end && item.end >= begin && accept(item) ? item : undefined;
}

// What came wholly before the best so far has no better one; the later ones among equals stand on the right.
function latestOf<T extends Interval>(
  node: IntervalNode<T>,
  query: Query<T>,
  before: number,
  best: T | undefined,
): T | undefined {
  const { begins, ends, ordersMin, ordersMax, below } = node;
  let found = best;
  for (let i = begins.length - 1; i >= 0; i--) {
    if (begins[i]! > query.to || ends[i]! < query.from || ordersMin[i]! >= before) continue;
    if (found !== undefined && ordersMax[i]! <= found.order) continue;
    if (below === undefined) found = match(node.firsts[i]!, query) ?? found;
    else found = latestOf(below[i]!, query, before, found);
  }
  return found;
}

function* itemsOf<T extends Interval>(node: IntervalNode<T>): IterableIterator<T> {
  if (node.below === undefined) yield* node.firsts;
  else for (const child of node.below) yield* itemsOf(child);
}
