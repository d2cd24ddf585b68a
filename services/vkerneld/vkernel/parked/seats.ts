// Threads that a virtual kernel has for its programs: one that is parked has none, and one that goes on waits until there is one for it.

/** Threads that go on with a program at one time: more would only wait for processors, and hold up the virtual kernel. */
export const COMING_MAX = 4;

export interface Seat {
  /** Many threads are there. */
  readonly isCrowded: boolean;
  /** It has none from now on, and waits for none. */
  leave(): void;
  /** It is to have one again: resolves when it does. */
  back(): Promise<void>;
  /** It is there again. */
  there(): void;
}

export class Seats {
  readonly #max: number;
  /** Threads that programs have beside those that they begin in. */
  readonly #others: () => number;
  readonly #seated = new Set<Seat>();
  readonly #waiting = new Map<Seat, () => void>();
  /** Those that have one again, and are not there yet. */
  readonly #coming = new Set<Seat>();

  constructor(max: number, others: () => number) {
    this.#max = max;
    this.#others = others;
  }

  get taken(): number {
    return this.#seated.size;
  }

  get isFull(): boolean {
    return this.#seated.size + this.#others() >= this.#max;
  }

  get isCrowded(): boolean {
    return this.#seated.size + this.#others() > this.#max / 2;
  }

  /** For a program that begins, whether there is one or not. */
  sit(): Seat {
    const seats = this;
    const seat: Seat = {
      get isCrowded() {
        return seats.isCrowded;
      },
      leave: () => {
        seats.#seated.delete(seat);
        seats.#waiting.delete(seat);
        seats.#coming.delete(seat);
        seats.changed();
      },
      back: () =>
        new Promise((resolve) => {
          if (seats.#seated.has(seat)) resolve();
          else seats.#waiting.set(seat, resolve);
          seats.changed();
        }),
      there: () => {
        seats.#coming.delete(seat);
        seats.changed();
      },
    };
    this.#seated.add(seat);
    return seat;
  }

  /** Some thread is gone: whoever waits longest is next. */
  changed(): void {
    for (const [seat, resolve] of this.#waiting) {
      if (this.isFull || this.#coming.size >= COMING_MAX) return;
      this.#waiting.delete(seat);
      this.#coming.add(seat);
      this.#seated.add(seat);
      resolve();
    }
  }
}
