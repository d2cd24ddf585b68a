// Finds the replicas of the directory: each keeps a key with its address in a JetStream bucket.
import type { Bus } from '@odonata/bus/bus.ts';
import { untilAnswered } from '@odonata/bus/until-answered.ts';
import type { Logger } from '@odonata/rpc/log.ts';

/** Tells the addresses of all replicas, now and whenever they change. The result ends that. */
export async function followReplicas(
  bus: Bus,
  log: Logger,
  tell: (addresses: string[]) => void,
  stopping?: AbortSignal,
): Promise<() => void> {
  const addresses = new Map<string, string>();
  const follow = async (): Promise<() => void> =>
    await bus.followBucket(await bus.bucket('replicas'), (entry) => {
      if (entry.operation === 'PUT') addresses.set(entry.key, entry.json<{ address: string }>().address);
      else addresses.delete(entry.key);
      tell([...addresses.values()]);
    });
  const line = 'cannot look for the directory in JetStream yet; trying again';
  return await untilAnswered(follow, { log, line, stopping });
}
