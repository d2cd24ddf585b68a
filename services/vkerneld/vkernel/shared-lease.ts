// Until when shared memory that is mapped may be used. The pmap manager takes mappings away in time by itself; but one
// that is stopped cannot, while the guests run on. So the virtual kernel watches the same deadline, by the same clock.
//
// A virtual kernel that did not run for a while finds its timer due and later deadlines unread, both at once, and timers
// come first. So what has come is read before the end: it takes a turn of the event loop, and a pmap manager that named
// those deadlines has been there all the time to take away what it had to.

const monotonicNs = (): bigint => process.hrtime.bigint();

/** Turns of the event loop in which all that had come is read: one reads, and one hands on what was read. */
const TURNS = 2;

export class SharedLease {
  private readonly onEnd: () => void;
  private timer: NodeJS.Timeout | undefined;
  private turn: NodeJS.Immediate | undefined;

  /** @param onEnd the deadline passed without a later one */
  constructor(onEnd: () => void) {
    this.onEnd = onEnd;
  }

  /** The pmap manager named a deadline, in nanoseconds of CLOCK_MONOTONIC; 0: nothing is mapped. */
  renew(deadlineNs: bigint): void {
    clearTimeout(this.timer);
    clearImmediate(this.turn);
    this.timer = undefined;
    this.turn = undefined;
    if (deadlineNs !== 0n) this.watch(deadlineNs);
  }

  private watch(deadlineNs: bigint): void {
    const leftMs = Number(deadlineNs - monotonicNs()) / 1e6;
    if (leftMs <= 0) this.endAfter(TURNS);
    else this.timer = setTimeout(() => this.watch(deadlineNs), Math.ceil(leftMs)).unref();
  }

  private endAfter(turns: number): void {
    this.turn = setImmediate(() => (turns === 0 ? this.onEnd() : this.endAfter(turns - 1)));
  }
}
