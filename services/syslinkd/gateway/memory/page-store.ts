// The bytes of pages that a gateway has of dataspaces. What is not here is zero.
import { PAGE_BYTES, type PageRun } from '@odonata/coherency/page.ts';

export class PageStore {
  private readonly dataspaces = new Map<bigint, Map<number, Uint8Array>>();

  /** @param bytes of the whole run; they are copied */
  write({ dataspace, firstPage, pageCount }: PageRun, bytes: Uint8Array): void {
    let pages = this.dataspaces.get(dataspace);
    if (pages === undefined) {
      pages = new Map();
      this.dataspaces.set(dataspace, pages);
    }
    for (let i = 0; i < pageCount; i++)
      pages.set(firstPage + i, bytes.slice(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
  }

  read({ dataspace, firstPage, pageCount }: PageRun): Buffer {
    const bytes = Buffer.alloc(pageCount * PAGE_BYTES);
    const pages = this.dataspaces.get(dataspace);
    for (let i = 0; i < pageCount; i++) bytes.set(pages?.get(firstPage + i) ?? [], i * PAGE_BYTES);
    return bytes;
  }

  drop({ dataspace, firstPage, pageCount }: PageRun): void {
    const pages = this.dataspaces.get(dataspace);
    for (let i = 0; i < pageCount; i++) pages?.delete(firstPage + i);
    if (pages?.size === 0) this.dataspaces.delete(dataspace);
  }

  remove(dataspace: bigint): void {
    this.dataspaces.delete(dataspace);
  }
}
