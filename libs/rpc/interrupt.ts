/**
 * Lets one waiter at a time give up waiting. `Promise.race` against one long-lived promise would do the same, but
 * keeps every value of an endless stream alive until that promise settles.
 */
export class Interrupt {
  #fired = false;
  #wake: (() => void) | undefined;

  get fired(): boolean {
    return this.#fired;
  }

  fire(): void {
    this.#fired = true;
    this.#wake?.();
  }

  /** What `promise` brings, or undefined once fired. A rejection that comes later is not reported. */
  wait<T>(promise: Promise<T>): Promise<T | undefined> {
    if (this.#fired) {
      promise.catch(() => {});
      return Promise.resolve(undefined);
    }
    return new Promise((resolve, reject) => {
      this.#wake = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  }
}
