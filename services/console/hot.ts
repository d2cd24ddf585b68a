// The pages of a dataspace that nodes fight over, as the page shows them.
import type { Cluster } from '@odonata/client/cluster.ts';

const PAGES = 10;
/** Of one page. */
const USERS = 6;

export interface HotRow {
  page: number;
  names: string[];
  faults: number;
  waitedMs: number;
  sharing: string;
  users: { node: string; pid: string; write: boolean; bytes: string }[];
}

/** The hottest first. */
export async function hotRows({ dataspaces }: Cluster, name: string, signal: AbortSignal): Promise<HotRow[]> {
  const { pages } = await dataspaces.hot(name, { max: PAGES, signal });
  return pages.map(({ page, names, faultsPerSecond, waitedMsPerSecond, sharing, users }) => ({
    ...{ page, names: [...names], sharing },
    ...{ faults: faultsPerSecond, waitedMs: waitedMsPerSecond },
    users: users.slice(0, USERS).map(({ node, pid, write, bytes }) => ({
      ...{ node, pid: pid === 0n ? '' : String(pid), write },
      bytes: bytes
        .slice(0, 3)
        .map(([begin, end]) => `${begin}-${end - 1}`)
        .join(', '),
    })),
  }));
}
