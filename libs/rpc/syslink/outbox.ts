import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '../bug.ts';
import type { RpcError } from '../error.ts';
import { frameBytes } from './frame.ts';
import { encodeFrames } from './frame-batch.ts';

const BATCH_BYTES = 1024 * 1024;
const BATCH_FRAMES = 256;

/** The part of a grpc stream that an outbox needs. */
export interface FrameStream {
  /** A batch, or, as ever where messages are encoded by `encoder`, its bytes. */
  write(batch: { frames: Frame[] }): boolean;
  on(event: 'drain', listener: () => void): unknown;
}

interface Waiting {
  readonly frame: Frame;
  readonly sent: (() => void) | undefined;
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

  /** @param sent called when the stream has taken it */
  send(frame: Frame, sent?: () => void): void {
    if (this.#closed) return;
    this.#frames.push({ frame, sent });
    this.#waitingBytes += frameBytes(frame);
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
    let start = 0;
    while (start < this.#frames.length && !this.#full && !this.#closed) {
      let end = start;
      let bytes = 0;
      while (end < this.#frames.length && end - start < BATCH_FRAMES && bytes < BATCH_BYTES) {
        bytes += frameBytes(this.#frames[end]!.frame);
        end += 1;
      }
      const batch = this.#frames.slice(start, end);
      start = end;
      this.#waitingBytes -= bytes;
      const frames = batch.map(({ frame }) => frame);
      if (!this.#stream.write((encodeFrames(frames) as unknown as { frames: Frame[] }) ?? { frames }))
        this.#full = true;
      for (const { sent } of batch) sent?.();
    }
    if (start > 0) this.#frames = this.#frames.slice(start);
  }
}
