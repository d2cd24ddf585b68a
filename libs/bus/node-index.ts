// Numbers of nodes, where nobody hands them out: a node takes the lowest free one and keeps it for good.
import type { Bus, BusLog } from './bus.ts';
import { untilAnswered } from './until-answered.ts';

/** Pids are 100,000 times this and more: they stay exact numbers. */
const INDEX_MAX = 99_999;

/**
 * The number of a node. A key of a bucket is a number, its value the node's name; only one node can create a key, so
 * no two have the same number. Waits for JetStream as long as it takes.
 */
export async function claimNodeIndex(
  bus: Bus,
  node: string,
  log: BusLog,
  stopping: AbortSignal,
): Promise<number> {
  const line = 'no number for this node yet; is nats-server run with JetStream?';
  const index = await untilAnswered(() => tryClaim(bus, node), { log, line, stopping });
  log.info({ node, index }, 'number of the node');
  return index;
}

async function tryClaim(bus: Bus, node: string): Promise<number> {
  const bucket = await bus.bucket('nodes');
  const taken = new Set((await bus.keysOf('nodes')).map(Number));
  for (const index of taken) {
    if ((await bucket.get(String(index)))?.string() === node) return index;
  }
  for (let index = 1; index <= INDEX_MAX; index++) {
    if (taken.has(index)) continue;
    try {
      await bucket.create(String(index), node);
      return index;
    } catch (error) {
      // Somebody else was faster, or the server does not answer; a second look tells.
      const now = await bucket.get(String(index));
      if (now === null) throw error;
      if (now.string() === node) return index;
    }
  }
  throw new Error(`all ${INDEX_MAX} numbers of nodes are taken`);
}
