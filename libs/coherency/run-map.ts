// What is known of the pages of a dataspace: an entry for each run of pages of which the same is known, as CCMS keeps
// ranges in a tree. A run is cut where a part of it is to be changed, and joined with its neighbours when they are alike
// again: so what happens to a run costs by the run. Pages that no entry has are as nobody ever asked for them.
//
// Entries stand in order in leaves of bounded size: finding one takes two binary searches, cutting one moves one leaf.
import assert from 'node:assert/strict';
import type { PageSpan } from './page.ts';

const LEAF_MAX = 256;

export interface RunEntry<E> extends PageSpan {
  /** The same for other pages. */
  copy(firstPage: number, pageCount: number): E;
  /** True where the same is known of both, so that they may be one. */
  isLike(other: E): boolean;
}

/** Pages of one entry, or of none. */
export interface Piece<E> extends PageSpan {
  entry: E | undefined;
}

export const endOf = ({ firstPage, pageCount }: PageSpan): number => firstPage + pageCount;

export class RunMap<E extends RunEntry<E>> {
  private readonly leaves: E[][] = [];
  private entryCount = 0;
  private readonly onCut: ((from: E, to: E) => void) | undefined;

  /** @param onCut an entry is cut: `to` has its last pages from now on */
  constructor(onCut?: (from: E, to: E) => void) {
    this.onCut = onCut;
  }

  /** Entries, not pages. */
  get size(): number {
    return this.entryCount;
  }

  /** The entry that a page is in. */
  get(page: number): E | undefined {
    const leaf = this.leaves[this.leafOf(page)];
    if (leaf === undefined) return undefined;
    const entry = leaf[placeIn(leaf, page)];
    return entry !== undefined && page < endOf(entry) ? entry : undefined;
  }

  /** All entries, in order. None may be cut, put or joined meanwhile. */
  *[Symbol.iterator](): Generator<E> {
    for (const leaf of this.leaves) yield* leaf;
  }

  /** A span in pieces: what one entry has of it, and what none has. Nothing is cut. */
  pieces(firstPage: number, pageCount: number): Piece<E>[] {
    if (pageCount <= 0) return [];
    const only = this.get(firstPage);
    const end = firstPage + pageCount;
    // Most spans are of one entry.
    if (only !== undefined && end <= endOf(only)) return [{ firstPage, pageCount, entry: only }];
    const pieces: Piece<E>[] = [];
    let next = firstPage;
    for (const entry of this.from(firstPage)) {
      if (entry.firstPage >= end) break;
      if (entry.firstPage > next)
        pieces.push({ firstPage: next, pageCount: entry.firstPage - next, entry: undefined });
      const begin = Math.max(next, entry.firstPage);
      next = Math.min(end, endOf(entry));
      pieces.push({ firstPage: begin, pageCount: next - begin, entry });
    }
    if (next < end) pieces.push({ firstPage: next, pageCount: end - next, entry: undefined });
    return pieces;
  }

  /** Entries that end after a page, in order. None may be cut, put or joined meanwhile. */
  *from(page: number): Generator<E> {
    let at = this.leafOf(page);
    const first = this.leaves[at];
    if (first === undefined) return;
    let place = placeIn(first, page);
    if (place < 0 || endOf(first[place]!) <= page) place++;
    for (; at < this.leaves.length; at++, place = 0) {
      const leaf = this.leaves[at]!;
      for (; place < leaf.length; place++) yield leaf[place]!;
    }
  }

  /**
   * The entry of exactly these pages: cut out of the one that has them all, or made where none has any of them.
   * @param make where it is missing, one that is known must have the pages
   */
  cut(firstPage: number, pageCount: number, make?: (firstPage: number, pageCount: number) => E): E {
    const entry = this.get(firstPage);
    if (entry === undefined) {
      assert(make !== undefined, `no entry has page ${firstPage}`);
      const made = make(firstPage, pageCount);
      this.put(made);
      return made;
    }
    const end = firstPage + pageCount;
    assert(end <= endOf(entry), `pages from ${firstPage} to ${end} are not of one entry`);
    if (end < endOf(entry)) this.cutAt(entry, end);
    return firstPage > entry.firstPage ? this.cutAt(entry, firstPage) : entry;
  }

  private cutAt(entry: E, page: number): E {
    const rest = entry.copy(page, endOf(entry) - page);
    entry.pageCount = page - entry.firstPage;
    this.put(rest);
    this.onCut?.(entry, rest);
    return rest;
  }

  /** Adds an entry for pages that no other one has. */
  put(entry: E): void {
    const at = this.leafOf(entry.firstPage);
    const leaf = this.leaves[at];
    this.entryCount++;
    if (leaf === undefined) {
      this.leaves.push([entry]);
      return;
    }
    const place = placeIn(leaf, entry.firstPage) + 1;
    if (leaf.length < LEAF_MAX) leaf.splice(place, 0, entry);
    // What comes in order fills its leaves.
    else if (place === LEAF_MAX) this.leaves.splice(at + 1, 0, [entry]);
    else {
      const [less, more] = [leaf.slice(0, LEAF_MAX / 2), leaf.slice(LEAF_MAX / 2)];
      if (place <= less.length) less.splice(place, 0, entry);
      else more.splice(place - less.length, 0, entry);
      this.leaves.splice(at, 1, less, more);
    }
  }

  /** Takes the entries of a span out, cut at its ends. */
  take(firstPage: number, pageCount: number): E[] {
    const taken: E[] = [];
    for (const piece of this.pieces(firstPage, pageCount)) {
      if (piece.entry === undefined) continue;
      const entry = this.cut(piece.firstPage, piece.pageCount);
      taken.push(entry);
      this.remove(entry);
    }
    return taken;
  }

  private remove(entry: E): void {
    const at = this.leafOf(entry.firstPage);
    const leaf = this.leaves[at]!;
    const place = placeIn(leaf, entry.firstPage);
    assert(leaf[place] === entry, 'an entry that is removed is here');
    leaf.splice(place, 1);
    this.entryCount--;
    if (leaf.length === 0) this.leaves.splice(at, 1);
  }

  /** Makes one of neighbours that are alike, in a span and at its ends. */
  join(firstPage: number, pageCount: number): void {
    const end = firstPage + pageCount;
    const only = this.get(firstPage);
    // Most spans are of one entry, and its neighbours are not like it.
    if (only !== undefined && end <= endOf(only) && !this.hasTwin(only)) return;
    let last = firstPage > 0 ? this.get(firstPage - 1) : undefined;
    const gone: { into: E; entry: E }[] = [];
    let next = last === undefined ? -1 : endOf(last);
    for (const entry of this.from(firstPage)) {
      if (entry.firstPage > end) break;
      if (entry === last) continue;
      if (last !== undefined && next === entry.firstPage && last.isLike(entry))
        gone.push({ into: last, entry });
      else last = entry;
      next = endOf(entry);
    }
    for (const { into, entry } of gone) {
      this.remove(entry);
      into.pageCount += entry.pageCount;
    }
  }

  private hasTwin(entry: E): boolean {
    const before = entry.firstPage > 0 ? this.get(entry.firstPage - 1) : undefined;
    return before?.isLike(entry) === true || this.get(endOf(entry))?.isLike(entry) === true;
  }

  /** Makes one of all neighbours that are alike. */
  joinAll(): void {
    const entries = [...this];
    this.clear();
    let last: E | undefined;
    for (const entry of entries) {
      if (last !== undefined && endOf(last) === entry.firstPage && last.isLike(entry))
        last.pageCount += entry.pageCount;
      else {
        this.append(entry);
        last = entry;
      }
    }
  }

  private append(entry: E): void {
    const leaf = this.leaves.at(-1);
    this.entryCount++;
    if (leaf === undefined || leaf.length >= LEAF_MAX) this.leaves.push([entry]);
    else leaf.push(entry);
  }

  clear(): void {
    this.leaves.length = 0;
    this.entryCount = 0;
  }

  // The last leaf that begins at a page or before it; the first one, where none does.
  private leafOf(page: number): number {
    let low = 0;
    let high = this.leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.leaves[middle]![0]!.firstPage <= page) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

// The place of the last entry that begins at a page or before it; -1: none does.
function placeIn<E extends PageSpan>(leaf: readonly E[], page: number): number {
  let low = -1;
  let high = leaf.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (leaf[middle]!.firstPage <= page) low = middle;
    else high = middle - 1;
  }
  return low;
}
