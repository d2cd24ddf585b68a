/** Work on one key after another, in the order in which it was asked for. Other keys do not wait for it. */
export class InOrder<K> {
  /** The last work of each key, which has no failure. */
  readonly #last = new Map<K, Promise<void>>();

  /** Ends as `work` does; what comes after it runs also when it failed. */
  run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const result = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const done = (): void => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    };
    const settled: Promise<void> = result.then(done, done);
    this.#last.set(key, settled);
    return result;
  }
}
