// Each read returns the last write in the page's order. A page shows the number of its last write; 0 is never written.
// Where a durable page was lost and begins anew, the last write is the one that the store kept; numbers go on.
import { check } from '../violation.ts';

export class LatestValueChecker {
  reads = 0;
  writes = 0;
  private readonly last: number[];
  private readonly written: number[];
  private readonly anew: number[];

  constructor(pages: number) {
    this.last = new Array(pages).fill(0);
    this.written = new Array(pages).fill(0);
    this.anew = new Array(pages).fill(0);
  }

  latest(page: number): number {
    return this.last[page]!;
  }

  /** The number of the last write, also where it is lost by now. */
  highest(page: number): number {
    return this.written[page]!;
  }

  /** How often a page was lost and began anew. */
  timesAnew(page: number): number {
    return this.anew[page]!;
  }

  /** A lost page shows again what it showed after an earlier write. */
  beginsAnew(page: number, value: number): void {
    this.last[page] = value;
    this.anew[page]!++;
  }

  read(page: number, value: number, who: string): void {
    this.reads++;
    check(value === this.last[page], 'latest value', page, () => {
      return `${who} reads write ${value} of page ${page}, the last one is ${this.last[page]}`;
    });
  }

  /**
   * @param added what an atomic addition read, in the same step
   * @returns the number of the write
   */
  wrote(page: number, added: number | undefined, who: string): number {
    this.writes++;
    if (added !== undefined) this.read(page, added, `${who} adds and`);
    const value = ++this.written[page]!;
    this.last[page] = value;
    return value;
  }
}
