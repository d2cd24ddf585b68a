// Refused calls in the log: whoever may call nothing must not fill the disk with that either.
import type { Logger } from './log.ts';
import { monotonicMs } from './monotonic.ts';

const EVERY_MS = 1_000;
const LINES = 10;

export interface Refusal {
  readonly method: string;
  readonly peer: string;
  readonly reason: string;
}

/** So many lines a second; the first of the next says how many were left out. */
export class RefusalLog {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #leftOut = 0;

  constructor(log: Logger, nowMs: () => number = monotonicMs) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  add(refusal: Refusal): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sinceMs >= EVERY_MS) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines >= LINES) {
      this.#leftOut += 1;
      return;
    }
    this.#lines += 1;
    const leftOut = this.#leftOut > 0 ? { leftOut: this.#leftOut } : {};
    this.#leftOut = 0;
    this.#log.info({ ...refusal, ...leftOut }, 'refused a call');
  }
}
