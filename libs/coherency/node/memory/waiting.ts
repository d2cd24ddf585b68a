// Who waits for a page: faults of processes, and operations of the node itself. Whoever is taken off looks again, and
// waits once more if it is still too early.
import type { AccessMode } from '../../page.ts';
import type { Mapping } from './page-tables.ts';

/** An access that the page tables do not allow. */
export interface Fault<M extends Mapping> {
  readonly type: 'fault';
  readonly entry: M;
  readonly page: number;
  readonly write: boolean;
  /** When it happened, for whoever measures it; nothing here looks at it. */
  readonly atNs: bigint;
  /** Of the access, in its page; for whoever counts it. */
  readonly offset?: number | undefined;
}

/** Where a fault is served: with what is here, with a page from elsewhere, or with the right to write one that is here. */
export type FaultPlace = 'node' | 'remote' | 'upgrade';

export type Waiter<M extends Mapping> =
  | { readonly fault: Fault<M>; readonly place: FaultPlace; readonly mode: AccessMode }
  | { readonly fault: undefined; readonly operation: number; readonly mode: AccessMode };

/** Waiters on one page. */
export const PAGE_WAITERS_MAX = 10_000;

/** Of one dataspace. */
export class Waiting<M extends Mapping> {
  private readonly byPage = new Map<number, Waiter<M>[]>();

  /** Pages that somebody waits for. */
  get size(): number {
    return this.byPage.size;
  }

  /** Who waits. */
  get count(): number {
    let count = 0;
    for (const waiters of this.byPage.values()) count += waiters.length;
    return count;
  }

  *all(): Generator<Waiter<M>> {
    for (const waiters of this.byPage.values()) yield* waiters;
  }

  /** @returns false: too many wait for the page */
  add(page: number, waiter: Waiter<M>): boolean {
    const waiters = this.byPage.get(page);
    if (waiters === undefined) {
      this.byPage.set(page, [waiter]);
      return true;
    }
    if (waiters.some((other) => isSame(other, waiter))) return true;
    if (waiters.length >= PAGE_WAITERS_MAX) return false;
    waiters.push(waiter);
    return true;
  }

  /** Takes the waiters of a run off. */
  take(firstPage: number, pageCount: number): readonly Waiter<M>[] {
    if (this.byPage.size === 0) return [];
    if (pageCount === 1) return this.takePage(firstPage);
    if (pageCount <= this.byPage.size) {
      const taken: Waiter<M>[] = [];
      for (let i = 0; i < pageCount; i++) taken.push(...this.takePage(firstPage + i));
      return taken;
    }
    const pages = [...this.byPage.keys()].filter((page) => page >= firstPage && page < firstPage + pageCount);
    return pages.flatMap((page) => this.takePage(page));
  }

  private takePage(page: number): Waiter<M>[] {
    const waiters = this.byPage.get(page);
    if (waiters === undefined) return [];
    this.byPage.delete(page);
    return waiters;
  }
}

// One waiter a mapping is enough: what it maps wakes all threads that wait there.
function isSame<M extends Mapping>(a: Waiter<M>, b: Waiter<M>): boolean {
  if (a.mode !== b.mode) return false;
  if (a.fault !== undefined) return b.fault !== undefined && a.fault.entry === b.fault.entry;
  return b.fault === undefined && a.operation === b.operation;
}
