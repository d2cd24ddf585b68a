// Pages whose only copy is lost, by dataspace: what a restart of a service must not change.
import type { Cluster } from '@odonata/client/cluster.ts';

export type LostPages = ReadonlyMap<string, number>;

/** As the directory knows it now. */
export async function lostPages({ dataspaces }: Cluster): Promise<LostPages> {
  const lost = new Map<string, number>();
  for await (const { dataspace, usage } of dataspaces.list())
    lost.set(`${dataspace.name} ${dataspace.id}`, Number(usage.lostPages));
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
