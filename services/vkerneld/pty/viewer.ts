// Who looks at a terminal: what was shown and is not with them yet. One that takes nothing slows the program, and nobody else.

/** Of echo beyond this nothing is kept; what programs write has a window of its own. */
const ECHO_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

interface Shown {
  data: Uint8Array;
  /** Bytes of a program that it was made of. */
  credit: number;
}

export class Viewer {
  readonly #queue: Shown[] = [];
  readonly #took: () => void;
  #bytes = 0;
  #wake: (() => void) | undefined;
  /** Of programs' bytes, since it came: what it has. */
  takenBytes = 0;
  isOver = false;

  constructor(took: () => void) {
    this.#took = took;
  }

  show(data: Uint8Array, credit: number): void {
    if (credit === 0 && this.#bytes > ECHO_BYTES) return;
    const last = this.#queue.at(-1);
    if (last !== undefined && last.data.length + data.length <= PIECE_BYTES) {
      last.data = Buffer.concat([last.data, data]);
      last.credit += credit;
    } else this.#queue.push({ data, credit });
    this.#bytes += data.length;
    this.wake();
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Nothing more comes. */
  end(): void {
    this.isOver = true;
    this.wake();
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#queue.shift();
      if (next === undefined) {
        if (this.isOver) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#bytes -= next.data.length;
      for (let at = 0; at < next.data.length; at += PIECE_BYTES)
        yield next.data.subarray(at, at + PIECE_BYTES);
      this.takenBytes += next.credit;
      this.#took();
    }
  }
}
