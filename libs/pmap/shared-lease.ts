// Until when shared memory that is mapped may be used. The pmap manager takes mappings away in time by itself; but one
// that is stopped cannot, while the guests run on. So the virtual kernel watches the same deadline, by the same clock.
//
// A virtual kernel that did not run for a while finds its timer due and later deadlines unread, both at once, and timers
// come first. So what has come is read before the end: it takes a turn of the event loop, and a pmap manager that named
// those deadlines has been there all the time to take away what it had to.

// Threads of guests run on whatever stands still. So before anything that a guest did can be seen by others, its thread
// looks at the deadline too, and waits where it has passed: until there is a later one, or the process ends.

const monotonicNs = (): bigint => process.hrtime.bigint();

/**
 * The deadline, for threads of guests.
 *
 *   bytes 0 ... 7   the deadline; 0: nothing is mapped      word 2   1 from the first deadline on, for good
 *
 * Most virtual kernels never hear of one, and a thread looks at each call: so it looks at the word first, which is never taken back, so
 * that nothing that was done before a deadline went can be missed by who reads the word alone.
 */
export type LeaseCell = SharedArrayBuffer;

const NAMED = 2;

export const createLease = (): LeaseCell => new SharedArrayBuffer(16);

/** @param deadlineNs 0: nothing is mapped */
export function nameDeadline(cell: LeaseCell, deadlineNs: bigint): void {
  if (deadlineNs !== 0n) Atomics.store(new Int32Array(cell), NAMED, 1);
  Atomics.store(new BigInt64Array(cell), 0, deadlineNs);
}

/** A guest's view of the deadline. */
export class LeaseWatch {
  readonly #deadline: BigInt64Array;
  readonly #words: Int32Array;

  constructor(cell: LeaseCell) {
    this.#deadline = new BigInt64Array(cell);
    this.#words = new Int32Array(cell);
  }

  /** No deadline was ever named. A read that is not atomic: those take as long as all else that a clock does. */
  get isIdle(): boolean {
    return this.#words[NAMED] === 0;
  }

  /** False where the deadline has passed, and no later one is named. */
  get lasts(): boolean {
    const deadlineNs = Atomics.load(this.#deadline, 0);
    return deadlineNs === 0n || monotonicNs() < deadlineNs;
  }
}

/** Turns of the event loop in which all that had come is read: one reads, and one hands on what was read. */
const TURNS = 2;

export class SharedLease {
  readonly cell: LeaseCell = createLease();
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
    nameDeadline(this.cell, deadlineNs);
    if (deadlineNs !== 0n) this.watch(deadlineNs);
  }

  private watch(deadlineNs: bigint): void {
    const leftMs = Number(deadlineNs - monotonicNs()) / 1e6;
    if (leftMs <= 0) this.endAfter(TURNS);
    else this.timer = setTimeout(() => this.watch(deadlineNs), Math.ceil(leftMs)).unref();
  }

  private endAfter(turns: number): void {
    this.turn = setImmediate(() => (turns === 0 ? this.end() : this.endAfter(turns - 1)));
  }

  private end(): void {
    this.onEnd();
    // Who has nothing mapped goes on.
    nameDeadline(this.cell, 0n);
  }
}
