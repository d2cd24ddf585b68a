// Pages that a node read and lost to a writer elsewhere, and has not asked for since. Who reads at random what others change
// now and then needs them all again: its next fault brings them along, in the same exchange, instead of one fault for each.
//
//   what is brought along is not mapped: its first access shows that it is used, and costs a fault that this node serves
//   what is lost unused is not brought along again: what a guess may do wrong, it does once for each page that was used
import { type PageSpan, spansOf } from '../../page.ts';

/** So many of them: one message's worth of pages. */
export const LOST_LATELY_MAX = 64;

export class LostLately {
  /** The one that was lost last stands last. */
  private readonly pages = new Set<number>();

  get size(): number {
    return this.pages.size;
  }

  /** A page that was read here was lost. */
  lost(page: number): void {
    this.pages.delete(page);
    this.pages.add(page);
    if (this.pages.size <= LOST_LATELY_MAX) return;
    const [first] = this.pages;
    this.pages.delete(first!);
  }

  /** It is asked for. */
  asked(page: number): void {
    this.pages.delete(page);
  }

  /** All that lie before `endPage`, in order and as runs; they are not given again. */
  take(endPage: number): PageSpan[] {
    const taken = [...this.pages].filter((page) => page < endPage).sort((a, b) => a - b);
    for (const page of taken) this.pages.delete(page);
    return spansOf(taken);
  }
}
