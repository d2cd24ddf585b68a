// The types of functions that programs of this virtual kernel had so far. V8 keeps each different one for as long as the process
// lives, in a table of a million for all programs together, and ends the process when it is full: 20 programs of 50,000 types
// each, or one. So they are counted before V8 sees them, the same in several programs once.
//
// A table of hashes in memory that the threads of all programs share; what is in it stays.
import { hash } from 'node:crypto';

const SLOTS = 2 ** 19;
/** Half of the slots: a look takes few steps. V8's own table has room for four times that. */
export const TYPES_SEEN_MAX = SLOTS / 2;
const COUNT_BYTES = 8;

export class TypesSeen {
  readonly #count: Int32Array;
  readonly #slots: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#count = new Int32Array(memory, 0, 1);
    this.#slots = new BigInt64Array(memory, COUNT_BYTES, SLOTS);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(COUNT_BYTES + SLOTS * 8);
  }

  get count(): number {
    return Atomics.load(this.#count, 0);
  }

  /** Notes types, each as its bytes. False where there is no room for those that are new. */
  note(types: readonly Uint8Array[]): boolean {
    return types.every((type) => this.#noteOne(type));
  }

  #noteOne(type: Uint8Array): boolean {
    // Of a kind that nobody finds two of: who could would be counted once for many.
    const bytes = hash('sha256', type, 'buffer');
    const key = bytes.readBigInt64LE(0) | 1n; // None is 0, which an empty slot is.
    for (let at = bytes.readUInt32LE(8) % SLOTS; ; at = (at + 1) % SLOTS) {
      const found = Atomics.load(this.#slots, at);
      if (found === key) return true;
      if (found !== 0n) continue;
      if (this.count >= TYPES_SEEN_MAX) return false;
      const before = Atomics.compareExchange(this.#slots, at, 0n, key);
      if (before === key) return true;
      if (before !== 0n) continue;
      Atomics.add(this.#count, 0, 1);
      return true;
    }
  }
}
