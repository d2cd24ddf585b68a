// Where pages of private memory go: slots of a page in a file that has no name any more, so that it is gone with this process,
// and that nobody else could open.
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { isFull } from '../frames/exhausted.ts';

/** The disk does not give back what it has. */
export class SwapError extends Error {}

export class SwapFile {
  readonly slots: number;
  private readonly fd: number;
  /** Slots from here on were never used. */
  private fresh = 0;
  private readonly freed: number[] = [];
  private used = 0;
  /** The disk had no room for the last write. */
  private diskFull = false;

  /** @throws where the folder takes no file */
  constructor(dir: string, sizeBytes: number) {
    this.slots = Math.floor(sizeBytes / PAGE_BYTES);
    const path = join(dir, `swap-${randomUUID()}`);
    this.fd = openSync(path, 'wx+', 0o600);
    rmSync(path);
  }

  get usedSlots(): number {
    return this.used;
  }

  get freeSlots(): number {
    return this.diskFull ? 0 : this.slots - this.used;
  }

  /** @returns the slot; undefined: there is none, or no room on the disk */
  put(page: Uint8Array): number | undefined {
    if (this.used === this.slots) return undefined;
    const slot = this.freed.pop() ?? this.fresh++;
    try {
      for (let done = 0; done < PAGE_BYTES; )
        done += writeSync(this.fd, page, done, PAGE_BYTES - done, slot * PAGE_BYTES + done);
    } catch (error) {
      this.freed.push(slot);
      if (!isFull(error)) throw error;
      this.diskFull = true;
      return undefined;
    }
    this.used++;
    return slot;
  }

  /** The bytes of a slot. @throws SwapError */
  get(slot: number, page: Uint8Array): void {
    for (let done = 0; done < PAGE_BYTES; ) done += this.read(slot, page, done);
  }

  private read(slot: number, page: Uint8Array, done: number): number {
    let read = 0;
    let cause: unknown;
    try {
      read = readSync(this.fd, page, done, PAGE_BYTES - done, slot * PAGE_BYTES + done);
    } catch (error) {
      cause = error;
    }
    if (read === 0)
      throw new SwapError(`slot ${slot} of the swap file cannot be read: ${String(cause ?? 'its end')}`, {
        cause,
      });
    return read;
  }

  /** Nobody needs what is in a slot. */
  free(slot: number): void {
    this.freed.push(slot);
    this.used--;
    this.diskFull = false;
  }

  close(): void {
    closeSync(this.fd);
  }
}
