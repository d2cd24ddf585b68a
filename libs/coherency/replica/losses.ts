// Pages that no node has: what died with their nodes. Each replica knows those of the shards that it leads.
import { type PageRun, pageCountOf } from '../page.ts';
import { BLOCK_PAGES, shardOf } from '../shard.ts';
import type { Dataspace } from './dataspaces.ts';
import type { Replica } from './replica.ts';
import type { ShardLeader } from './shard-leader.ts';

type Leading = Pick<Replica, 'led' | 'shards'>;

/** Runs that one replica names at a time. */
const RUNS_MAX = 1024;

export interface LostRuns {
  runs: PageRun[];
  /** There are more than these, from page `runsEnd` on. */
  more: boolean;
  runsEnd: number;
}

/** How many pages of a dataspace are lost, as far as this replica leads their shards. */
export function lostPages(record: Dataspace, replica: Leading): number {
  const dead: { leader: ShardLeader; entries: number }[] = [];
  let lost = 0;
  for (const leader of replica.led) {
    if (leader.isRebuilding) continue;
    const usage = leader.directory.usage(record.id);
    lost += usage.lost;
    if (!leader.creatorLives(record)) dead.push({ leader, entries: usage.entries });
  }
  if (dead.length === 0) return lost;
  // Pages without an entry died with their creator.
  const pages = pageCountOf(record.sizeBytes);
  const entries = dead.reduce((sum, each) => sum + each.entries, 0);
  if (dead.length === replica.shards) return lost + pages - entries;
  const shards = new Set(dead.map(({ leader }) => leader.shard));
  return (
    lost + blocksOf(record, replica.shards, shards).reduce((sum, run) => sum + run.pageCount, 0) - entries
  );
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
    if (!leader.creatorLives(record)) dead.set(leader.shard, leader);
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
