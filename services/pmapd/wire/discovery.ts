// Finds the replicas of the directory by their heartbeats, which say where each is reached.
import type { Bus } from '@odonata/bus/bus.ts';
import { storedIn } from '@odonata/bus/stored.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { z } from 'zod';

/** A replica that is silent for so long while others are heard is gone. Longer than the longest lease. */
const SILENT_MS = 180_000;
/** Of a row of addresses that no cluster has. */
const REPLICAS_MAX = 64;

/** A replica is heard several times a lease; where there is none yet nobody waits for it. */
const FIRST_MS = 3_000;

const heartbeat = z.object({ address: z.string() });

/** Tells the addresses of all replicas whenever one is heard; waits a while for the first. The result ends it. */
export async function followReplicas(
  bus: Bus,
  log: Pick<Logger, 'warn'>,
  tell: (addresses: string[]) => void,
  stopping?: AbortSignal,
): Promise<() => void> {
  const heard = new Map<string, { address: string; atMs: number }>();
  const first = Promise.withResolvers<void>();
  const stop = bus.hearBucket('replicas', (key, bytes) => {
    const nowMs = monotonicMs();
    if (bytes === undefined) heard.delete(key);
    else {
      const address = addressIn(bytes);
      if (address === undefined || (!heard.has(key) && heard.size >= REPLICAS_MAX)) {
        log.warn(
          { key, replicas: heard.size },
          'a heartbeat that says no address, or of one replica too many',
        );
        return;
      }
      heard.set(key, { address, atMs: nowMs });
    }
    for (const [one, { atMs }] of heard) if (nowMs - atMs > SILENT_MS) heard.delete(one);
    tell([...heard.values()].map(({ address }) => address));
    first.resolve();
  });
  await Promise.race([first.promise, delay(FIRST_MS, stopping)]);
  return stop;
}

const addressIn = (bytes: Uint8Array): string | undefined =>
  storedIn(heartbeat, Buffer.from(bytes).toString())?.address;
