// Private memory of one process whose pages may leave: each is in its memory file, aside (inactive), in swap, away (at a
// neighbour), or was never touched. Whatever is in none of them is zeros.
import { readSync, writeSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { PmapEventSchema } from '@odonata/proto/pmap/v1/pmap';
import { allocate, hasData, punchHole } from '@odonata/userfault/libc.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';
import type { Charge } from '../frames/charge.ts';
import { isFull } from '../frames/exhausted.ts';
import type { AwayPages } from './away-pages.ts';
import type { SwapFile } from './swap-file.ts';

const ZEROS = Buffer.alloc(PAGE_BYTES);
const TRIES = 100;

type PmapEventInit = MessageInitShape<typeof PmapEventSchema>;

/** The private memory of a process. */
export interface PagedMemory {
  readonly id: bigint;
  readonly pid: bigint;
  readonly sizeBytes: number;
  readonly charge: Charge;
  readonly session: { send(event: PmapEventInit): void };
  paged: PagedSpace | undefined;
  privateFrames(): number;
  residentFrom(offset: number): { offsetBytes: number; endBytes: number } | undefined;
  withDescriptor<T>(use: (fd: number) => T): T | undefined;
}

/** The session of its virtual kernel. */
export interface PagedSession {
  readonly userfault: Userfault;
  readonly vmspaces: ReadonlyMap<bigint, PagedMemory>;
  readonly privateFrames: {
    lend(frames: number): void;
    take(want: number): number;
    resume(frames: number): void;
    settle(lent: number): void;
  };
  send(event: PmapEventInit): void;
  endForFrames(vmspace: bigint, reason: string): void;
}

export class PagedSpace {
  readonly vmspace: PagedMemory;
  readonly session: PagedSession;
  /** Where its linear memory begins in the virtual kernel. */
  readonly base: bigint;
  /** Bytes of inactive pages. */
  readonly aside = new Map<number, Buffer>();
  /** Of pages in swap: the slot, and how many had left before it. */
  readonly swapped = new Map<number, { readonly slot: number; readonly leftBefore: number }>();
  /** Frames that it gave back to the node, and its virtual kernel still counts; less those that came here for it. */
  lent = 0;
  /** Pages before this one are known to the policy. */
  scanned = 0;
  /** The page after the one that came last. */
  nextPage = -1;
  /** Its process was told to end. */
  isEnding = false;
  /** Pages that neighbours have. */
  readonly away: AwayPages;
  private readonly swap: SwapFile | undefined;

  constructor(
    vmspace: PagedMemory,
    session: PagedSession,
    base: bigint,
    { swap, away }: { swap: SwapFile | undefined; away: AwayPages },
  ) {
    this.vmspace = vmspace;
    this.session = session;
    this.base = base;
    this.swap = swap;
    this.away = away;
  }

  get pageCount(): number {
    return this.vmspace.sizeBytes / PAGE_BYTES;
  }

  /** Undefined: it is none of this memory. */
  pageAt(address: bigint): number | undefined {
    const page = Number(address - this.base) / PAGE_BYTES;
    return page >= 0 && page < this.pageCount ? page : undefined;
  }

  private addressOf(page: number): bigint {
    return this.base + BigInt(page * PAGE_BYTES);
  }

  isResident(page: number): boolean {
    const at = page * PAGE_BYTES;
    return this.vmspace.withDescriptor((fd) => hasData(fd, at)) === true;
  }

  /** Takes some pages that follow each other out of the page tables. False: that cannot be done. */
  deactivate(firstPage: number, pageCount: number): boolean {
    const { userfault } = this.session;
    const [address, length] = [this.addressOf(firstPage), pageCount * PAGE_BYTES];
    // No write may slip between the copy and the hole.
    if (!this.protect(address, length, true)) return false;
    const bytes = Buffer.alloc(length);
    this.vmspace.withDescriptor((fd) => {
      readSync(fd, bytes, 0, length, firstPage * PAGE_BYTES);
      punchHole(fd, firstPage * PAGE_BYTES, length);
    });
    for (let i = 0; i < pageCount; i++)
      this.aside.set(firstPage + i, bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES));
    // Who came to write it waits, and finds nothing there now.
    this.protect(address, length, false);
    userfault.wake(address, length);
    return true;
  }

  private protect(address: bigint, length: number, on: boolean): boolean {
    const { userfault } = this.session;
    // Its mappings change just now: EAGAIN.
    for (let tries = 0; tries < TRIES; tries++)
      if (userfault.writeProtect(address, length, on) === 0) return true;
    return false;
  }

  /** An inactive page leaves. @returns where it is; undefined: nobody takes it, and it stays */
  evict(page: number, leftBefore: number): 'swap' | 'zeros' | 'away' | undefined {
    const bytes = this.aside.get(page);
    if (bytes === undefined) return undefined;
    if (bytes.equals(ZEROS)) {
      this.aside.delete(page);
      return 'zeros';
    }
    const slot = this.swap?.put(bytes);
    if (slot !== undefined) this.swapped.set(page, { slot, leftBefore });
    else if (!this.away.put(page, bytes, leftBefore, true)) return undefined;
    this.aside.delete(page);
    return slot === undefined ? 'away' : 'swap';
  }

  /** Puts one that came back from a neighbour into swap. @returns false: there is no room, or no swap */
  swapFetched(page: number, leftBefore: number): boolean {
    const bytes = this.away.fetched.get(page);
    const slot = bytes === undefined ? undefined : this.swap?.put(bytes);
    if (slot === undefined) return false;
    this.swapped.set(page, { slot, leftBefore });
    this.away.delete(page);
    return true;
  }

  /**
   * Puts a page that is not in the memory file there, as it was. There is a frame for it.
   * @returns false: the tmpfs has no room
   */
  bring(page: number): boolean {
    const swapped = this.swapped.get(page);
    let bytes = this.aside.get(page) ?? this.away.fetched.get(page);
    if (bytes === undefined && swapped !== undefined) {
      bytes = Buffer.allocUnsafe(PAGE_BYTES);
      this.swap!.get(swapped.slot, bytes);
    }
    const put = (fd: number): boolean => {
      if (bytes === undefined) return allocate(fd, page * PAGE_BYTES, PAGE_BYTES) === 0;
      try {
        for (let done = 0; done < PAGE_BYTES; )
          done += writeSync(fd, bytes, done, PAGE_BYTES - done, page * PAGE_BYTES + done);
        return true;
      } catch (error) {
        if (!isFull(error)) throw error;
        punchHole(fd, page * PAGE_BYTES, PAGE_BYTES);
        return false;
      }
    };
    if (this.vmspace.withDescriptor(put) !== true) return false;
    this.aside.delete(page);
    this.away.delete(page);
    if (swapped !== undefined) {
      this.swapped.delete(page);
      this.swap!.free(swapped.slot);
    }
    return true;
  }

  /** The guest that waits for a page looks again, and may write it. */
  wake(page: number): void {
    const { userfault } = this.session;
    userfault.wake(this.addressOf(page), PAGE_BYTES);
  }

  /** A page is there; who waits for it came late. */
  release(page: number): void {
    this.protect(this.addressOf(page), PAGE_BYTES, false);
    this.wake(page);
  }

  /** The same of pages that are away, as they are there. @throws RpcError */
  async overlayAway(offset: number, bytes: Uint8Array): Promise<void> {
    const last = Math.floor((offset + bytes.length - 1) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++)
      if (this.away.pages.has(page)) this.lay(page, await this.away.look(page), offset, bytes);
  }

  /** Bytes of pages that are not in the memory file, over what was read of it. */
  overlay(offset: number, bytes: Uint8Array): void {
    if (this.aside.size + this.swapped.size === 0) return;
    const first = Math.floor(offset / PAGE_BYTES);
    const last = Math.floor((offset + bytes.length - 1) / PAGE_BYTES);
    const whole = Buffer.allocUnsafe(PAGE_BYTES);
    for (let page = first; page <= last; page++) {
      const [aside, swapped] = [this.aside.get(page), this.swapped.get(page)];
      if (aside !== undefined) whole.set(aside);
      else if (swapped !== undefined) this.swap!.get(swapped.slot, whole);
      else continue;
      this.lay(page, whole, offset, bytes);
    }
  }

  private lay(page: number, whole: Buffer, offset: number, bytes: Uint8Array): void {
    const from = Math.max(0, offset - page * PAGE_BYTES);
    const to = Math.min(PAGE_BYTES, offset + bytes.length - page * PAGE_BYTES);
    bytes.set(whole.subarray(from, to), page * PAGE_BYTES + from - offset);
  }

  /** True where bytes of a range are not in the memory file. */
  isElsewhere(offset: number, lengthBytes: number): boolean {
    const last = Math.floor((offset + lengthBytes - 1) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++)
      if (this.aside.has(page) || this.swapped.has(page) || this.away.pages.has(page)) return true;
    return false;
  }

  /** Nobody needs what is there of some pages beside their memory file. */
  forget(firstPage: number, pageCount: number): void {
    for (const page of [...this.aside.keys(), ...this.swapped.keys(), ...this.away.pages.keys()]) {
      if (page < firstPage || page >= firstPage + pageCount) continue;
      this.aside.delete(page);
      const swapped = this.swapped.get(page);
      if (swapped !== undefined) this.swap!.free(swapped.slot);
      this.swapped.delete(page);
      this.away.delete(page);
    }
  }
}
