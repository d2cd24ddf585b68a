// Until when shared memory that is mapped may be used. The pmap manager takes mappings away in time by itself; but one
// that is stopped cannot, while the guests run on. So the virtual kernel watches the same deadline, by the same clock.

const monotonicNs = (): bigint => process.hrtime.bigint();

export class SharedLease {
  private readonly onEnd: () => void;
  private timer: NodeJS.Timeout | undefined;

  /** @param onEnd the deadline passed without a later one */
  constructor(onEnd: () => void) {
    this.onEnd = onEnd;
  }

  /** The pmap manager named a deadline, in nanoseconds of CLOCK_MONOTONIC; 0: nothing is mapped. */
  renew(deadlineNs: bigint): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (deadlineNs !== 0n) this.watch(deadlineNs);
  }

  private watch(deadlineNs: bigint): void {
    const leftMs = Number(deadlineNs - monotonicNs()) / 1e6;
    if (leftMs <= 0) this.onEnd();
    else this.timer = setTimeout(() => this.watch(deadlineNs), Math.ceil(leftMs)).unref();
  }
}
