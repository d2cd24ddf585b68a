// Which pages to ask for at a fault. Random access: the page, and up to 15 neighbours where they are
// free to have, as long as some of them are used. Sequential access: windows that double up to 2 MiB, and the next ones ahead of time,
// but no further than the run before this one went: who reads chunks does not get the chunks between. What is ahead is asked for by
// whole windows: a fault for each message that came would else ask for as little as that message had, and each word to the
// directory costs as much for a page as for five hundred. For writing no more than WRITE_AHEAD_PAGES are: what is beyond the
// end of a run is somebody's who goes on to write it. Where pages go back and forth, runs are as long as they were
// (`known-runs.ts`).

import type { AccessMode } from '../../page.ts';
import { BLOCK_PAGES } from '../../shard.ts';
import { KNOWN_PAGES_MAX, KnownRuns } from './known-runs.ts';

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
const WRITE_AHEAD_PAGES = 128;

export interface Wanted {
  firstPage: number;
  pageCount: number;
  neededPages: number;
}

/** What is mapped: from a page up to another one. */
export interface Within {
  readonly firstPage: number;
  readonly endPage: number;
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
  /** Of runs that begin where pages go back and forth. */
  private readonly known = new KnownRuns();
  /** The first page after this run, which is known; 0: it is not. */
  private knownEnd = 0;
  /** From where on this run is looked at, a page a fault; -1: it is not. */
  private lookedFrom = -1;
  /** Of this run, where it began at a page that goes back and forth. */
  private contestedMode: AccessMode | undefined;
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
    [this.knownEnd, this.lookedFrom, this.contestedMode] = [0, -1, undefined];
    this.known.forget();
    this.expectedPages = Number.POSITIVE_INFINITY;
  }

  get sequential(): boolean {
    return this.window > 1 || this.knownEnd > this.runStart + 1;
  }

  /** It is looked at how far this run goes: a fault a page shows that. */
  get looking(): boolean {
    return this.lookedFrom >= 0;
  }

  /** The last fault is of no run, as far as is known. */
  get scattered(): boolean {
    const goesOn = this.sequential || (this.looking && this.lookedFrom !== this.lastPage);
    return !goesOn && this.advised === 'normal';
  }

  /** How many pages may be mapped by one fault. */
  get mapPages(): number {
    if (this.looking) return 1;
    if (this.knownEnd > 0) return Math.max(1, this.knownEnd - this.lastPage);
    return Math.max(AROUND_PAGES, this.window);
  }

  /** How many pages before that of the fault may be mapped with it. */
  get mapBefore(): number {
    return 0;
  }

  /**
   * A fault at `page`: follows the access pattern. `contested`: it goes back and forth between this node and others; there runs
   * that are read and runs that are written do not go on in each other.
   */
  access(page: number, contested = false, write = false): void {
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
    if (this.goesOnKnown(page, write)) return;
    if ((page !== this.nextPage || this.ofOtherMode(write)) && contested && this.advised === 'normal') {
      this.beginContested(page, write);
      return;
    }
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
    [this.knownEnd, this.lookedFrom, this.contestedMode] = [0, -1, undefined];
  }

  private beginContested(page: number, write: boolean): void {
    this.contestedMode = write ? 'WRITE' : 'READ';
    const pages = this.known.visit(page, this.contestedMode);
    [this.window, this.runStart, this.aheadPage] = [1, page, page];
    [this.knownEnd, this.lookedFrom] = [0, -1];
    if (pages === undefined) {
      this.lookedFrom = page;
      this.known.saw(page, this.contestedMode, 1);
    } else if (pages <= KNOWN_PAGES_MAX) this.knownEnd = page + pages;
    else [this.window, this.expectedPages] = [KNOWN_PAGES_MAX, Number.POSITIVE_INFINITY];
  }

  /** True where the run is known or looked at, and the page is of it. */
  private goesOnKnown(page: number, write: boolean): boolean {
    if (this.ofOtherMode(write)) return false;
    if (page < this.knownEnd && page > this.runStart) return true;
    const goesOn = page === this.nextPage && (this.knownEnd > 0 || this.looking);
    if (goesOn) {
      const pages = page + 1 - this.runStart;
      this.known.saw(this.runStart, this.contestedMode!, pages);
      if (pages <= KNOWN_PAGES_MAX) {
        // It goes on where it ended before.
        if (!this.looking) this.lookedFrom = page;
        this.knownEnd = 0;
        return true;
      }
    }
    [this.knownEnd, this.lookedFrom, this.contestedMode] = [0, -1, undefined];
    return false;
  }

  protected ofOtherMode(write: boolean): boolean {
    return this.contestedMode !== undefined && (this.contestedMode === 'WRITE') !== write;
  }

  /**
   * What to ask for because of a fault at `page`, `within` what is mapped. `shared`: it is here already, to be read, and
   * now to be written; others have it too, and very likely what is around it. The first of it begins with the page, and
   * what is needed of that is asked for together.
   */
  wanted(page: number, within: Within, shared = false, write = shared): Wanted[] {
    const { endPage } = within;
    if (this.advised === 'random') return [{ firstPage: page, pageCount: 1, neededPages: 1 }];
    if (this.looking || this.knownEnd > 0) return [this.wantedOfKnown(page, endPage)];
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
    const ahead = this.window * (1 + AHEAD_WINDOWS);
    const horizon = Math.min(
      wholeWindows(from, page + (write ? Math.min(ahead, WRITE_AHEAD_PAGES) : ahead)),
      this.runStart + this.expectedPages,
    );
    const to = Math.min(endPage, horizon);
    if (to > from) wanted.push({ firstPage: from, pageCount: to - from, neededPages: to - from });
    this.aheadPage = Math.max(this.aheadPage, to);
    return wanted;
  }

  private wantedOfKnown(page: number, endPage: number): Wanted {
    const asked = this.aheadPage > page;
    const most = asked ? 1 : this.looking ? page + 1 - this.lookedFrom : this.knownEnd - page;
    const pageCount = Math.max(1, Math.min(most, endPage - page));
    this.aheadPage = Math.max(this.aheadPage, page + pageCount);
    return { firstPage: page, pageCount, neededPages: pageCount };
  }

  /** Of what was wanted up to `endPage` there was room for the pages before `page`: the next fault asks for the others again. */
  cutShort(page: number, endPage: number): void {
    if (this.aheadPage === endPage) this.aheadPage = page;
  }

  /** So many pages from `page` were mapped. */
  mapped(page: number, pageCount: number): void {
    this.nextPage = page + pageCount;
  }

  /** So many pages before `page` were mapped. */
  mappedBefore(_page: number, _pageCount: number): void {}
}
