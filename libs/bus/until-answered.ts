import { Backoff, withBackoff } from '@odonata/rpc/backoff.ts';
import type { BusLog } from './bus.ts';

const RETRY_MS = 500;

/** Asks JetStream as long as it takes, and says so. Ends with the last error when it is to stop. */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  { log, line, stopping }: { log: BusLog; line: string; stopping?: AbortSignal },
): Promise<T> {
  return await withBackoff(ask, {
    signal: stopping,
    backoff: new Backoff({ firstMs: RETRY_MS, maxMs: RETRY_MS }),
    retry: (error) => {
      if (stopping?.aborted) return false;
      log.warn({ err: error }, line);
      return true;
    },
  });
}
