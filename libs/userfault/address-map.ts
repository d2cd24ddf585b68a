// Ranges of addresses that do not overlap, in order: what lies at an address is found by halving, since a fault asks.
import assert from 'node:assert/strict';

export interface AddressRange {
  readonly address: bigint;
  /** The first address behind it. */
  readonly end: bigint;
}

export class AddressMap<R extends AddressRange> {
  private readonly sorted: R[] = [];

  get size(): number {
    return this.sorted.length;
  }

  [Symbol.iterator](): IterableIterator<R> {
    return this.sorted.values();
  }

  /** What has this address. */
  find(address: bigint): R | undefined {
    const range = this.sorted[this.firstAfter(address)];
    return range !== undefined && range.address <= address ? range : undefined;
  }

  /** What begins behind this address, and is the nearest. */
  next(address: bigint): R | undefined {
    const at = this.firstAfter(address);
    const range = this.sorted[at];
    return range !== undefined && range.address <= address ? this.sorted[at + 1] : range;
  }

  /** All that have an address of [address, end), in order; a copy. */
  overlapping(address: bigint, end: bigint): R[] {
    if (end <= address) return [];
    const from = this.firstAfter(address);
    let to = from;
    while (to < this.sorted.length && this.sorted[to]!.address < end) to++;
    return this.sorted.slice(from, to);
  }

  /** Takes one that overlaps none of them, and is not empty. */
  add(range: R): void {
    assert(range.address < range.end, 'a range of addresses is empty');
    const at = this.firstAfter(range.address);
    const next = this.sorted[at];
    assert(next === undefined || range.end <= next.address, 'ranges of addresses overlap');
    this.sorted.splice(at, 0, range);
  }

  /** False where it is not among them. */
  remove(range: R): boolean {
    const at = this.firstAfter(range.address);
    if (this.sorted[at] !== range) return false;
    this.sorted.splice(at, 1);
    return true;
  }

  /** Index of the first that ends behind the address. */
  private firstAfter(address: bigint): number {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle]!.end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
