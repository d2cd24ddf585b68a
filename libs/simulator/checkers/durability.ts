// What a sync acknowledged can be read back, whatever happened to one of the two copies; and a page that was lost begins
// anew with what was acknowledged last, or with something later.

import { type DurableStore, recover } from '../stores/durable-store.ts';
import { check } from '../violation.ts';
import type { LatestValueChecker } from './latest-value.ts';

/** Writes that were lost, by their numbers: from the first to the last. */
type Lost = [number, number];

export class DurabilityChecker {
  syncs = 0;
  /** How often a page began anew. */
  restored = 0;
  private readonly latest: LatestValueChecker;
  private readonly stores: readonly { readonly store: DurableStore }[];
  private readonly synced: number[];
  private readonly lost: Lost[][];

  constructor(pages: number, stores: DurabilityChecker['stores'], latest: LatestValueChecker) {
    this.stores = stores;
    this.latest = latest;
    this.synced = new Array(pages).fill(0);
    this.lost = Array.from({ length: pages }, () => []);
  }

  acknowledged(page: number, value: number): void {
    this.syncs++;
    this.synced[page] = Math.max(this.synced[page]!, value);
    const lost = this.lost[page]!.some(([first, last]) => first <= value && value <= last);
    check(!lost, 'durability', page, () => {
      return `page ${page} is synced at write ${value}, but was lost and began anew without it`;
    });
    this.verify(page);
  }

  /** A lost page shows what the store keeps. */
  beginsAnew(page: number, value: number): void {
    this.restored++;
    const synced = this.synced[page]!;
    check(value >= synced, 'durability', page, () => {
      return `page ${page} was synced at write ${synced}, and begins anew at write ${value}`;
    });
    // What comes back after all, because it reached the store late, brings all that was before it back.
    const lost = this.lost[page]!.filter(([first]) => first <= value).map(([first, last]): Lost => {
      return last < value ? [first, last] : [value + 1, last];
    });
    this.lost[page] = [...lost, [value + 1, this.latest.highest(page)]];
  }

  /** What is promised of a page: the write at which it was synced last. */
  promised(page: number): number {
    return this.synced[page]!;
  }

  /** A lost page is not in the store. @param promised when it was looked for */
  neverStored(page: number, promised: number): void {
    check(promised === 0, 'durability', page, () => {
      return `page ${page} was synced at write ${promised}, and is not found in the store`;
    });
  }

  verifyAll(): void {
    for (let page = 0; page < this.synced.length; page++) this.verify(page);
  }

  private verify(page: number): void {
    const copies = this.stores.map((s) => s.store);
    const found = recover(copies, page);
    const synced = this.synced[page]!;
    const written = this.latest.highest(page);
    check((found?.value ?? 0) >= synced && (found?.value ?? 0) <= written, 'durability', page, () => {
      return `page ${page} was synced at write ${synced}, the store has ${found?.value ?? 'nothing'}`;
    });
  }
}
