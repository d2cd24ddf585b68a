// Pages of a process that are those of its program's image: shown as they are until it writes them, then copied into its private file.
//
// The image is mapped for itself alone (MAP_PRIVATE) from a descriptor for reading only, as a read-only dataspace is, and every page is
// write-protected for userfaultfd: so a write faults before the kernel makes a copy of its own, which nobody would count. Each page
// that is copied cuts the mapping, so pages are copied in runs, and in longer ones where there are many mappings: a process may have
// 65,530 (vm.max_map_count), and all processes of a virtual kernel are one.
import { readSync, writeSync } from 'node:fs';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { AddressMap, type AddressRange } from '@odonata/userfault/address-map.ts';
import { Errno, hasData } from '@odonata/userfault/libc.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';
import { layGuarded, layPrivate } from './laying.ts';
import type { ImageSpan } from './pmap-interface.ts';

const COPY_PAGES = 16;
const SHOW_PAGES = 64;
/** Of all processes of a virtual kernel. */
export const PARTS_MAX = 16_384;

/** Where an image is laid, and what with. */
export interface LaidImage {
  readonly base: bigint;
  /** Of the image, for reading. */
  readonly image: number;
  /** Of the private memory of the process. */
  readonly file: number;
  readonly spans: readonly ImageSpan[];
}

/** Lays it over private memory. @throws SystemCallError where there are too many mappings */
export function layImage(userfault: Userfault, { base, image, spans }: LaidImage): void {
  for (const { firstPage, pageCount, imagePage } of spans) {
    const address = base + BigInt(firstPage * PAGE_BYTES);
    const place = {
      address,
      lengthBytes: pageCount * PAGE_BYTES,
      fd: image,
      offsetBytes: imagePage * PAGE_BYTES,
    };
    layGuarded(userfault, place, { readOnly: true });
  }
}

interface Part extends AddressRange {
  /** Of its first page in the image, bytes. */
  readonly offset: number;
}

/** A run of pages that are to be copied. */
export interface CopyRun {
  readonly address: bigint;
  readonly pages: number;
}

export class ImagePages {
  static #all = 0;
  readonly #userfault: Userfault;
  readonly #laid: LaidImage;
  readonly #parts = new AddressMap<Part>();

  constructor(userfault: Userfault, laid: LaidImage) {
    this.#userfault = userfault;
    this.#laid = laid;
    for (const { firstPage, pageCount, imagePage } of laid.spans) {
      const address = laid.base + BigInt(firstPage * PAGE_BYTES);
      this.#add({ address, end: address + BigInt(pageCount * PAGE_BYTES), offset: imagePage * PAGE_BYTES });
    }
  }

  has(address: bigint): boolean {
    return this.#parts.find(address) !== undefined;
  }

  /** The first address behind this one that is the image's. */
  next(address: bigint): bigint | undefined {
    return this.#parts.next(address)?.address;
  }

  /** Maps pages for reading, and wakes who waits for them. */
  show(address: bigint): void {
    const { end } = this.#parts.find(address)!;
    const pages = Math.min(SHOW_PAGES, pagesIn(end - address));
    const errno = this.#userfault.continue(address, pages * PAGE_BYTES, true);
    // Some are there already: who waits looks again.
    if (errno !== 0) this.#userfault.wake(address, PAGE_BYTES);
    if (errno !== 0 && errno !== Errno.EEXIST && errno !== Errno.EAGAIN)
      this.#userfault.continue(address, PAGE_BYTES, true);
  }

  /** What is copied where this page is written. */
  runAt(address: bigint): CopyRun {
    const part = this.#parts.find(address)!;
    if (ImagePages.#all >= PARTS_MAX)
      return { address: part.address, pages: pagesIn(part.end - part.address) };
    const bytes = BigInt(COPY_PAGES * PAGE_BYTES);
    const from = max(part.address, address - ((address - this.#laid.base) % bytes));
    return { address: from, pages: Math.min(COPY_PAGES, pagesIn(part.end - from)) };
  }

  /**
   * Pages of the image are private memory from now on; what is there already (somebody wrote it from outside) stays.
   * @returns 0 or the errno: ENOSPC where the tmpfs is full
   */
  copy({ address, pages }: CopyRun): number {
    const { base, image, file } = this.#laid;
    const part = this.#parts.find(address)!;
    const at = Number(address - base);
    const bytes = Buffer.allocUnsafe(pages * PAGE_BYTES);
    readSync(image, bytes, 0, bytes.length, part.offset + Number(address - part.address));
    for (let done = 0; done < bytes.length; done += PAGE_BYTES) {
      if (hasData(file, at + done)) continue;
      try {
        for (let end = done; end < done + PAGE_BYTES; )
          end += writeSync(file, bytes, end, done + PAGE_BYTES - end, at + end);
      } catch (error) {
        const { errno } = error as NodeJS.ErrnoException;
        if (errno === undefined) throw error;
        return -errno;
      }
    }
    layPrivate(this.#userfault, { address, lengthBytes: bytes.length, fd: file, offsetBytes: at });
    this.uncover(address, bytes.length);
    this.#userfault.wake(address, bytes.length);
    return 0;
  }

  /** Something else lies there. */
  uncover(address: bigint, lengthBytes: number): void {
    const end = address + BigInt(lengthBytes);
    for (const part of this.#parts.overlapping(address, end)) {
      this.#remove(part);
      if (part.address < address) this.#add({ ...part, end: address });
      if (part.end > end)
        this.#add({ address: end, end: part.end, offset: part.offset + Number(end - part.address) });
    }
  }

  /** Runs of a range that are the image's still. */
  *within(address: bigint, lengthBytes: number): Generator<CopyRun> {
    const end = address + BigInt(lengthBytes);
    for (const part of this.#parts.overlapping(address, end)) {
      const from = max(part.address, address);
      yield { address: from, pages: pagesIn((part.end < end ? part.end : end) - from) };
    }
  }

  /** The process is over. */
  forget(): void {
    for (const part of [...this.#parts]) this.#remove(part);
  }

  #add(part: Part): void {
    this.#parts.add(part);
    ImagePages.#all += 1;
  }

  #remove(part: Part): void {
    this.#parts.remove(part);
    ImagePages.#all -= 1;
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const pagesIn = (bytes: bigint): number => Number(bytes) / PAGE_BYTES;
