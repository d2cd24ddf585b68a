/** Exponential backoff with full jitter between half and all of the step, so that a cluster does not retry in step. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(options: { firstMs?: number; maxMs?: number; random?: () => number } = {}) {
    this.#firstMs = options.firstMs ?? 50;
    this.#maxMs = options.maxMs ?? 2_000;
    this.#random = options.random ?? Math.random;
  }

  /** Failures since the last success. */
  get attempts(): number {
    return this.#attempts;
  }

  /** How long to wait before the next attempt, in milliseconds. */
  nextDelayMs(): number {
    const stepMs = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return stepMs / 2 + (this.#random() * stepMs) / 2;
  }

  /** After a success. */
  reset(): void {
    this.#attempts = 0;
  }
}

/** Resolves after so many milliseconds, or at once when the signal aborts. It never rejects: ask the signal. */
export function delay(delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/**
 * Runs `attempt` until it succeeds, with backoff between failures. Ends with the last error when `retry` says no,
 * after `maxAttempts`, or when the signal aborts.
 */
export async function withBackoff<T>(
  attempt: () => Promise<T>,
  options: {
    signal?: AbortSignal;
    maxAttempts?: number;
    backoff?: Backoff;
    /** Asked after each failure; false ends the retries. */
    retry?: (error: unknown, attempts: number) => boolean;
  } = {},
): Promise<T> {
  const backoff = options.backoff ?? new Backoff();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const delayMs = backoff.nextDelayMs();
      if (backoff.attempts >= (options.maxAttempts ?? Number.POSITIVE_INFINITY)) throw error;
      if (options.retry?.(error, backoff.attempts) === false) throw error;
      await delay(delayMs, options.signal);
      if (options.signal?.aborted) throw error;
    }
  }
}
