// A router may go away while it is asked: what may be asked twice is asked again through another one, or through the next
// life of that one. What a service answers is the answer.
import { orAborted } from './abort.ts';
import type { Connection } from './connection.ts';

/** A router that went away is back, or another one is there, within this. */
export const AWAY_MS = 18_000;

/** @param attempt without effect, or with the same effect when it is done twice */
export async function overRouters<T>(
  to: Connection,
  attempt: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const endMs = performance.now() + AWAY_MS;
  for (;;) {
    try {
      return await orAborted(attempt(), signal);
    } catch (error) {
      if (to.connected || signal?.aborted || performance.now() > endMs) throw error;
      await to.ready(Math.max(1, endMs - performance.now()), signal);
      // One that has just started does not know all yet: a list would lack them without a word.
      await to.settled(signal).catch(() => {});
    }
  }
}
