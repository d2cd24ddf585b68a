// Standard input of a program, kept until it is with it: what a stream takes along that breaks is sent again on the next.
const PIECE_BYTES = 64 * 1024;
/** What is kept at most; more is read when the program took some. */
const KEPT_BYTES = 2 * 1024 * 1024;
/** What may be under way, and not said to be there; the supervisor takes twice as much. */
const SENT_BYTES = 256 * 1024;

export class ProgramInput {
  readonly #pieces: Uint8Array[] = [];
  /** Of `#pieces`: what was sent on the stream of this time. */
  #next = 0;
  #sentBytes = 0;
  #keptBytes = 0;
  #takenBytes = 0n;
  #ended = false;
  #closed = false;
  /** The far end says what it has; else what is sent counts as taken. */
  acknowledged = false;
  readonly #waiting = new Set<() => void>();

  /** Until its end, or `close`. */
  async feed(source: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        while (this.#keptBytes >= KEPT_BYTES && !this.#closed) await this.#change();
        if (this.#closed) return;
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        this.#pieces.push(piece);
        this.#keptBytes += piece.length;
        this.#changed();
      }
    }
    this.#ended = true;
    this.#changed();
  }

  /** The far end has so many bytes, since the start. */
  taken(bytes: bigint): void {
    while (this.#takenBytes < bytes && this.#pieces.length > 0) this.#drop();
    this.#changed();
  }

  #drop(): void {
    const piece = this.#pieces.shift()!;
    this.#takenBytes += BigInt(piece.length);
    this.#keptBytes -= piece.length;
    if (this.#next === 0) return;
    this.#next--;
    this.#sentBytes -= piece.length;
  }

  /** What is not taken is sent once more, from now on. */
  rewind(): void {
    this.#next = 0;
    this.#sentBytes = 0;
  }

  /** The next piece that is to be sent; `end` when no more comes, undefined when there is none now. */
  shift(): Uint8Array | 'end' | undefined {
    const piece = this.#pieces[this.#next];
    if (piece === undefined) return this.#ended || this.#closed ? 'end' : undefined;
    if (this.#sentBytes >= SENT_BYTES) return undefined;
    this.#next++;
    this.#sentBytes += piece.length;
    if (!this.acknowledged) {
      this.#drop();
      this.#changed();
    }
    return piece;
  }

  /** Nobody takes any more. */
  close(): void {
    this.#closed = true;
    this.#changed();
  }

  /** Whoever waits looks again. */
  #changed(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }

  /** Resolves when something changed, or is said to have. */
  get change(): Promise<void> {
    return this.#change();
  }

  wake(): void {
    this.#changed();
  }
}
