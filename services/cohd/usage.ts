// Who has the pages of a dataspace: each replica knows those of the shards that it leads, and whom it asks adds them up.
import { pageCountOf } from '@odonata/coherency/page.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { DataspaceRecord } from './registry.ts';

const ASK_MS = 2_000;

interface ShardUsage {
  lostPages: bigint;
  ownedPages: Record<string, bigint>;
  entries: bigint;
  locks: bigint;
  creatorLives: boolean;
}

/** What this replica knows. */
export function shardUsage(record: DataspaceRecord, service: CoherencyService): ShardUsage {
  const sum = { lost: 0, entries: 0 };
  const ownedPages: Record<string, bigint> = {};
  let creatorLives = true;
  for (const leader of service.led) {
    const { owned, lost, entries } = leader.directory.usage(record.id);
    sum.lost += lost;
    sum.entries += entries;
    creatorLives &&= leader.creatorLives(record);
    for (const [holder, pages] of owned) {
      const node = service.holders.get(holder)?.node;
      if (node !== undefined) ownedPages[node] = (ownedPages[node] ?? 0n) + BigInt(pages);
    }
  }
  const locks = service.home(record.id)?.sync.lockCount(record.id) ?? 0;
  return {
    lostPages: BigInt(sum.lost),
    ownedPages,
    entries: BigInt(sum.entries),
    locks: BigInt(locks),
    creatorLives,
  };
}

/** What all replicas know. @throws RpcError when one of them does not answer */
export async function usageOf(record: DataspaceRecord, service: CoherencyService, addresses: string[]) {
  const leadsAll = service.led.length === service.shards;
  const all = leadsAll
    ? [shardUsage(record, service)]
    : await Promise.all(addresses.map((address) => askUsage(address, record.id)));
  const usage = { lostPages: 0n, ownedPages: {} as Record<string, bigint>, locks: 0n };
  const add = (node: string, pages: bigint): void => {
    usage.ownedPages[node] = (usage.ownedPages[node] ?? 0n) + pages;
  };
  let entries = 0n;
  for (const part of all) {
    usage.lostPages += part.lostPages;
    usage.locks += part.locks;
    entries += part.entries;
    for (const [node, pages] of Object.entries(part.ownedPages)) add(node, pages);
  }
  // Pages without an entry were never asked for since their creator got them whole.
  const plain = BigInt(pageCountOf(record.sizeBytes)) - entries;
  if (plain > 0n && all.every((part) => part.creatorLives)) add(record.creator, plain);
  else usage.lostPages += plain;
  const mapped = service.holders.all().filter((h) => h.mapped.has(record.id));
  return { ...usage, mappedBy: mapped.map((h) => h.node) };
}

async function askUsage(address: string, dataspace: bigint): Promise<ShardUsage> {
  const replica = createClient(DirectoryService, address, { deadlineMs: ASK_MS });
  try {
    return await replica.getShardUsage({ dataspace });
  } finally {
    replica.close();
  }
}
