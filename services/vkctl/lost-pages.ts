// Pages whose only copy is lost, by dataspace: what a restart of a service must not change.
import type { Connection } from './connection.ts';
import { listDataspaces } from './dataspace.ts';

export type LostPages = ReadonlyMap<string, number>;

/** As the directory knows it now. */
export async function lostPages(to: Connection): Promise<LostPages> {
  const details = await listDataspaces(to);
  return new Map(
    details.map(({ dataspace: { id, name }, usage }) => [`${name} ${id}`, Number(usage.lostPages)]),
  );
}

/** `10 of p1, 16 of d1`; empty: no more than before. */
export function newlyLost(before: LostPages, after: LostPages): string {
  return [...after]
    .map(([key, pages]) => ({ name: key.split(' ')[0], pages: pages - (before.get(key) ?? 0) }))
    .filter(({ pages }) => pages > 0)
    .map(({ name, pages }) => `${pages} of ${name}`)
    .join(', ');
}
