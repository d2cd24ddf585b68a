// Pages that are gone through from the last one to the first: what shifts elements up, merges from behind, or searches the last of
// something. Each run is one of its own, so what goes forward at the same time goes on as it was. By chance a page follows the one
// after it once; so a run is what does so twice. Where pages go back and forth nothing is a run here: what is before its
// first page is somebody's.
//
//   fault at 90, 89, 88 -> a run: 48 to 87, in pieces that begin where their length divides the page; twice as far with each fault,
//                          but no further than the run before went, until it does
import type { Wanted, Within } from './readahead.ts';

/** Those that are followed, and pages that may begin one. */
const RUNS_MAX = 4;
const BEGUN_MAX = 8;
/** So many faults at the page before that of the last one. */
const STEPS = 2;
const WINDOW_LEAST_PAGES = 16;
/** Longer ones would save little more. */
const WINDOW_MAX_PAGES = 128;
/** How far ahead of the reader pages are asked for, in windows, and of a writer at most. */
const AHEAD_WINDOWS = 2;
const WRITE_AHEAD_PAGES = 128;

interface Begun {
  nextPage: number;
  steps: number;
}

/** The largest multiple that is not larger. */
const multipleBelow = (page: number, pages: number): number => page - (page % pages);

export class BackwardRun {
  readonly sequential = true;
  readonly looking = false;
  readonly scattered = false;
  readonly mapPages = 1;
  private window = WINDOW_LEAST_PAGES;
  /** Where it began. */
  private readonly endPage: number;
  private expectedPages: number;
  private lastPage: number;
  private nextPage: number;
  /** The first page of those that were asked for. */
  private aheadPage: number;

  /** @param expectedPages so many pages, itself among them */
  constructor(page: number, expectedPages: number) {
    [this.endPage, this.expectedPages] = [page + 1, expectedPages];
    [this.lastPage, this.nextPage, this.aheadPage] = [page, page - 1, page];
  }

  /** So far. */
  get pages(): number {
    return this.endPage - this.nextPage - 1;
  }

  goesOnAt(page: number): boolean {
    return page === this.nextPage;
  }

  isAt(page: number): boolean {
    return page === this.lastPage;
  }

  access(page: number): void {
    if (this.pages >= this.expectedPages) this.expectedPages = Number.POSITIVE_INFINITY;
    [this.lastPage, this.nextPage] = [page, page - 1];
    this.window = Math.min(WINDOW_MAX_PAGES, this.window * 2);
  }

  get mapBefore(): number {
    return this.window;
  }

  /** The page, and then, nearest first, what comes before it. */
  wanted(page: number, { firstPage }: Within, shared = false, write = shared): Wanted[] {
    const wanted: Wanted[] = [{ firstPage: page, pageCount: 1, neededPages: 1 }];
    this.aheadPage = Math.min(this.aheadPage, page);
    const ahead = this.window * AHEAD_WINDOWS;
    const first = Math.max(firstPage, this.endPage - this.expectedPages);
    const horizon = Math.max(first, page - (write ? Math.min(ahead, WRITE_AHEAD_PAGES) : ahead));
    while (this.aheadPage > horizon) {
      const from = Math.max(write ? horizon : first, multipleBelow(this.aheadPage - 1, this.window));
      const pageCount = this.aheadPage - from;
      wanted.push({ firstPage: from, pageCount, neededPages: pageCount });
      this.aheadPage = from;
    }
    return wanted;
  }

  cutShort(page: number, endPage: number): void {
    if (this.aheadPage <= page && endPage <= this.lastPage) this.aheadPage = endPage;
  }

  mapped(): void {}

  mappedBefore(page: number, pageCount: number): void {
    this.nextPage = page - pageCount - 1;
  }
}

export class BackwardRuns {
  private runs: BackwardRun[] = [];
  private begun: Begun[] = [];

  /** A fault that goes on with nothing else. @returns its run, if it is of one */
  access(page: number): BackwardRun | undefined {
    const run = this.runs.find((each) => each.goesOnAt(page));
    if (run === undefined) return this.step(page);
    run.access(page);
    this.keep(run);
    return run;
  }

  private step(page: number): BackwardRun | undefined {
    const begun = this.begun.find(({ nextPage }) => nextPage === page);
    const steps = (begun?.steps ?? -1) + 1;
    this.begun = this.begun.filter((each) => each !== begun);
    if (steps < STEPS) {
      this.begun = [{ nextPage: page - 1, steps }, ...this.begun].slice(0, BEGUN_MAX);
      return undefined;
    }
    const run = new BackwardRun(
      page,
      Math.max(WINDOW_LEAST_PAGES, this.runs[0]?.pages ?? Number.POSITIVE_INFINITY),
    );
    this.keep(run);
    return run;
  }

  private keep(run: BackwardRun): void {
    this.runs = [run, ...this.runs.filter((each) => each !== run)].slice(0, RUNS_MAX);
  }

  at(page: number): BackwardRun | undefined {
    return this.runs.find((run) => run.isAt(page));
  }

  cutShort(page: number, endPage: number): void {
    for (const run of this.runs) run.cutShort(page, endPage);
  }

  forget(): void {
    [this.runs, this.begun] = [[], []];
  }
}
