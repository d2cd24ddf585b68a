// Where in a file descriptors are that several processes have of one open: `(one; two) > file` writes one after the other. A word of
// memory that all of their threads see, and a lock, for a read or write and the step of the position are one.
//
//   word 0   who holds the lock, by a number of its process; 0: nobody      bytes 8 ... 15   the position

const BYTES = 16;
/** A holder that ended lets go (`abandon`); whoever waits looks by itself, too. */
const LOOK_AGAIN_MS = 50;

export class FilePosition {
  readonly cell: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #position: BigInt64Array;

  constructor(cell: SharedArrayBuffer) {
    this.cell = cell;
    this.#words = new Int32Array(cell);
    this.#position = new BigInt64Array(cell);
  }

  static at(bytes: bigint): FilePosition {
    const position = new FilePosition(new SharedArrayBuffer(BYTES));
    position.bytes = bytes;
    return position;
  }

  get bytes(): bigint {
    return Atomics.load(this.#position, 1);
  }

  set bytes(bytes: bigint) {
    Atomics.store(this.#position, 1, bytes);
  }

  /** @param holder not 0. @returns how to let go */
  hold(holder: number): () => void {
    for (;;) {
      const by = Atomics.compareExchange(this.#words, 0, 0, holder);
      if (by === 0) return () => this.abandon(holder);
      Atomics.wait(this.#words, 0, by, LOOK_AGAIN_MS);
    }
  }

  /** The same where the thread may not wait, for others need it to let go. Undefined: somebody else holds it. */
  tryHold(holder: number): (() => void) | undefined {
    if (Atomics.compareExchange(this.#words, 0, 0, holder) !== 0) return undefined;
    return () => this.abandon(holder);
  }

  /** Nothing of this holder's runs any more. */
  abandon(holder: number): void {
    if (Atomics.compareExchange(this.#words, 0, holder, 0) === holder) Atomics.notify(this.#words, 0, 1);
  }
}

/** A number of a process, as a holder. */
export const holderOf = (pid: bigint): number => Number(BigInt.asUintN(30, pid)) + 1;

/** From now on the descriptor's position is this one. */
export function positionIs(
  descriptor: { positionBytes: bigint; shared?: FilePosition },
  position: FilePosition,
): void {
  descriptor.shared = position;
  Object.defineProperty(descriptor, 'positionBytes', {
    get: () => position.bytes,
    set: (bytes: bigint) => {
      position.bytes = bytes;
    },
  });
}
