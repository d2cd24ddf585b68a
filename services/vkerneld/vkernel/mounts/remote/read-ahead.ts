// What of a file was read before it was asked for, as a program reads it from one end to the other: a piece that is here, and the next
// one, which is on its way while the program works on the first. Others may write meanwhile, so nothing is kept for long.

/** The last bytes that were asked for begin where those before end: more is asked for at once. */
const AHEAD_BYTES = 256 * 1024;
export const KEPT_MS = 100;
/** As what was read ahead was of no use, as the program writes in between, so many reads are as they are asked for. */
const PLAIN_READS = 16;

interface Piece {
  readonly begin: number;
  readonly atMs: number;
  readonly bytes: Promise<Uint8Array>;
}

export class ReadAhead {
  readonly #read: (offset: number, lengthBytes: number) => Promise<Uint8Array>;
  readonly #now: () => number;
  #here: Piece | undefined;
  #next: Piece | undefined;
  #isOfUse = false;
  #plain = 0;
  /** Where a program goes on that reads in order. */
  #expected = 0;

  constructor(
    read: (offset: number, lengthBytes: number) => Promise<Uint8Array>,
    now: () => number = () => performance.now(),
  ) {
    this.#read = read;
    this.#now = now;
  }

  /** Fewer at the end of the file, and nowhere else. */
  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    const isNext = offset === this.#expected && offset > 0;
    const kept = await this.#kept(offset, lengthBytes);
    let bytes = kept;
    if (bytes === undefined) {
      this.forget();
      if (isNext && lengthBytes < AHEAD_BYTES && this.#plain-- <= 0) {
        this.#plain = 0;
        this.#isOfUse = false;
        this.#here = this.#ask(offset);
        const here = await this.#here.bytes;
        // A short piece is the end of the file now, and perhaps not soon.
        if (here.length < AHEAD_BYTES) this.#here = undefined;
        bytes = here.subarray(0, lengthBytes);
      } else bytes = await this.#read(offset, lengthBytes);
    }
    this.#expected = offset + bytes.length;
    return bytes;
  }

  /** The file is another one by now. */
  forget(): void {
    if (this.#here !== undefined && !this.#isOfUse) this.#plain = PLAIN_READS;
    this.#here = undefined;
    this.#next = undefined;
  }

  async #kept(offset: number, lengthBytes: number): Promise<Uint8Array | undefined> {
    if (this.#here !== undefined && offset >= this.#here.begin + AHEAD_BYTES) {
      this.#here = this.#next;
      this.#next = undefined;
    }
    const here = this.#here;
    if (here === undefined || offset < here.begin || this.#now() - here.atMs > KEPT_MS) return undefined;
    const bytes = await here.bytes;
    const from = offset - here.begin;
    if (from + lengthBytes > bytes.length || this.#here !== here) return undefined;
    this.#isOfUse = true;
    if (from + lengthBytes > AHEAD_BYTES / 2) this.#next ??= this.#ask(here.begin + AHEAD_BYTES);
    return bytes.subarray(from, from + lengthBytes);
  }

  #ask(begin: number): Piece {
    const bytes = this.#read(begin, AHEAD_BYTES);
    // Whoever needs them hears of it.
    bytes.catch(() => this.forget());
    return { begin, atMs: this.#now(), bytes };
  }
}
