// Finds the replicas of the directory: each keeps a key with its address in a JetStream bucket.
import type { Bus } from '@odonata/bus/bus.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Logger } from '@odonata/rpc/log.ts';

const RETRY_MS = 500;

/** Tells the addresses of all replicas, now and whenever they change. The result ends that. */
export async function followReplicas(
  bus: Bus,
  log: Logger,
  tell: (addresses: string[]) => void,
): Promise<() => void> {
  const addresses = new Map<string, string>();
  for (;;) {
    try {
      return await bus.followBucket(await bus.bucket('replicas'), (entry) => {
        if (entry.operation === 'PUT') addresses.set(entry.key, entry.json<{ address: string }>().address);
        else addresses.delete(entry.key);
        tell([...addresses.values()]);
      });
    } catch (error) {
      log.warn({ err: error }, 'cannot look for the directory in JetStream yet; trying again');
      await delay(RETRY_MS);
    }
  }
}
