// The bytes of one file in memory: pages in frames, and none where nothing was written.

import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Errno } from '../wasi/errno.ts';
import type { FrameStore } from './frame-store.ts';
import { fail, type Written } from './tree.ts';

/** Pages of a file have numbers that a Map keeps well. */
export const fileBytesMax = 2 ** 40;

export class MemoryContents {
  readonly #store: FrameStore;
  /** The frame of each page that was written. */
  #frames = new Map<number, number>();
  sizeBytes = 0;
  /** Nobody can reach it any more: what is still under way finds no frame. */
  #over = false;
  /** What it held is gone. Nobody takes it for an empty file: it is none before somebody makes it one. */
  #lost = false;

  constructor(store: FrameStore) {
    this.#store = store;
  }

  /** @throws WasiError EIO */
  read(offset: number, lengthBytes: number): Uint8Array {
    if (this.#lost) fail(Errno.io);
    const length = Math.max(0, Math.min(lengthBytes, this.sizeBytes - offset));
    const bytes = new Uint8Array(length);
    for (const { page, begin, part } of partsOf(offset, bytes)) {
      const frame = this.#frames.get(page);
      if (frame !== undefined) this.#store.read(frame, begin, part);
    }
    return bytes;
  }

  /** @throws WasiError ENOSPC, EFBIG, EIO */
  async write(at: number | undefined, bytes: Uint8Array): Promise<Written> {
    // Where the end is it is known only when there are frames: others may append meanwhile.
    for (;;) {
      if (this.#lost) fail(Errno.io);
      const offset = at ?? this.sizeBytes;
      if (bytes.length === 0) return { written: 0, endBytes: offset };
      if (offset + bytes.length > fileBytesMax) fail(Errno.fbig);
      const frames = await this.#store.take(this.#missing(offset, bytes.length));
      if (this.#over || this.#lost || (at === undefined && offset !== this.sizeBytes)) {
        this.#store.give(frames);
        if (this.#over || this.#lost) fail(Errno.io);
        continue;
      }
      return this.#put(offset, bytes, frames);
    }
  }

  #put(offset: number, bytes: Uint8Array, frames: number[]): Written {
    let written = 0;
    try {
      for (const { page, begin, part } of partsOf(offset, bytes)) {
        const frame = this.#frames.get(page) ?? frames.pop();
        if (frame === undefined) break;
        this.#store.write(frame, begin, part);
        this.#frames.set(page, frame);
        written += part.length;
      }
    } finally {
      // What another one brought meanwhile.
      this.#store.give(frames);
    }
    if (written === 0) fail(Errno.nospc);
    this.sizeBytes = Math.max(this.sizeBytes, offset + written);
    return { written, endBytes: offset + written };
  }

  /** @throws WasiError EFBIG, EIO */
  setSize(sizeBytes: number): void {
    if (sizeBytes > fileBytesMax) fail(Errno.fbig);
    if (sizeBytes === 0) this.#lost = false;
    if (this.#lost) fail(Errno.io);
    if (sizeBytes < this.sizeBytes) {
      const firstGone = Math.ceil(sizeBytes / PAGE_BYTES);
      const gone = [...this.#frames].filter(([page]) => page >= firstGone);
      for (const [page] of gone) this.#frames.delete(page);
      this.#store.give(gone.map(([, frame]) => frame));
      const within = sizeBytes % PAGE_BYTES;
      const last = within > 0 ? this.#frames.get(Math.floor(sizeBytes / PAGE_BYTES)) : undefined;
      if (last !== undefined) this.#store.write(last, within, new Uint8Array(PAGE_BYTES - within));
    }
    this.sizeBytes = sizeBytes;
  }

  /** From now on a write before `endBytes` finds room. @throws WasiError ENOSPC, EFBIG, EIO */
  async allocate(endBytes: number): Promise<void> {
    if (this.#lost) fail(Errno.io);
    if (endBytes > fileBytesMax) fail(Errno.fbig);
    const missing = this.#missing(0, endBytes);
    if (missing > this.#store.freeFrames) fail(Errno.nospc);
    const frames = await this.#store.take(missing);
    const enough = !this.#over && frames.length >= this.#missing(0, endBytes);
    if (enough)
      for (let page = 0; page < Math.ceil(endBytes / PAGE_BYTES); page++)
        if (!this.#frames.has(page)) this.#frames.set(page, frames.pop()!);
    this.#store.give(frames);
    if (!enough) fail(Errno.nospc);
    this.sizeBytes = Math.max(this.sizeBytes, endBytes);
  }

  /** Nobody has it any more. */
  drop(): void {
    this.#over = true;
    this.#store.give([...this.#frames.values()]);
    this.#frames = new Map();
    this.sizeBytes = 0;
  }

  /** The frames are lost, all at once. */
  forget(): void {
    this.#lost ||= this.sizeBytes > 0;
    this.#frames = new Map();
    this.sizeBytes = 0;
  }

  /** Pages of a range that have no frame. */
  #missing(offset: number, lengthBytes: number): number {
    const first = Math.floor(offset / PAGE_BYTES);
    const end = Math.ceil((offset + lengthBytes) / PAGE_BYTES);
    if (end - first > this.#store.framesMax + this.#frames.size) return end - first - this.#frames.size;
    let missing = 0;
    for (let page = first; page < end; page++) if (!this.#frames.has(page)) missing++;
    return missing;
  }
}

/** The same bytes, page by page. */
function* partsOf(
  offset: number,
  bytes: Uint8Array,
): Generator<{ page: number; begin: number; part: Uint8Array }> {
  for (let done = 0; done < bytes.length; ) {
    const begin = (offset + done) % PAGE_BYTES;
    const part = bytes.subarray(done, done + PAGE_BYTES - begin);
    yield { page: Math.floor((offset + done) / PAGE_BYTES), begin, part };
    done += part.length;
  }
}
