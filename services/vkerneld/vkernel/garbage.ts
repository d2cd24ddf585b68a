// Collects garbage on demand. A process that ended leaves little on the heap, so V8 sees no reason to collect, but
// what that little holds is large: gigabytes of address space, and mappings, of which Linux allows 65,530.

import { collectGarbage } from '@odonata/rpc/heap.ts';

/** A collection holds up the main thread for some milliseconds, so better while nothing runs. */
const endsWhenIdle = 16;
const endsAtMost = 256;

export class EndedProcesses {
  #ends = 0;

  /** A process ended, and so many still run. */
  ended(running: number): void {
    this.#ends++;
    if (this.#ends < endsWhenIdle || (running > 0 && this.#ends < endsAtMost)) return;
    this.#ends = 0;
    // Not now: what tells of the end still holds it.
    setImmediate(collectGarbage);
  }
}
