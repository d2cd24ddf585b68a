// A mapping that is gone through in several places at once: two grids, of which one is read and one written; rows and their
// neighbours; halves that are merged. Each place is a run of its own, and a fault belongs to the run that it goes on with.
//
//   main    what follows the faults, as of one reader; where it was in order and a fault comes from elsewhere,
//   aside   what it knew of that run is kept, until a fault goes on there
//   begun   where writes came from elsewhere before it was known whether they are of a run: one that goes on twice is. By chance a
//           write at random goes on with another one once, which takes nothing from those who read what follows
//   backward  what goes on with none of these, and perhaps from the last page to the first (`backward-runs.ts`)
import { type BackwardRun, BackwardRuns } from './backward-runs.ts';
import { Readahead, type Within } from './readahead.ts';

/** Runs that are kept aside. */
const ASIDE_MAX = 7;
/** Writes that may have begun a run. */
const BEGUN_MAX = 8;
/** Of a run that writes begin: so many faults go on where the one before ended. */
const BEGUN_STEPS = 2;

class Run extends Readahead {
  /** Its last fault was a write. */
  private writes = false;
  /** Of one that has begun: how often it went on. */
  private steps = 0;

  override access(page: number, contested = false, write = false): void {
    this.writes = write;
    super.access(page, contested, write);
  }

  /** Whether it may go on where it is, and whether that would be a run is not known. */
  get hasBegun(): boolean {
    return this.writes && this.lastPage >= 0;
  }

  /** A fault where it ended. @returns true: it is a run */
  step(page: number): boolean {
    if (++this.steps >= BEGUN_STEPS) return true;
    this.lastPage = page;
    return false;
  }

  goesOnAt(page: number, write: boolean): boolean {
    return page === this.nextPage && !this.ofOtherMode(write);
  }

  isAt(page: number): boolean {
    return page === this.lastPage;
  }

  copy(): Run {
    return Object.assign(new Run(), this);
  }
}

export class ReadaheadStreams implements Pick<Readahead, keyof Readahead> {
  private readonly main = new Run();
  private aside: Run[] = [];
  private begun: Run[] = [];
  private readonly backward = new BackwardRuns();
  /** That of the last fault. */
  private current: Run | BackwardRun = this.main;

  get advised(): Readahead['advised'] {
    return this.main.advised;
  }

  get sequential(): boolean {
    return this.current.sequential;
  }

  get looking(): boolean {
    return this.current.looking;
  }

  get scattered(): boolean {
    return this.advised === 'normal' && this.current.scattered;
  }

  get mapPages(): number {
    return this.current.mapPages;
  }

  get mapBefore(): number {
    return this.current.mapBefore;
  }

  advise(how: Readahead['advised']): void {
    this.forget();
    this.main.advise(how);
  }

  forget(): void {
    this.aside = [];
    this.begun = [];
    this.backward.forget();
    this.current = this.main;
    this.main.forget();
  }

  access(page: number, contested = false, write = false): void {
    const goesOn =
      [this.main, ...this.aside].find((run) => run.goesOnAt(page, write)) ?? this.runBegun(page, write);
    if (goesOn === 'begun') return;
    if (goesOn === undefined && this.advised === 'normal') {
      const backward = contested ? undefined : this.backward.access(page);
      if (backward !== undefined) {
        this.current = backward;
        return;
      }
      this.keepMain();
    }
    const run = goesOn ?? this.main;
    this.current = run;
    run.access(page, contested, write);
    if (run !== this.main)
      this.aside = [run, ...this.aside.filter((each) => each !== run)].slice(0, ASIDE_MAX);
  }

  /** It is about to follow a fault from elsewhere. */
  private keepMain(): void {
    const { main } = this;
    if (main.sequential || main.looking) this.aside = [main.copy(), ...this.aside].slice(0, ASIDE_MAX);
    else if (main.hasBegun) this.begun = [main.copy(), ...this.begun].slice(0, BEGUN_MAX);
  }

  /** What has begun and goes on at a page: from now on a run, or `begun` still, and then it is the current one. */
  private runBegun(page: number, write: boolean): Run | 'begun' | undefined {
    if (!write) return undefined;
    const run = this.begun.find((each) => each.goesOnAt(page, write));
    if (run === undefined) return undefined;
    this.begun = this.begun.filter((each) => each !== run);
    if (run.step(page)) return run;
    this.begun.unshift(run);
    this.current = run;
    return 'begun';
  }

  wanted(page: number, within: Within, shared = false, write = shared): ReturnType<Readahead['wanted']> {
    return this.at(page).wanted(page, within, shared, write);
  }

  cutShort(page: number, endPage: number): void {
    for (const run of [this.main, ...this.aside, this.backward]) run.cutShort(page, endPage);
  }

  mapped(page: number, pageCount: number): void {
    this.at(page).mapped(page, pageCount);
  }

  mappedBefore(page: number, pageCount: number): void {
    this.at(page).mappedBefore(page, pageCount);
  }

  /** Another fault may have come since. */
  private at(page: number): Run | BackwardRun {
    if (this.current.isAt(page)) return this.current;
    return (
      [...this.aside, ...this.begun].find((run) => run.isAt(page)) ?? this.backward.at(page) ?? this.main
    );
  }
}
