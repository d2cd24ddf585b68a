// Pages that no node has: what died with their nodes. Each replica knows those of the shards that it leads. What a gateway borrowed and
// nobody wrote here is not lost with it: its home has that.
import { isBorrowed } from '../gateway.ts';
import { type PageRun, pageCountOf } from '../page.ts';
import { BLOCK_PAGES, shardOf } from '../shard.ts';
import type { Dataspace } from './dataspaces.ts';
import type { Replica } from './replica.ts';
import type { ShardLeader } from './shard/shard-leader.ts';

type Leading = Pick<Replica, 'led' | 'shards'>;
type Placing = Pick<Replica, 'led' | 'shards' | 'holders'>;

/** Runs that one replica names at a time. */
const RUNS_MAX = 1024;

export interface LostRuns {
  runs: PageRun[];
  /** There are more than these, from page `runsEnd` on. */
  more: boolean;
  runsEnd: number;
}

export interface PlacedPages {
  /** Pages that nobody has. */
  lost: number;
  /** Pages of the shards that this replica serves, whoever has them. */
  settled: number;
  /** By node; what nobody asked for yet is its creator's. */
  owned: Map<string, number>;
}

/**
 * Who has the pages of a dataspace, as far as this replica serves their shards. Of one that waits for reports nobody
 * knows yet.
 */
export function pagesOf(record: Dataspace, { led, shards, holders }: Placing): PlacedPages {
  const sum: PlacedPages = { lost: 0, settled: 0, owned: new Map() };
  const add = (node: string, pages: number): void => {
    if (pages > 0) sum.owned.set(node, (sum.owned.get(node) ?? 0) + pages);
  };
  const sizes = shardSizes(record, shards);
  for (const leader of led) {
    if (leader.isRebuilding) continue;
    const { owned, lost, entries } = leader.directory.usage(record.id);
    const pages = sizes[leader.shard]!;
    sum.settled += pages;
    sum.lost += lost;
    for (const [holder, owns] of owned) add(holders.get(holder)?.node ?? '', owns);
    // Pages without an entry live and die with their creator.
    if (leader.creatorLives(record)) add(record.creator, pages - entries);
    else if (!isBorrowed(record.name ?? '')) sum.lost += pages - entries;
  }
  return sum;
}

/** How many pages of a dataspace are lost, as far as this replica serves their shards. */
export function lostPages(record: Dataspace, { led, shards }: Leading): number {
  let lost = 0;
  // Asked for all dataspaces at each scrape: the blocks of one are counted only where its creator has gone.
  let sizes: Uint32Array | undefined;
  for (const leader of led) {
    if (leader.isRebuilding) continue;
    const usage = leader.directory.usage(record.id);
    lost += usage.lost;
    if (leader.creatorLives(record) || isBorrowed(record.name ?? '')) continue;
    sizes ??= shardSizes(record, shards);
    lost += sizes[leader.shard]! - usage.entries;
  }
  return lost;
}

/** Which they are, from a page on. */
export function lostRuns(record: Dataspace, replica: Leading, firstPage: number): LostRuns {
  const found: PageRun[] = [];
  const { id: dataspace } = record;
  const known = new Map(replica.led.map((leader) => [leader.shard, leader]));
  const dead = new Map<number, ShardLeader>();
  for (const leader of known.values()) {
    if (leader.isRebuilding) continue;
    found.push(...leader.directory.lostRuns(dataspace));
    if (!leader.creatorLives(record) && !isBorrowed(record.name ?? '')) dead.set(leader.shard, leader);
  }
  for (const run of blocksOf(record, replica.shards, new Set(dead.keys()))) {
    const { directory } = dead.get(shardOf(dataspace, run.firstPage, replica.shards))!;
    found.push(...directory.plainRuns(run));
  }
  const joined = joinedFrom(found, firstPage);
  const runs = joined.slice(0, RUNS_MAX);
  const last = runs.at(-1);
  const runsEnd = last === undefined ? firstPage : last.firstPage + last.pageCount;
  return { runs, more: joined.length > RUNS_MAX, runsEnd };
}

/** Blocks of a dataspace that are of these shards, in order. */
function blocksOf({ id, sizeBytes }: Dataspace, shards: number, wanted: ReadonlySet<number>): PageRun[] {
  const blocks: PageRun[] = [];
  if (wanted.size === 0) return blocks;
  const pages = pageCountOf(sizeBytes);
  for (let firstPage = 0; firstPage < pages; firstPage += BLOCK_PAGES) {
    if (!wanted.has(shardOf(id, firstPage, shards))) continue;
    blocks.push({ dataspace: id, firstPage, pageCount: Math.min(BLOCK_PAGES, pages - firstPage) });
  }
  return blocks;
}

/** By shard: how many pages of a dataspace it has. */
function shardSizes({ id, sizeBytes }: Dataspace, shards: number): Uint32Array {
  const sizes = new Uint32Array(shards);
  const pages = pageCountOf(sizeBytes);
  for (let page = 0; page < pages; page += BLOCK_PAGES)
    sizes[shardOf(id, page, shards)]! += Math.min(BLOCK_PAGES, pages - page);
  return sizes;
}

/** Runs in order, neighbours joined, without what comes before a page. */
export function joinedFrom(runs: readonly PageRun[], firstPage: number): PageRun[] {
  const joined: PageRun[] = [];
  for (const run of [...runs].sort((a, b) => a.firstPage - b.firstPage)) {
    const cut = Math.max(0, firstPage - run.firstPage);
    if (cut >= run.pageCount) continue;
    const last = joined.at(-1);
    const begin = run.firstPage + cut;
    if (last !== undefined && last.firstPage + last.pageCount === begin)
      last.pageCount += run.pageCount - cut;
    else joined.push({ dataspace: run.dataspace, firstPage: begin, pageCount: run.pageCount - cut });
  }
  return joined;
}
