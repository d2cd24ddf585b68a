// The dataspaces of a simulated cluster, and one number for each page over all of them. Processes use only the pages around
// the end of the first block of a dataspace, so that its pages, and runs of them, are of several shards.
import type { PageRun } from '@odonata/coherency/page.ts';
import { BLOCK_PAGES, homeShardOf, runsOfShard, shardOf } from '@odonata/coherency/shard.ts';

export interface LayoutOptions {
  /** The id of the first dataspace: the ids decide on the shards. */
  firstId: number;
  /** For each dataspace whether it has a backing store. */
  durable: readonly boolean[];
  pagesEach: number;
  shards: number;
}

export class Layout {
  readonly dataspaces: readonly bigint[];
  readonly pagesEach: number;
  readonly shards: number;
  private readonly firstId: number;
  private readonly firstPage: number;
  private readonly durable: readonly boolean[];
  private readonly runs: PageRun[][] = [];
  /** By page. */
  private readonly shardOfPage: number[] = [];

  constructor({ firstId, durable, pagesEach, shards }: LayoutOptions) {
    this.firstId = firstId;
    this.durable = durable;
    this.dataspaces = durable.map((_, i) => BigInt(firstId + i));
    this.pagesEach = pagesEach;
    this.shards = shards;
    this.firstPage = BLOCK_PAGES - Math.ceil(pagesEach / 2);
    for (let page = 0; page < this.pages; page++)
      this.shardOfPage.push(shardOf(this.dataspaceOf(page), this.inDataspace(page), shards));
    for (let shard = 0; shard < shards; shard++) this.runs.push(this.usedRunsOf(shard));
  }

  private usedRunsOf(shard: number): PageRun[] {
    return this.dataspaces.flatMap((dataspace) =>
      runsOfShard(shard, this.shards, dataspace, this.pageCountEach)
        .map((run) => this.used(run))
        .filter(({ pageCount }) => pageCount > 0),
    );
  }

  /** Pages that are used, of all dataspaces. */
  get pages(): number {
    return this.dataspaces.length * this.pagesEach;
  }

  /** Of a dataspace, those that nobody uses among them. */
  get pageCountEach(): number {
    return this.firstPage + this.pagesEach;
  }

  pageOf(dataspace: bigint, page: number): number {
    return (Number(dataspace) - this.firstId) * this.pagesEach + page - this.firstPage;
  }

  dataspaceOf(page: number): bigint {
    return this.dataspaces[Math.floor(page / this.pagesEach)]!;
  }

  isDurable(page: number): boolean {
    return this.durable[Math.floor(page / this.pagesEach)]!;
  }

  isDurableDataspace(dataspace: bigint): boolean {
    return this.durable[Number(dataspace) - this.firstId]!;
  }

  inDataspace(page: number): number {
    return this.firstPage + (page % this.pagesEach);
  }

  runOf(page: number, pageCount = 1): PageRun {
    return { dataspace: this.dataspaceOf(page), firstPage: this.inDataspace(page), pageCount };
  }

  /** How many pages of a dataspace follow a page, itself among them. */
  pagesFrom(page: number): number {
    return this.pagesEach - (page % this.pagesEach);
  }

  /** The part of a run that is used. */
  used({ dataspace, firstPage, pageCount }: PageRun): PageRun {
    const first = Math.max(firstPage, this.firstPage);
    const end = Math.min(firstPage + pageCount, this.pageCountEach);
    return { dataspace, firstPage: first, pageCount: Math.max(0, end - first) };
  }

  allOf(dataspace: bigint): PageRun {
    return { dataspace, firstPage: this.firstPage, pageCount: this.pagesEach };
  }

  shardOf(page: number): number {
    return this.shardOfPage[page]!;
  }

  homeShardOf(dataspace: bigint): number {
    return homeShardOf(dataspace, this.shards);
  }

  /** The used pages of a shard. */
  runsOfShard(shard: number): readonly PageRun[] {
    return this.runs[shard]!;
  }
}
