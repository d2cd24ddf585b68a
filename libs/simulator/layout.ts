// The dataspaces of a simulated cluster, and one number for each page over all of them.
import type { PageRun } from '@odonata/coherency/page.ts';

export class Layout {
  readonly dataspaces: readonly bigint[];
  readonly pagesEach: number;

  constructor(dataspaceCount: number, pagesEach: number) {
    this.dataspaces = Array.from({ length: dataspaceCount }, (_, i) => BigInt(i + 1));
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

  inDataspace(page: number): number {
    return page % this.pagesEach;
  }

  runOf(page: number, pageCount = 1): PageRun {
    return { dataspace: this.dataspaceOf(page), firstPage: this.inDataspace(page), pageCount };
  }
}
