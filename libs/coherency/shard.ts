// Shards: slices of the page space, each led by one replica of the directory at a time.
//
// The pages of a dataspace are cut into blocks, and each block belongs to a shard by a hash: so a large dataspace is
// spread over all replicas, and a run of pages is seldom cut. The number of shards is fixed for the life of a cluster.
// Range locks and waiters of a dataspace are all at its home shard, which is that of its first block.
import type { PageRun } from './page.ts';

export const DEFAULT_SHARDS = 64;
/** Pages of one block: 2 MiB. */
export const BLOCK_PAGES = 512;

// The low bits of a dataspace's id as a number; the one asked for last is remembered, as most questions come in rows.
let lastId = 0n;
let lastLow = 0;
function lowBits(dataspace: bigint): number {
  if (dataspace !== lastId) {
    lastId = dataspace;
    lastLow = Number(BigInt.asUintN(32, dataspace));
  }
  return lastLow;
}

// The finalizer of MurmurHash3: each bit of the input moves about half of the output's.
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function shardOfBlock(dataspace: bigint, block: number, shards: number): number {
  return mix(Math.imul(lowBits(dataspace), 0x9e3779b1) + block) % shards;
}

/** The shard of a page. */
export function shardOf(dataspace: bigint, page: number, shards: number): number {
  return shardOfBlock(dataspace, Math.floor(page / BLOCK_PAGES), shards);
}

/** The shard of a dataspace's range locks and waiters. */
export function homeShardOf(dataspace: bigint, shards: number): number {
  return shardOfBlock(dataspace, 0, shards);
}

/** Cuts a run where its shard changes. */
export function splitByShard(run: PageRun, shards: number): { shard: number; run: PageRun }[] {
  const { dataspace } = run;
  const end = run.firstPage + run.pageCount;
  const parts: { shard: number; run: PageRun }[] = [];
  for (let firstPage = run.firstPage; firstPage < end; ) {
    const block = Math.floor(firstPage / BLOCK_PAGES);
    const pageCount = Math.min(end, (block + 1) * BLOCK_PAGES) - firstPage;
    const shard = shardOfBlock(dataspace, block, shards);
    const last = parts.at(-1);
    if (last?.shard === shard) last.run.pageCount += pageCount;
    else parts.push({ shard, run: { dataspace, firstPage, pageCount } });
    firstPage += pageCount;
  }
  return parts;
}

/** The pages of a dataspace that are a shard's. */
export function runsOfShard(shard: number, shards: number, dataspace: bigint, pageCount: number): PageRun[] {
  const runs: PageRun[] = [];
  for (let firstPage = 0; firstPage < pageCount; firstPage += BLOCK_PAGES) {
    if (shardOf(dataspace, firstPage, shards) !== shard) continue;
    const count = Math.min(BLOCK_PAGES, pageCount - firstPage);
    const last = runs.at(-1);
    if (last !== undefined && last.firstPage + last.pageCount === firstPage) last.pageCount += count;
    else runs.push({ dataspace, firstPage, pageCount: count });
  }
  return runs;
}
