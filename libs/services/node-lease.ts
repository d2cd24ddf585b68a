// The lease of this node, by its own clock.
import { ALARM_MS, HOLD_MS, RENEW_MS } from './times.ts';

export class NodeLease {
  /** 0: none. */
  epoch = 0;
  #beat = 0;
  #endsMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;

  isHeld(nowMs: number): boolean {
    return this.epoch !== 0 && nowMs < this.#endsMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#askedMs >= RENEW_MS;
  }

  /** @returns a number that no renewal of this life had */
  asked(nowMs: number): number {
    this.#askedMs = nowMs;
    return ++this.#beat;
  }

  /** Counts from when it was asked: the answer may have taken its time. @returns when the kernel's alarm is */
  renewed(epoch: number): number {
    this.epoch = epoch;
    this.#endsMs = this.#askedMs + HOLD_MS;
    return this.#askedMs + ALARM_MS;
  }

  lost(): void {
    this.epoch = 0;
  }
}
