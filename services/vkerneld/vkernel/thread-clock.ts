// Processor time of one thread of this process, asked of Linux: a thread that computes, or waits in a fault, cannot be
// asked itself.

import { readFileSync } from 'node:fs';

const nsPerMs = 1e6;

export class ThreadClock {
  readonly #file: string;
  readonly #startNs: number;
  #lastNs: number;

  /** Counts from now on. @param hostThread Linux's number of the thread, 0 where it is not known: its time stays 0 */
  constructor(hostThread: number) {
    this.#file = hostThread === 0 ? '' : `/proc/self/task/${hostThread}/schedstat`;
    this.#lastNs = 0;
    this.#startNs = this.#readNs();
  }

  /** Milliseconds so far; of a thread that ended, as they were last seen. */
  readMs(): number {
    this.#lastNs = this.#readNs();
    return Math.round((this.#lastNs - this.#startNs) / nsPerMs);
  }

  /** Milliseconds that it waited for a processor, in all its life; 0 of one that ended. */
  readWaitedMs(): number {
    return Math.round(this.#fields()[1]! / nsPerMs);
  }

  #readNs(): number {
    const [ns] = this.#fields();
    return ns === 0 ? this.#lastNs : ns!; // it ended
  }

  /** Nanoseconds on a processor, and of waiting for one. */
  #fields(): number[] {
    if (this.#file === '') return [0, 0];
    try {
      return readFileSync(this.#file, 'latin1').split(' ').map(Number);
    } catch {
      return [0, 0];
    }
  }
}
