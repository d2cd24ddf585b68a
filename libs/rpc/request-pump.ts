import type { Interrupt } from './interrupt.ts';

/**
 * Hands each request to `write`, which returns a promise when the line is full. Ends after the last, or when the call
 * has ended; rejects with the producer's error.
 */
export async function pumpRequests(
  requests: AsyncIterable<unknown>,
  ended: Interrupt,
  write: (request: unknown) => Promise<void> | undefined,
): Promise<void> {
  const iterator = requests[Symbol.asyncIterator]();
  for (;;) {
    const result = await ended.wait(iterator.next());
    if (result === undefined || ended.fired) break;
    if (result.done) return;
    const full = write(result.value);
    if (full !== undefined) await ended.wait(full);
  }
  // Not awaited: a producer that waits for something may never come back.
  iterator.return?.().catch(() => {});
}
