// What a program writes to one of its streams, until somebody reads it: a bounded queue, so that a reader who is slow slows
// the program.
const KEPT_BYTES = 256 * 1024;

/** For one reader. Who leaves the loop does not want the rest, and the program goes on without waiting for them. */
export class OutputStream implements AsyncIterable<Uint8Array> {
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #failure: unknown;
  #unwanted = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** Resolves when there is room for more. */
  async push(data: Uint8Array): Promise<void> {
    if (this.#unwanted || this.#ended || data.length === 0) return;
    this.#pieces.push(data);
    this.#bytes += data.length;
    this.#wakeReader?.();
    while (this.#bytes >= KEPT_BYTES && !this.#unwanted && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
  }

  /** What was pushed is still read; then the reader gets the failure, if there is one. */
  end(failure?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  /** Nobody reads it. */
  discard(): void {
    this.#unwanted = true;
    this.#pieces.length = 0;
    this.#bytes = 0;
    this.#wakeWriter?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          this.#bytes -= piece.length;
          if (this.#bytes < KEPT_BYTES) this.#wakeWriter?.();
          yield piece;
        } else if (this.#ended) {
          if (this.#failure !== undefined) throw this.#failure;
          return;
        } else
          await new Promise<void>((resolve) => {
            this.#wakeReader = resolve;
          });
      }
    } finally {
      this.discard();
    }
  }
}
