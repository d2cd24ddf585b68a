// Standard input of one process, on the main thread's side: what came and was not read yet.
import type { InputState } from '@odonata/proto/vkernel/v1/vkernel';

/** The supervisor sends at most 1 MiB ahead; more than this is its bug. */
export const inputBytesMax = 4 << 20;
/** Ends that a terminal was told of, and nobody read. */
const CHUNKS_MAX = 65_536;

export class StandardInput {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #listeners: (() => void)[] = [];

  get availableBytes(): number {
    return this.#bytes;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A read would not have to wait. */
  get readable(): boolean {
    return this.#chunks.length > 0 || this.#ended;
  }

  /** As `readable`, or something may be there that is to be asked for. */
  get isReady(): boolean {
    return this.readable;
  }

  /** Before bytes are taken: where it is on another node they are asked for. @param maxBytes 0: only whether there are some */
  async request(_maxBytes: number): Promise<void> {}

  /** Of input on another node. */
  said(_state: InputState): void {}

  /** What its process asked for and did not read, for whoever else reads there. */
  leave(): Uint8Array[] {
    return [];
  }

  /** They were taken, and nobody read them. */
  putBack(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#chunks.unshift(data.slice());
    this.#bytes += data.length;
    this.tell();
  }

  /** False when it holds too much: then the bytes were not taken. */
  push(data: Uint8Array): boolean {
    if (this.#ended || data.length === 0) return true;
    if (this.#bytes + data.length > inputBytesMax) return false;
    this.#chunks.push(data.slice());
    this.#bytes += data.length;
    this.tell();
    return true;
  }

  /** A read gets nothing, once: the end of what was typed, as a terminal has it. */
  endOnce(): void {
    if (this.#ended || this.#chunks.length >= CHUNKS_MAX) return;
    this.#chunks.push(new Uint8Array(0));
    this.tell();
  }

  /** What was not read is gone. */
  flush(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
  }

  end(): void {
    this.#ended = true;
    this.tell();
  }

  /** The next bytes, at most maxBytes; empty when there are none. */
  take(maxBytes: number): Uint8Array {
    const first = this.#chunks[0];
    if (first === undefined) return new Uint8Array(0);
    const part = first.subarray(0, maxBytes);
    if (part.length === first.length) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(part.length);
    this.#bytes -= part.length;
    return part;
  }

  /** Resolves when it is ready, or after timeoutMs (< 0: never). */
  whenReadable(timeoutMs: number): Promise<void> {
    if (this.isReady || timeoutMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = timeoutMs < 0 ? undefined : setTimeout(resolve, Math.min(timeoutMs, timerMaxMs));
      this.#listeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  protected tell(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

/** What setTimeout takes; a poll that ends early looks at its clocks and polls again. */
const timerMaxMs = 2 ** 31 - 1;
