// The frames of a machine that is a node of several clusters: one pool, and one count of it, which the threads of its pmap
// manager share. Each of them has its own frames and its own bound; what is free is what its bound leaves and the pool has.
//
//   words of 32 bits:   [frames in all] [had by the node's own cluster] [had by lodger 1] ... [had by lodger 7]
//
// Each member writes its own word and reads all others. What is granted ahead is added first and looked at then, so two who
// grant at the same time are both refused rather than both served. A page that was asked of another node is counted whatever
// the sum is then: at most one run of pages a member is beyond the pool for a moment, and the tmpfs bounds that.

import { LODGERS_MAX } from '@odonata/rpc/lodging/wanted.ts';

const WORDS = 2 + LODGERS_MAX;

export class FramePool {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #own: number;

  /** @param slot 0: the node's own cluster; from 1 on a lodger */
  constructor(buffer: SharedArrayBuffer, slot: number) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#own = 1 + slot;
  }

  /** Of a machine that hands so many frames out. */
  static of(frames: number): FramePool {
    const pool = new FramePool(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT), 0);
    pool.#words[0] = frames;
    return pool;
  }

  get total(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Frames that this member has. */
  get had(): number {
    return Atomics.load(this.#words, this.#own);
  }

  /** The same of another one. */
  hadBy(slot: number): number {
    return Atomics.load(this.#words, 1 + slot);
  }

  /** Frames that nobody has; below 0 where there are fewer than are had. */
  get left(): number {
    let left = this.total;
    for (let word = 1; word < WORDS; word++) left -= Atomics.load(this.#words, word);
    return left;
  }

  /** Frames that other members have. */
  get elsewhere(): number {
    return this.total - this.left - this.had;
  }

  /** Takes so many, or as many as there are. @returns how many */
  take(frames: number): number {
    this.add(frames);
    const back = Math.min(frames, Math.max(0, -this.left));
    this.add(-back);
    return frames - back;
  }

  /** So many more are had, or fewer, whatever the pool has. */
  add(frames: number): void {
    if (frames !== 0) Atomics.add(this.#words, this.#own, frames);
  }

  /** A member begins anew, or is no more: it has none. */
  clear(slot: number): void {
    Atomics.store(this.#words, 1 + slot, 0);
  }
}
