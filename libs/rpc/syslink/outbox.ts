import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '../bug.ts';
import type { RpcError } from '../error.ts';
import { frameBytes } from './frame.ts';
import type { FrameStream } from './frames/frame-stream.ts';

const BATCH_BYTES = 1024 * 1024;
const BATCH_FRAMES = 256;

interface Waiting {
  readonly frame: Frame;
  readonly bytes: number;
  readonly sent: (() => void) | undefined;
  readonly written: (() => void) | undefined;
}

/**
 * Frames on their way into a stream. What is sent within one turn of the event loop, or while the stream is full,
 * leaves in one batch. It does not bound itself: who sends asks `waitingBytes` and answers the caller.
 */
export class Outbox {
  readonly #stream: FrameStream;
  #frames: Waiting[] = [];
  #waitingBytes = 0;
  #scheduled = false;
  #full = false;
  #closed = false;
  readonly #flushLate: () => void;

  /** @param end a bug in what is sent, or in who is told of it, ends the stream */
  constructor(stream: FrameStream, end?: (error: RpcError) => void) {
    this.#stream = stream;
    this.#flushLate = ownTurn(
      { outbox: 'frames' },
      () => {
        this.#scheduled = false;
        this.#flush();
      },
      end,
    );
    stream.on('drain', () => {
      this.#full = false;
      this.#flush();
    });
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /**
   * @param sent called when the stream has taken it
   * @param written called when nobody reads its bytes any more; not where the stream ends before
   */
  send(frame: Frame, sent?: () => void, written?: () => void): void {
    if (this.#closed) return;
    const bytes = frameBytes(frame);
    this.#frames.push({ frame, bytes, sent, written });
    this.#waitingBytes += bytes;
    if (this.#scheduled || this.#full) return;
    this.#scheduled = true;
    queueMicrotask(this.#flushLate);
  }

  /** Sends what waits, however full the stream is: before its end. */
  flushAll(): void {
    this.#full = false;
    while (this.#frames.length > 0 && !this.#closed) {
      this.#full = false;
      this.#flush();
    }
  }

  /** Drops what waits, and all that comes. */
  close(): void {
    this.#closed = true;
    this.#frames = [];
    this.#waitingBytes = 0;
  }

  #flush(): void {
    while (this.#frames.length > 0 && !this.#full && !this.#closed) {
      const batch = this.#nextBatch();
      const frames = batch.map(({ frame }) => frame);
      if (!this.#stream.write(frames, writtenOf(batch))) this.#full = true;
      for (const { sent } of batch) sent?.();
    }
  }

  #nextBatch(): Waiting[] {
    const waiting = this.#frames;
    let end = 0;
    let bytes = 0;
    while (end < waiting.length && end < BATCH_FRAMES && bytes < BATCH_BYTES) {
      bytes += waiting[end]!.bytes;
      end += 1;
    }
    this.#waitingBytes -= bytes;
    this.#frames = end === waiting.length ? [] : waiting.slice(end);
    return end === waiting.length ? waiting : waiting.slice(0, end);
  }
}

function writtenOf(batch: readonly Waiting[]): (() => void) | undefined {
  if (batch.every(({ written }) => written === undefined)) return undefined;
  return () => {
    for (const { written } of batch) written?.();
  };
}
