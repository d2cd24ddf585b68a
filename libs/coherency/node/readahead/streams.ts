// A mapping that is gone through in several places at once: two grids, of which one is read and one written; rows and their
// neighbours; halves that are merged. Each place is a run of its own, and a fault belongs to the run that it goes on with.
//
//   main    what follows the faults, as of one reader; where it was in order and a fault comes from elsewhere,
//   aside   what it knew of that run is kept, until a fault goes on there
import { Readahead } from './readahead.ts';

/** Runs that are kept aside. */
const ASIDE_MAX = 7;

class Run extends Readahead {
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
  /** That of the last fault. */
  private current = this.main;

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

  advise(how: Readahead['advised']): void {
    this.forget();
    this.main.advise(how);
  }

  forget(): void {
    this.aside = [];
    this.current = this.main;
    this.main.forget();
  }

  access(page: number, contested = false, write = false): void {
    const goesOn = [this.main, ...this.aside].find((run) => run.goesOnAt(page, write));
    const keeps = this.main.sequential || this.main.looking;
    if (goesOn === undefined && keeps && this.advised === 'normal')
      this.aside = [this.main.copy(), ...this.aside].slice(0, ASIDE_MAX);
    this.current = goesOn ?? this.main;
    this.current.access(page, contested, write);
    if (this.current !== this.main)
      this.aside = [this.current, ...this.aside.filter((run) => run !== this.current)];
  }

  wanted(page: number, endPage: number, shared = false, write = shared): ReturnType<Readahead['wanted']> {
    return this.at(page).wanted(page, endPage, shared, write);
  }

  cutShort(page: number, endPage: number): void {
    for (const run of [this.main, ...this.aside]) run.cutShort(page, endPage);
  }

  mapped(page: number, pageCount: number): void {
    this.at(page).mapped(page, pageCount);
  }

  /** Another fault may have come since. */
  private at(page: number): Run {
    return this.current.isAt(page) ? this.current : (this.aside.find((run) => run.isAt(page)) ?? this.main);
  }
}
