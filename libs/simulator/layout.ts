// The dataspaces of a simulated cluster, and one number for each page over all of them.
import type { PageRun } from '@odonata/coherency/page.ts';

export class Layout {
  readonly dataspaces: readonly bigint[];
  readonly pagesEach: number;
  private readonly durable: readonly boolean[];

  /** @param durable for each dataspace whether it has a backing store */
  constructor(durable: readonly boolean[], pagesEach: number) {
    this.durable = durable;
    this.dataspaces = durable.map((_, i) => BigInt(i + 1));
    this.pagesEach = pagesEach;
  }

  get pages(): number {
    return this.dataspaces.length * this.pagesEach;
  }

  pageOf(dataspace: bigint, page: number): number {
    return (Number(dataspace) - 1) * this.pagesEach + page;
  }

  dataspaceOf(page: number): bigint {
    return this.dataspaces[Math.floor(page / this.pagesEach)]!;
  }

  isDurable(page: number): boolean {
    return this.durable[Math.floor(page / this.pagesEach)]!;
  }

  inDataspace(page: number): number {
    return page % this.pagesEach;
  }

  runOf(page: number, pageCount = 1): PageRun {
    return { dataspace: this.dataspaceOf(page), firstPage: this.inDataspace(page), pageCount };
  }
}
