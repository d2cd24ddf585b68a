// Bytes of pages. A page is one number here: the write that it shows.
import type { PageBytes } from '@odonata/coherency/node/memory/page-frames.ts';

export class PageValues implements PageBytes<PageValues> {
  readonly values: readonly number[];
  /** From the backing store: with them a lost page begins anew. */
  readonly stored: boolean;

  constructor(values: readonly number[], stored = false) {
    this.values = values;
    this.stored = stored;
  }

  part(firstIndex: number, pageCount: number): PageValues {
    return new PageValues(this.values.slice(firstIndex, firstIndex + pageCount), this.stored);
  }
}
