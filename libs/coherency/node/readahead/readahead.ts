// Which pages to ask for at a fault. Random access: the page, and up to 15 neighbours where they are
// free to have, as long as some of them are used. Sequential access: windows that double up to 2 MiB, and the next ones ahead of time,
// but no further than the run before this one went: who reads chunks does not get the chunks between. What is ahead is asked for by
// whole windows: a fault for each message that came would else ask for as little as that message had, and each word to the
// directory costs as much for a page as for five hundred.

import { BLOCK_PAGES } from '../../shard.ts';

const AROUND_PAGES = 16;
/** So many faults far from each other: neighbours are not worth asking for. */
const STRAY_FAULTS = 4;
/** One of so many stray faults asks for them all the same, to see whether that still holds. */
const STRAY_CHECK_EVERY = 32;
/** Neighbourhoods that are remembered. */
const AROUND_KEPT = 8;
const WINDOW_MAX_PAGES = BLOCK_PAGES;
/** How far ahead of the reader pages are asked for, in windows. */
const AHEAD_WINDOWS = 2;

export interface Wanted {
  firstPage: number;
  pageCount: number;
  neededPages: number;
}

/** A run that ends where a block of pages does is of one leader, and the next one begins with a block. */
function wholeWindows(from: number, to: number): number {
  const end = to - (to % BLOCK_PAGES);
  return end > from ? end : to;
}

/** The state of one reader or writer. */
export class Readahead {
  protected nextPage = -1;
  private window = 1;
  private aheadPage = 0;
  protected lastPage = -1;
  private strayFaults = 0;
  /** First pages of the last neighbourhoods that were asked for. */
  private arounds: number[] = [];
  private again = false;
  private runStart = 0;
  /** Pages that this run is expected to have, from the one before. */
  private expectedPages = Number.POSITIVE_INFINITY;
  /** What somebody said of how it will be touched. */
  advised: 'normal' | 'sequential' | 'random' = 'normal';

  /** Windows of all runs go on as if the last faults had been so; `random` asks for nothing but what is touched. */
  advise(how: Readahead['advised']): void {
    this.forget();
    this.advised = how;
  }

  /** What was seen so far says nothing of what comes. */
  forget(): void {
    [this.nextPage, this.window, this.aheadPage, this.lastPage, this.strayFaults] = [-1, 1, 0, -1, 0];
    [this.arounds, this.again, this.runStart] = [[], false, 0];
    this.expectedPages = Number.POSITIVE_INFINITY;
  }

  get sequential(): boolean {
    return this.window > 1;
  }

  /** How many pages may be mapped by one fault. */
  get mapPages(): number {
    return Math.max(AROUND_PAGES, this.window);
  }

  /** A fault at `page`: follows the access pattern. */
  access(page: number): void {
    // Also the first one is of a run.
    if (this.advised === 'sequential' && page !== this.nextPage) {
      this.forget();
      [this.window, this.aheadPage, this.runStart, this.lastPage] = [AROUND_PAGES, page, page, page];
      return;
    }
    // A page that comes back alone is one that others write: its neighbours are not what is wanted.
    this.again = page === this.lastPage;
    this.lastPage = page;
    if (page === this.nextPage || this.arounds.some((first) => page > first && page < first + AROUND_PAGES)) {
      this.strayFaults = 0;
    } else this.strayFaults++;
    if (page === this.nextPage) {
      this.window = Math.min(WINDOW_MAX_PAGES, Math.max(AROUND_PAGES, this.window * 2));
      if (page - this.runStart >= this.expectedPages) this.expectedPages = Number.POSITIVE_INFINITY;
      return;
    }
    const ranPages = this.nextPage - this.runStart;
    if (this.sequential) this.expectedPages = Math.max(AROUND_PAGES, ranPages);
    this.window = 1;
    this.aheadPage = page;
    this.runStart = page;
  }

  /**
   * What to ask for because of a fault at `page`. `endPage` bounds the mapping. `shared`: it is here already, to be read, and
   * now to be written; others have it too, and very likely what is around it.
   */
  wanted(page: number, endPage: number, shared = false): Wanted[] {
    if (this.advised === 'random') return [{ firstPage: page, pageCount: 1, neededPages: 1 }];
    if (!this.sequential) {
      if (shared) return [{ firstPage: page, pageCount: 1, neededPages: 1 }];
      // After a run of some length another one is likely.
      const pages = Number.isFinite(this.expectedPages)
        ? Math.min(this.expectedPages, WINDOW_MAX_PAGES)
        : AROUND_PAGES;
      const stray = this.strayFaults > STRAY_FAULTS && this.strayFaults % STRAY_CHECK_EVERY !== 0;
      const pageCount = this.again || stray ? 1 : Math.min(pages, endPage - page);
      if (pageCount > 1) this.arounds = [page, ...this.arounds.slice(0, AROUND_KEPT - 1)];
      return [{ firstPage: page, pageCount, neededPages: 1 }];
    }
    const from = Math.max(page, this.aheadPage);
    const wanted: Wanted[] = [{ firstPage: page, pageCount: 1, neededPages: 1 }];
    if (from - page > this.window * AHEAD_WINDOWS) return wanted;
    const horizon = Math.min(
      wholeWindows(from, page + this.window * (1 + AHEAD_WINDOWS)),
      this.runStart + this.expectedPages,
    );
    const to = Math.min(endPage, horizon);
    if (to > from) wanted.push({ firstPage: from, pageCount: to - from, neededPages: to - from });
    this.aheadPage = Math.max(this.aheadPage, to);
    return wanted;
  }

  /** Of what was wanted up to `endPage` there was room for the pages before `page`: the next fault asks for the others again. */
  cutShort(page: number, endPage: number): void {
    if (this.aheadPage === endPage) this.aheadPage = page;
  }

  /** So many pages from `page` were mapped. */
  mapped(page: number, pageCount: number): void {
    this.nextPage = page + pageCount;
  }
}
