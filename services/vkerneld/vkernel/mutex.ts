// A lock between threads of one process: a word of shared memory. A thread that holds it may be ended, but then all threads of the
// process are.
//
//   0 free   1 held   2 held, and somebody may wait for it

const FREE = 0;
const HELD = 1;
const WAITED_FOR = 2;

export class Mutex {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #at: number;

  constructor(words: Int32Array<SharedArrayBuffer>, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** Only one thread at a time runs something under it; not again by who holds it. */
  with<T>(run: () => T): T {
    this.lock();
    try {
      return run();
    } finally {
      this.unlock();
    }
  }

  lock(): void {
    if (Atomics.compareExchange(this.#words, this.#at, FREE, HELD) === FREE) return;
    while (Atomics.exchange(this.#words, this.#at, WAITED_FOR) !== FREE)
      Atomics.wait(this.#words, this.#at, WAITED_FOR);
  }

  unlock(): void {
    if (Atomics.exchange(this.#words, this.#at, FREE) === WAITED_FOR)
      Atomics.notify(this.#words, this.#at, 1);
  }
}
