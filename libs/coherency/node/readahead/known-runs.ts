// How far runs went that began where others write, too. There a guess costs twice: pages that nobody here uses are taken from
// whoever does, who takes them back. So a run that begins at a page which went back and forth is looked at, page by page, and
// the next one from there asks for as many pages as it had, in one word.
//
//   first visit     as anywhere: neighbours, windows
//   second visit    looked at: a page is mapped a fault; asked for are twice as many as were used so far
//   from then on    known: asked for and mapped together; what goes on after its end is looked at again
import type { AccessMode } from '../../page.ts';
import { BLOCK_PAGES } from '../../shard.ts';

/** First pages that are remembered. */
const STARTS_MAX = 1_024;
/** One visit in so many is looked at again: it may have become shorter. */
const LOOK_EVERY = 32;
/** Longer ones go in windows as any that is in order, from their first page on. */
export const KNOWN_PAGES_MAX = BLOCK_PAGES / 8;

interface Known {
  pages: number;
  visits: number;
}

export class KnownRuns {
  /** Those that are written below zero. */
  private readonly starts = new Map<number, Known>();

  /** A run begins at a page. @returns how many pages it has; undefined: look */
  visit(firstPage: number, mode: AccessMode): number | undefined {
    const known = this.starts.get(keyOf(firstPage, mode));
    if (known === undefined || ++known.visits % LOOK_EVERY === 0) return undefined;
    return known.pages;
  }

  /** It has so many, or more. */
  saw(firstPage: number, mode: AccessMode, pages: number): void {
    const key = keyOf(firstPage, mode);
    const known = this.starts.get(key);
    if (known !== undefined) {
      known.pages = pages;
      return;
    }
    if (this.starts.size === STARTS_MAX) this.starts.delete(this.starts.keys().next().value!);
    this.starts.set(key, { pages, visits: 0 });
  }

  forget(): void {
    this.starts.clear();
  }
}

const keyOf = (firstPage: number, mode: AccessMode): number =>
  mode === 'WRITE' ? -1 - firstPage : firstPage;
