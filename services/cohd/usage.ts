// Who has the pages of a dataspace: each replica knows those of the shards that it leads, and whom it asks adds them up.
import { pageCountOf } from '@odonata/coherency/page.ts';
import {
  joinedFrom,
  type LostRuns,
  lostPages,
  lostRuns,
  pagesOf,
} from '@odonata/coherency/replica/losses.ts';
import {
  DirectoryService,
  type GetShardUsageResponse,
  type ListLossesResponse,
} from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { DataspaceRecord } from './registry.ts';

const ASK_MS = 2_000;

type ShardUsage = Pick<GetShardUsageResponse, 'lostPages' | 'ownedPages' | 'locks' | 'settledPages'>;

/** What this replica knows. */
export function shardUsage(record: DataspaceRecord, service: CoherencyService): ShardUsage {
  const { lost, settled, owned } = pagesOf(record, service);
  const locks = service.home(record.id)?.sync.lockCount(record.id) ?? 0;
  return {
    lostPages: BigInt(lost),
    ownedPages: Object.fromEntries([...owned].map(([node, pages]) => [node, BigInt(pages)])),
    locks: BigInt(locks),
    settledPages: BigInt(settled),
  };
}

/** What all replicas know. @throws RpcError when one of them does not answer */
export async function usageOf(record: DataspaceRecord, service: CoherencyService, addresses: string[]) {
  const leadsAll = service.led.length === service.shards;
  const all = leadsAll
    ? [shardUsage(record, service)]
    : await Promise.all(addresses.map((address) => askUsage(address, record.id)));
  const usage = { lostPages: 0n, ownedPages: {} as Record<string, bigint>, locks: 0n };
  let unsettledPages = BigInt(pageCountOf(record.sizeBytes));
  for (const { lostPages, ownedPages, locks, settledPages } of all) {
    usage.lostPages += lostPages;
    usage.locks += locks;
    unsettledPages -= settledPages;
    for (const [node, pages] of Object.entries(ownedPages))
      usage.ownedPages[node] = (usage.ownedPages[node] ?? 0n) + pages;
  }
  // A shard that went from one replica to another between their answers is in both of them.
  if (unsettledPages < 0n) unsettledPages = 0n;
  const mappedBy = service.holders.all().filter((h) => h.mapped.has(record.id));
  return { ...usage, unsettledPages, mappedBy: mappedBy.map((h) => h.node) };
}

export interface Loss extends LostRuns {
  record: DataspaceRecord;
  pages: number;
}

export interface AskedLosses {
  /** 0: of all. */
  dataspace: bigint;
  withRuns: boolean;
  firstPage: number;
}

/** What this replica knows of losses. */
export function ownLosses(
  records: readonly DataspaceRecord[],
  service: CoherencyService,
  { withRuns, firstPage }: AskedLosses,
): Loss[] {
  return records.map((record) => {
    const runs = withRuns ? lostRuns(record, service, firstPage) : { runs: [], more: false, runsEnd: 0 };
    return { record, pages: lostPages(record, service), ...runs };
  });
}

/** What all replicas know of losses. @throws RpcError when one of them does not answer */
export async function lossesOf(
  records: readonly DataspaceRecord[],
  service: CoherencyService,
  asked: AskedLosses,
  addresses: string[],
): Promise<Loss[]> {
  if (service.led.length === service.shards) return ownLosses(records, service, asked);
  const answers = await Promise.all(addresses.map((address) => askLosses(address, asked)));
  const sums = new Map(records.map((record) => [record.id, { record, pages: 0, parts: [] as LostRuns[] }]));
  for (const { dataspace, pages, runs, more, runsEnd } of answers.flatMap(({ losses }) => losses)) {
    const sum = dataspace && sums.get(dataspace.id);
    if (!sum) continue;
    sum.pages += Number(pages);
    sum.parts.push({ runs, more, runsEnd });
  }
  return [...sums.values()].map(({ record, pages, parts }) => ({ record, pages, ...together(parts, asked) }));
}

// Only up to the page up to which all have named theirs.
function together(parts: readonly LostRuns[], { firstPage }: AskedLosses): LostRuns {
  const all = joinedFrom(
    parts.flatMap(({ runs }) => runs),
    firstPage,
  );
  const ends = parts.filter(({ more }) => more).map(({ runsEnd }) => runsEnd);
  if (ends.length === 0) return { runs: all, more: false, runsEnd: 0 };
  const runsEnd = Math.min(...ends);
  const runs = all
    .filter((run) => run.firstPage < runsEnd)
    .map((run) => ({ ...run, pageCount: Math.min(run.pageCount, runsEnd - run.firstPage) }));
  return { runs, more: true, runsEnd };
}

async function askLosses(address: string, asked: AskedLosses): Promise<ListLossesResponse> {
  const replica = createClient(DirectoryService, address, { deadlineMs: ASK_MS });
  try {
    return await replica.listLosses({ ...asked, thisReplica: true });
  } finally {
    replica.close();
  }
}

async function askUsage(address: string, dataspace: bigint): Promise<ShardUsage> {
  const replica = createClient(DirectoryService, address, { deadlineMs: ASK_MS });
  try {
    return await replica.getShardUsage({ dataspace });
  } finally {
    replica.close();
  }
}
