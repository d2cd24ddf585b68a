// Pages that were here and that somebody else wrote, or that were written here while others had them: they go back and forth.

/** So many of one dataspace, those that were noted last. */
const PAGES_MAX = 16_384;

export class ContestedPages {
  private readonly pages = new Set<number>();

  has(page: number): boolean {
    return this.pages.has(page);
  }

  /** Of a run the last ones. */
  note(firstPage: number, pageCount = 1): void {
    const end = firstPage + pageCount;
    for (let page = Math.max(firstPage, end - PAGES_MAX); page < end; page++) {
      this.pages.delete(page);
      this.pages.add(page);
      if (this.pages.size > PAGES_MAX) this.pages.delete(this.pages.values().next().value!);
    }
  }
}
