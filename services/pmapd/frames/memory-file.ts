// A sparse file on a tmpfs: the frames of one dataspace on this node. A hole is a page that is not
// resident. Virtual kernels map the same file; dropping a page empties all their mappings of it.
//
// The tmpfs may be full although the node has frames left by its own count: others write there, too. What must not get
// lost (a page that came from another node, say) is then kept aside, and goes into the file when somebody needs it there.
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { CHARGED_TO_NODE, type ChargedTo } from '@odonata/coherency/node/memory/page-frames.ts';
import { PAGE_BYTES, type PageSpan, spansOf } from '@odonata/coherency/page.ts';
import { allocate, punchHole } from '@odonata/userfault/libc.ts';
import { openFixedSize } from '@odonata/userfault/sandbox/fixed-size.ts';
import { isFull, refusalOf } from './exhausted.ts';
import type { FrameLedger } from './frames.ts';

const CHUNK_PAGES = 32_768;
const WRITABLE_MODE = 0o600;
const READABLE_MODE = 0o400;
const ZEROS = Buffer.alloc(64 * PAGE_BYTES);
const NOBODY_COUNTS: FrameLedger = { taken() {}, dropped() {} };

const toNode: ChargedTo = () => CHARGED_TO_NODE;

export class MemoryFile {
  readonly path: string;
  readonly pageCount: number;
  private readonly fd: number;
  private readonly ledger: FrameLedger;
  /** By chunk, a number a page: who it is charged to, 0 where it is not resident. */
  private readonly resident = new Map<number, Uint32Array>();
  /** Resident pages for which the tmpfs had no room. */
  private readonly aside = new Map<number, Buffer>();
  residentPages = 0;
  /** How long it was when it was looked at last. */
  private seenBytes = 0;
  /** Pages that came or went since somebody follows. */
  private changes: Set<number> | undefined;
  /** A page came, or went. */
  onPage: ((page: number, resident: boolean) => void) | undefined;

  /** @param exists another pmap manager made it, and `take` tells which pages have frames; else the file is new */
  constructor(path: string, pageCount: number, exists = false, ledger = NOBODY_COUNTS) {
    this.path = path;
    this.pageCount = pageCount;
    this.ledger = ledger;
    if (exists) chmodSync(path, WRITABLE_MODE);
    const fd = openSync(path, exists ? 'r+' : 'wx+', WRITABLE_MODE);
    this.fd = fd;
    try {
      if (!exists) ftruncateSync(fd, this.sizeBytes);
      // Nobody who gets this one cuts the file under those who have it mapped.
      const fixed = openFixedSize(fd);
      if (fixed !== undefined) {
        closeSync(fd);
        this.fd = fixed;
      }
    } catch (error) {
      closeSync(fd);
      if (!exists) rmSync(path, { force: true });
      throw error;
    }
    // Who has a descriptor for reading does not make one for writing of it, by /proc/self/fd.
    fchmodSync(this.fd, READABLE_MODE);
  }

  private get sizeBytes(): number {
    return this.pageCount * PAGE_BYTES;
  }

  /** Hands `use` a descriptor of the file, for reading only or for both. It stays this file's. */
  withDescriptor<T>(readOnly: boolean, use: (fd: number) => T): T {
    if (!readOnly) return use(this.fd);
    const fd = openSync(`/proc/self/fd/${this.fd}`, 'r');
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Another pmap manager gave pages frames, or took them. */
  take(spans: readonly PageSpan[], resident: boolean): void {
    for (const { firstPage, pageCount } of spans)
      for (let i = 0; i < pageCount; i++) this.mark(firstPage + i, resident ? CHARGED_TO_NODE : 0);
  }

  /** The pages that have frames; `changed` tells from then on which came and went. */
  follow(): PageSpan[] {
    this.changes = new Set();
    return this.residentSpans();
  }

  /** What came and went since `follow`; all that is here, where nobody follows. */
  changed(): { resident: PageSpan[]; absent: PageSpan[] } {
    if (this.changes === undefined) return { resident: this.residentSpans(), absent: [] };
    const pages = [...this.changes].sort((a, b) => a - b);
    const [here, gone] = [pages.filter((page) => this.has(page)), pages.filter((page) => !this.has(page))];
    return { resident: spansOf(here), absent: spansOf(gone) };
  }

  unfollow(): void {
    this.changes = undefined;
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
    return this.chargedTo(page) !== 0;
  }

  /** 0: it is not resident. */
  chargedTo(page: number): number {
    return this.resident.get(Math.floor(page / CHUNK_PAGES))?.[page % CHUNK_PAGES] ?? 0;
  }

  /** Charges what the node itself pays for of a run to somebody. */
  charge(firstPage: number, pageCount: number, number: number): void {
    for (const span of this.residentSpans(firstPage, pageCount))
      for (let page = span.firstPage; page < span.firstPage + span.pageCount; page++) {
        if (this.chargedTo(page) !== CHARGED_TO_NODE) continue;
        this.mark(page, 0);
        this.mark(page, number);
      }
  }

  private mark(page: number, number: number): void {
    const at = Math.floor(page / CHUNK_PAGES);
    let chunk = this.resident.get(at);
    if (chunk === undefined) {
      if (number === 0) return;
      chunk = new Uint32Array(CHUNK_PAGES);
      this.resident.set(at, chunk);
    }
    const before = chunk[page % CHUNK_PAGES]!;
    // Who brought it pays, also when others write it.
    if (number !== 0 && before !== 0) return;
    if (number === before) return;
    chunk[page % CHUNK_PAGES] = number;
    this.changes?.add(page);
    this.residentPages += number === 0 ? -1 : 1;
    if (number === 0) this.ledger.dropped(before, 1);
    else this.ledger.taken(number);
    this.onPage?.(page, number !== 0);
  }

  /** The first page from one on that may be resident. */
  nextResident(from: number): number {
    let page = from;
    while (page < this.pageCount && !this.has(page))
      page = this.resident.has(Math.floor(page / CHUNK_PAGES))
        ? page + 1
        : page + CHUNK_PAGES - (page % CHUNK_PAGES);
    return Math.min(page, this.pageCount);
  }

  /** A fresh copy of a run of pages. */
  read(firstPage: number, pageCount: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(pageCount * PAGE_BYTES);
    this.readInto(firstPage, bytes);
    return bytes;
  }

  /** Reads pages from `firstPage` on into a buffer of whole pages. */
  readInto(firstPage: number, bytes: Uint8Array): void {
    const read = readSync(this.fd, bytes, 0, bytes.length, firstPage * PAGE_BYTES);
    // Who may write the file may have cut it: what is not there is zeros, and nothing of what the buffer had before.
    if (read < bytes.length) bytes.fill(0, read);
    if (this.aside.size === 0) return;
    for (let i = 0; i < bytes.length / PAGE_BYTES; i++) {
      const aside = this.aside.get(firstPage + i);
      if (aside !== undefined) bytes.set(aside, i * PAGE_BYTES);
    }
  }

  /** Makes the pages resident with these bytes, whole pages; where the tmpfs has no room, aside. */
  write(firstPage: number, bytes: Uint8Array, chargedTo: ChargedTo = toNode): void {
    const written = this.put(firstPage, bytes);
    for (let i = 0; i < bytes.length / PAGE_BYTES; i++) {
      const page = firstPage + i;
      if (i < written) this.aside.delete(page);
      else this.aside.set(page, Buffer.from(bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES)));
      this.mark(page, chargedTo(page));
    }
  }

  /** The same of bytes that lie in pieces, as they came: they are written from there. */
  writePieces(firstPage: number, pieces: readonly Uint8Array[], chargedTo: ChargedTo = toNode): void {
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    if (pieces.length === 1 || !this.putPieces(firstPage, pieces, bytes)) {
      this.write(firstPage, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, bytes), chargedTo);
      return;
    }
    for (let page = firstPage; page < firstPage + bytes / PAGE_BYTES; page++) {
      this.aside.delete(page);
      this.mark(page, chargedTo(page));
    }
  }

  // False: not all of it found room, or the kernel took a part only.
  private putPieces(firstPage: number, pieces: readonly Uint8Array[], bytes: number): boolean {
    try {
      return writevSync(this.fd, pieces, firstPage * PAGE_BYTES) === bytes;
    } catch (error) {
      if (!isFull(error)) throw error;
      return false;
    }
  }

  // How many whole pages found room.
  private put(firstPage: number, bytes: Uint8Array): number {
    let done = 0;
    try {
      while (done < bytes.length)
        done += writeSync(this.fd, bytes, done, bytes.length - done, firstPage * PAGE_BYTES + done);
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    return Math.floor(done / PAGE_BYTES);
  }

  /**
   * Writes some bytes; the pages must be resident or new.
   * @throws RpcError RESOURCE_EXHAUSTED where the tmpfs is full: then some are written
   */
  writeAt(offsetBytes: number, bytes: Uint8Array): void {
    if (offsetBytes % PAGE_BYTES === 0 && bytes.length % PAGE_BYTES === 0) {
      this.writeWhole(offsetBytes / PAGE_BYTES, bytes);
      return;
    }
    const first = Math.floor(offsetBytes / PAGE_BYTES);
    const last = Math.floor((offsetBytes + bytes.length - 1) / PAGE_BYTES);
    const room = this.fillHoles(first, last - first + 1);
    const most = Math.min(bytes.length, (first + room) * PAGE_BYTES - offsetBytes);
    for (let done = 0; done < most; )
      done += writeSync(this.fd, bytes, done, most - done, offsetBytes + done);
    if (most < bytes.length) throw refusalOf(this.path);
  }

  // Holes of whole pages need no zeros first.
  private writeWhole(firstPage: number, bytes: Uint8Array): void {
    const pageCount = bytes.length / PAGE_BYTES;
    const written = this.put(firstPage, bytes);
    for (let page = firstPage; page < firstPage + written; page++) {
      this.aside.delete(page);
      this.mark(page, CHARGED_TO_NODE);
    }
    if (written < pageCount) throw refusalOf(this.path);
  }

  /**
   * Makes holes of a run resident as zeros.
   * @returns how many pages from the first on have their bytes in the file now; the tmpfs has no room for the next one
   */
  fillHoles(firstPage: number, pageCount: number, chargedTo: ChargedTo = toNode): number {
    const end = firstPage + pageCount;
    for (let page = firstPage; page < end; page++) {
      if (this.has(page)) {
        if (this.aside.size > 0 && !this.place(page)) return page - firstPage;
        continue;
      }
      let count = 1;
      while (count < 64 && page + count < end && !this.has(page + count)) count++;
      const filled = this.put(page, ZEROS.subarray(0, count * PAGE_BYTES));
      for (let i = 0; i < filled; i++) this.mark(page + i, chargedTo(page + i));
      page += filled - 1;
      if (filled < count) return page + 1 - firstPage;
    }
    return pageCount;
  }

  /** Puts all that is aside into the file. False: there is no room still. */
  placeAll(): boolean {
    return [...this.aside.keys()].every((page) => this.place(page));
  }

  // Puts what is aside into the file. False: there is no room still.
  private place(page: number): boolean {
    const bytes = this.aside.get(page);
    if (bytes === undefined) return true;
    if (this.put(page, bytes) === 0) return false;
    this.aside.delete(page);
    return true;
  }

  /** Drops a run of pages; every mapping of them is emptied in the same step. */
  drop(firstPage: number, pageCount: number): void {
    let any = false;
    for (let page = firstPage; page < firstPage + pageCount && !any; page++) any = this.has(page);
    if (!any) return;
    punchHole(this.fd, firstPage * PAGE_BYTES, pageCount * PAGE_BYTES);
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      this.aside.delete(page);
      this.mark(page, 0);
    }
  }

  /** Empties every mapping of a run and keeps its bytes. Nobody may write meanwhile. */
  unmapAll(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      // What is aside nobody maps.
      if (!this.has(page) || this.aside.has(page)) continue;
      const bytes = this.read(page, 1);
      punchHole(this.fd, page * PAGE_BYTES, PAGE_BYTES);
      // Its frame may be somebody else's by now.
      this.write(page, bytes);
    }
  }

  /**
   * Puts a page that is resident into the file anew, as zeros, where a virtual kernel that may write it took it out.
   * @returns false: it was there all the time, or there is no room
   */
  mend(page: number): boolean {
    if (!this.has(page) || this.aside.has(page)) return false;
    const before = fstatSync(this.fd);
    const isCut = before.size < this.sizeBytes;
    if (isCut && !this.grow(before.size)) return false;
    // Bytes that somebody wrote meanwhile stay.
    if (allocate(this.fd, page * PAGE_BYTES, PAGE_BYTES) !== 0) return false;
    return fstatSync(this.fd).blocks > before.blocks || isCut;
  }

  // To its size again, by its last page, which is a hole still where it was cut off.
  private grow(beforeBytes: number): boolean {
    const last = this.pageCount - 1;
    if (allocate(this.fd, last * PAGE_BYTES, PAGE_BYTES) !== 0) return false;
    if (beforeBytes <= last * PAGE_BYTES) punchHole(this.fd, last * PAGE_BYTES, PAGE_BYTES);
    return true;
  }

  /**
   * Takes the memory back that a virtual kernel has put beyond the end, by write(2): nobody counts it. The file stays as long as
   * it was made, and that is nothing.
   * @returns true: it is longer than it was when it was looked at last
   */
  undoGrowth(): boolean {
    const { size } = fstatSync(this.fd);
    if (size <= this.sizeBytes) return false;
    punchHole(this.fd, this.sizeBytes, size - this.sizeBytes);
    const isNews = size > this.seenBytes;
    this.seenBytes = Math.max(this.seenBytes, size);
    return isNews;
  }

  /** Another one removed the file. */
  close(): void {
    closeSync(this.fd);
  }

  /** Empties all mappings, drops all pages and removes the file. */
  remove(): void {
    punchHole(this.fd, 0, Math.max(this.sizeBytes, fstatSync(this.fd).size));
    for (const chunk of this.resident.values())
      for (const number of chunk) if (number !== 0) this.ledger.dropped(number, 1);
    this.resident.clear();
    this.aside.clear();
    this.residentPages = 0;
    closeSync(this.fd);
    rmSync(this.path, { force: true });
  }
}
