// The one timer of a machine that says when it wants to be called again. One that rings too early does no harm.

/** Whose clock it is. */
interface Clock {
  readonly localMs: number;
  timer(delayLocalMs: number, work: () => void): void;
}

/** It does not ring before the clock of whole milliseconds says so. */
const LATE_MS = 0.01;

export class Alarm {
  private readonly clock: Clock;
  private readonly ring: () => void;
  private atMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, ring: () => void) {
    this.clock = clock;
    this.ring = ring;
  }

  /** @param nextMs infinite: not before the next event */
  set(nextMs: number): void {
    if (nextMs >= this.atMs) return;
    this.atMs = nextMs;
    this.clock.timer(nextMs - this.clock.localMs + LATE_MS, () => {
      if (this.atMs !== nextMs) return;
      this.atMs = Number.POSITIVE_INFINITY;
      this.ring();
    });
  }
}
