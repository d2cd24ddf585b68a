// Pages by dataspace, in the order in which they came, and no more than so many.
export class GivenAway {
  private readonly pages = new Map<bigint, Set<number>>();
  private readonly max: number;
  private count = 0;

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.count;
  }

  has(dataspace: bigint, page: number): boolean {
    return this.pages.get(dataspace)?.has(page) === true;
  }

  /** @returns false: there are too many */
  add(dataspace: bigint, page: number): boolean {
    const pages = this.pages.get(dataspace) ?? new Set<number>();
    if (pages.has(page)) return true;
    if (this.count === this.max) return false;
    this.pages.set(dataspace, pages.add(page));
    this.count++;
    return true;
  }

  /** @returns false: it was none of them */
  delete(dataspace: bigint, page: number): boolean {
    const pages = this.pages.get(dataspace);
    if (pages?.delete(page) !== true) return false;
    this.count--;
    if (pages.size === 0) this.pages.delete(dataspace);
    return true;
  }

  /** Takes so many of one dataspace at most. There is one. */
  take(max: number): { dataspace: bigint; pages: number[] } {
    const [[dataspace, all]] = this.pages as unknown as [[bigint, Set<number>]];
    const pages = [...all].slice(0, max);
    for (const page of pages) this.delete(dataspace, page);
    return { dataspace, pages };
  }

  takeAll(): { dataspace: bigint; pages: number[] }[] {
    const all = [...this.pages].map(([dataspace, pages]) => ({ dataspace, pages: [...pages] }));
    this.pages.clear();
    this.count = 0;
    return all;
  }
}
