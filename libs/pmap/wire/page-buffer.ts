// Bytes of pages on their way. What is read here to be sent has room before it for the head of its message, so it is sent
// where it is, and copied no more.

import { SENT_MAX } from '@odonata/coherency/holder/holder-outbox.ts';
import type { PageBytes } from '@odonata/coherency/node/memory/page-frames.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';

/** Room for the head of a message, and for the tag and the length of its bytes. */
export const HEAD_BYTES = 192;
/** The longest run of pages that is sent. */
const POOLED_BYTES = HEAD_BYTES + SENT_MAX * PAGE_BYTES;
const POOLED_MAX = 8;

export class PageBuffer implements PageBytes<PageBuffer> {
  readonly length: number;
  private parts: readonly Uint8Array[];
  private room: Buffer | undefined;

  /**
   * @param data the bytes; what came over a line in the pieces that it came in
   * @param room the buffer that the bytes are in, from `HEAD_BYTES` on
   */
  constructor(data: Uint8Array | readonly Uint8Array[], room?: Buffer) {
    this.parts = data instanceof Uint8Array ? [data] : data;
    this.length = this.parts.reduce((sum, { length }) => sum + length, 0);
    this.room = room;
  }

  /** The bytes as they lie, in order: to be written without being joined first. */
  get pieces(): readonly Uint8Array[] {
    return this.parts;
  }

  /** The bytes in one piece. */
  get data(): Uint8Array {
    if (this.parts.length !== 1) this.parts = [Buffer.concat(this.parts, this.length)];
    return this.parts[0]!;
  }

  part(firstIndex: number, pageCount: number): PageBuffer {
    const bytes = pageCount * PAGE_BYTES;
    if (bytes === this.length) return this;
    return new PageBuffer(this.data.subarray(firstIndex * PAGE_BYTES, firstIndex * PAGE_BYTES + bytes));
  }

  /** The buffer around the bytes, once: a message that is under way must not be written again. */
  takeRoom(): Buffer | undefined {
    const { room } = this;
    this.room = undefined;
    return room;
  }
}

/** Buffers for long messages: fresh ones cost page faults and collections. */
export class PagePool {
  private readonly free: Buffer[] = [];

  /** A buffer for pages, with room for a head. */
  take(pageCount: number): PageBuffer {
    const bytes = pageCount * PAGE_BYTES;
    const end = HEAD_BYTES + bytes;
    const pooled = end >= POOLED_BYTES / 4 && end <= POOLED_BYTES;
    const room = pooled ? (this.free.pop() ?? this.fresh(POOLED_BYTES)) : this.fresh(end);
    return new PageBuffer(room.subarray(HEAD_BYTES, end), room);
  }

  private fresh(bytes: number): Buffer {
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** Nobody uses a buffer any more. */
  giveBack(room: Buffer): void {
    if (room.length === POOLED_BYTES && this.free.length < POOLED_MAX) this.free.push(room);
  }
}
