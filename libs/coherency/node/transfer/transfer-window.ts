// How many bytes may be on their way to one node before it says that it has some: as many as keep the line busy, and not
// many more. The time from a chunk to its answer tells, measured where the line is loaded.
//
//   more waits, and the answer takes about as long as on an idle line     the window doubles
//   the answer takes far longer: what was sent waits at the receiver      the window halves
//   a cut                                                                 at most what a new line begins with

export const WINDOW_MIN_BYTES = 256 * 1024;
export const WINDOW_FIRST_BYTES = 1024 * 1024;
export const WINDOW_MAX_BYTES = 8 * 1024 * 1024;

/** What the idle line took is measured anew after this: routes and machines change. */
const IDLE_MEASURED_MS = 30_000;
/** A turn of a busy process, which says nothing of the line. */
const TURN_MS = 5;
/** What was sent waits at the receiver for so long: it is slow. */
const LATE_MS = 40;

export class TransferWindow {
  private size = WINDOW_FIRST_BYTES;
  private idleMs = Number.POSITIVE_INFINITY;
  private idleAtMs = 0;

  get bytes(): number {
    return this.size;
  }

  /**
   * A chunk that asked for an answer at once was answered.
   * @param limited more was to be sent meanwhile than the window let through
   */
  measured(tookMs: number, limited: boolean, nowMs: number): void {
    if (tookMs <= this.idleMs || nowMs - this.idleAtMs > IDLE_MEASURED_MS) {
      this.idleMs = tookMs;
      this.idleAtMs = nowMs;
    }
    if (limited && tookMs <= 2 * this.idleMs + TURN_MS) this.size = Math.min(WINDOW_MAX_BYTES, this.size * 2);
    else if (tookMs > 4 * this.idleMs + LATE_MS) this.size = Math.max(WINDOW_MIN_BYTES, this.size / 2);
  }

  cut(): void {
    this.size = Math.min(this.size, WINDOW_FIRST_BYTES);
    this.idleMs = Number.POSITIVE_INFINITY;
  }
}
