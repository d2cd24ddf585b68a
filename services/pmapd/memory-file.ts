// A sparse file on a tmpfs: the frames of one dataspace on this node. A hole is a page that is not
// resident. Virtual kernels map the same file; dropping a page empties all their mappings of it.
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { PAGE_BYTES, type PageSpan, spansOf } from '@odonata/coherency/page.ts';
import { punchHole } from '@odonata/userfault/libc.ts';

const CHUNK_PAGES = 32_768;
const ZEROS = Buffer.alloc(64 * PAGE_BYTES);

export class MemoryFile {
  readonly path: string;
  readonly pageCount: number;
  private readonly fd: number;
  private readonly resident = new Map<number, Uint8Array>();
  residentPages = 0;

  /** @param resident of a file that another pmap manager made: the pages that have frames; else the file is new */
  constructor(path: string, pageCount: number, resident?: readonly PageSpan[]) {
    this.path = path;
    this.pageCount = pageCount;
    this.fd = openSync(path, resident === undefined ? 'wx+' : 'r+', 0o600);
    if (resident === undefined) ftruncateSync(this.fd, pageCount * PAGE_BYTES);
    for (const span of resident ?? [])
      for (let i = 0; i < span.pageCount; i++) this.mark(span.firstPage + i, true);
  }

  /** The pages that have frames, within a run. */
  residentSpans(firstPage = 0, pageCount = this.pageCount): PageSpan[] {
    return spansOf(this.residentIn(firstPage, firstPage + pageCount));
  }

  private *residentIn(firstPage: number, end: number): Generator<number> {
    for (let page = firstPage; page < end; page++) {
      if (this.has(page)) yield page;
      // Nothing of a whole chunk is here.
      else if (!this.resident.has(Math.floor(page / CHUNK_PAGES)))
        page += CHUNK_PAGES - 1 - (page % CHUNK_PAGES);
    }
  }

  has(page: number): boolean {
    return this.resident.get(Math.floor(page / CHUNK_PAGES))?.[page % CHUNK_PAGES] === 1;
  }

  private mark(page: number, resident: boolean): void {
    const at = Math.floor(page / CHUNK_PAGES);
    let chunk = this.resident.get(at);
    if (chunk === undefined) {
      chunk = new Uint8Array(CHUNK_PAGES);
      this.resident.set(at, chunk);
    }
    const value = resident ? 1 : 0;
    if (chunk[page % CHUNK_PAGES] === value) return;
    chunk[page % CHUNK_PAGES] = value;
    this.residentPages += resident ? 1 : -1;
  }

  /** A fresh copy of a run of pages. */
  read(firstPage: number, pageCount: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(pageCount * PAGE_BYTES);
    this.readInto(firstPage, bytes);
    return bytes;
  }

  /** Reads pages from `firstPage` on into a buffer of whole pages. */
  readInto(firstPage: number, bytes: Buffer): void {
    readSync(this.fd, bytes, 0, bytes.length, firstPage * PAGE_BYTES);
  }

  /** Makes the pages resident with these bytes, whole pages. */
  write(firstPage: number, bytes: Uint8Array): void {
    writeSync(this.fd, bytes, 0, bytes.length, firstPage * PAGE_BYTES);
    for (let i = 0; i < bytes.length / PAGE_BYTES; i++) this.mark(firstPage + i, true);
  }

  /** Writes some bytes; the pages must be resident or new. */
  writeAt(offsetBytes: number, bytes: Uint8Array): void {
    writeSync(this.fd, bytes, 0, bytes.length, offsetBytes);
    const last = Math.floor((offsetBytes + bytes.length - 1) / PAGE_BYTES);
    for (let page = Math.floor(offsetBytes / PAGE_BYTES); page <= last; page++) this.mark(page, true);
  }

  /** Makes holes of a run resident as zeros. */
  fillHoles(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      if (this.has(page)) continue;
      let count = 1;
      while (count < 64 && page + count < firstPage + pageCount && !this.has(page + count)) count++;
      this.write(page, ZEROS.subarray(0, count * PAGE_BYTES));
      page += count - 1;
    }
  }

  /** Drops a run of pages; every mapping of them is emptied in the same step. */
  drop(firstPage: number, pageCount: number): void {
    let any = false;
    for (let page = firstPage; page < firstPage + pageCount && !any; page++) any = this.has(page);
    if (!any) return;
    punchHole(this.fd, firstPage * PAGE_BYTES, pageCount * PAGE_BYTES);
    for (let page = firstPage; page < firstPage + pageCount; page++) this.mark(page, false);
  }

  /** Empties every mapping of a run and keeps its bytes. Nobody may write meanwhile. */
  unmapAll(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      if (!this.has(page)) continue;
      const bytes = this.read(page, 1);
      punchHole(this.fd, page * PAGE_BYTES, PAGE_BYTES);
      this.write(page, bytes);
    }
  }

  /** Empties all mappings, drops all pages and removes the file. */
  remove(): void {
    punchHole(this.fd, 0, this.pageCount * PAGE_BYTES);
    this.resident.clear();
    this.residentPages = 0;
    closeSync(this.fd);
    rmSync(this.path, { force: true });
  }
}
