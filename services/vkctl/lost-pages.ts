// Pages whose only copy is lost, by dataspace: what a restart of a service must not change.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '@odonata/client/cluster.ts';

export type LostPages = ReadonlyMap<string, number>;

const PATIENCE_MS = 10_000;
const ASK_AGAIN_MS = 100;

/**
 * As the directory knows them when it knows who has each page: a shard that has just got another leader does not for a
 * moment. Undefined: it does not know in time, or does not answer.
 */
export async function lostPages(cluster: Cluster): Promise<LostPages | undefined> {
  const endMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const counted = await count(cluster).catch(() => undefined);
    if (counted !== undefined || Date.now() > endMs) return counted;
    await sleep(ASK_AGAIN_MS);
  }
}

async function count({ dataspaces }: Cluster): Promise<LostPages | undefined> {
  const lost = new Map<string, number>();
  for await (const { dataspace, usage, loss } of dataspaces.list()) {
    if (usage.unsettledPages > 0n) return undefined;
    // What is stored is not lost, though no node has it.
    const pages = dataspace.durable ? (loss?.lostPages ?? 0n) : usage.lostPages;
    lost.set(`${dataspace.name} ${dataspace.id}`, Number(pages));
  }
  return lost;
}

/** `10 of p1, 16 of d1`; empty: no more than before. */
export function newlyLost(before: LostPages, after: LostPages): string {
  return [...after]
    .map(([key, pages]) => ({ name: key.split(' ')[0], pages: pages - (before.get(key) ?? 0) }))
    .filter(({ pages }) => pages > 0)
    .map(({ name, pages }) => `${pages} of ${name}`)
    .join(', ');
}
