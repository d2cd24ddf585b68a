// A holder of all shards: one machine for each, since each has a leader, an epoch and a lease of its own.

import type { PageRun, PageState } from '../page.ts';
import { BLOCK_PAGES, runsOfShard, shardOf, splitByShard } from '../shard.ts';
import { Holder } from './holder.ts';
import type { HolderAction, HolderEvent } from './holder-messages.ts';
import type { HolderSnapshot } from './holder-snapshot.ts';

export class ShardedHolder {
  readonly shards: number;
  private readonly machines: Holder[];

  /** @param make makes the machine of a shard, whose pages of a dataspace `runsOf` says */
  constructor(
    shards: number,
    make = (runsOf: (dataspace: bigint, pageCount: number) => PageRun[]): Holder => new Holder(runsOf),
  ) {
    this.shards = shards;
    this.machines = Array.from({ length: shards }, (_, shard) =>
      make((dataspace, pageCount) => runsOfShard(shard, shards, dataspace, pageCount)),
    );
  }

  /** Applies one event to the shards that it is of. */
  step(event: Exclude<HolderEvent, { type: 'rejoin' | 'expire' | 'forsake' }>): HolderAction[] {
    if (!('run' in event)) return this.machines.flatMap((machine) => machine.step(event));
    const { dataspace, firstPage, pageCount } = event.run;
    if ((firstPage % BLOCK_PAGES) + pageCount <= BLOCK_PAGES) {
      return this.machines[shardOf(dataspace, firstPage, this.shards)]!.step(event);
    }
    // Who says something of more pages than there are must not have us count them.
    const known = this.machines[0]!.pageCount(dataspace);
    if (known === undefined) return this.machines[shardOf(dataspace, firstPage, this.shards)]!.step(event);
    const clipped = { ...event.run, pageCount: Math.max(0, Math.min(pageCount, known - firstPage)) };
    return splitByShard(clipped, this.shards).flatMap(({ shard, run }) => {
      // What is needed of the whole run is its first pages.
      const before = run.firstPage - firstPage;
      const part =
        event.type === 'want'
          ? { ...event, run, neededPages: Math.max(0, event.neededPages - before) }
          : { ...event, run };
      return this.machines[shard]!.step(part);
    });
  }

  /** Of one shard. @see Holder.follow */
  follow(shard: number): HolderSnapshot {
    return this.machines[shard]!.follow();
  }

  /** By shard. @see Holder.changed */
  changed(): HolderSnapshot[] {
    return this.machines.map((machine) => machine.changed());
  }

  /** @see Holder.unfollow */
  unfollow(): void {
    for (const machine of this.machines) machine.unfollow();
  }

  /** By shard. @see Holder.snapshot */
  snapshot(): HolderSnapshot[] {
    return this.machines.map((machine) => machine.snapshot());
  }

  /** @see Holder.resume */
  resume(snapshots: readonly HolderSnapshot[]): void {
    snapshots.forEach((snapshot, shard) => {
      this.resumeShard(shard, snapshot);
    });
  }

  /** @see Holder.resume */
  resumeShard(shard: number, snapshot: HolderSnapshot): void {
    this.machines[shard]!.resume(snapshot);
  }

  /** Applies an event of one shard's leader. */
  stepShard(
    shard: number,
    event: Extract<HolderEvent, { type: 'rejoin' | 'expire' | 'forsake' }>,
  ): HolderAction[] {
    return this.machines[shard]!.step(event);
  }

  /** Pages of a dataspace that this holder may be the owner of. @see Holder.ownedRuns */
  ownedRuns(dataspace: bigint): PageRun[] {
    return this.machines.flatMap((machine) => machine.ownedRuns(dataspace));
  }

  /** Pages of a dataspace that was granted whole, and that nobody asked for since. */
  plainRuns(dataspace: bigint): PageRun[] {
    return this.machines.flatMap((machine) => machine.plainRuns(dataspace));
  }

  /** The version of a page's copy here. */
  version(dataspace: bigint, page: number): number {
    return this.machines[shardOf(dataspace, page, this.shards)]!.version(dataspace, page);
  }

  /** True while an answer of the page's directory is awaited. */
  pending(dataspace: bigint, page: number): boolean {
    return this.machines[shardOf(dataspace, page, this.shards)]!.pending(dataspace, page);
  }

  /** @see Holder.isLost */
  isLost(dataspace: bigint, page: number, version: number): boolean {
    return this.machines[shardOf(dataspace, page, this.shards)]!.isLost(dataspace, page, version);
  }

  /** @see Holder.lineage */
  lineage(dataspace: bigint, page: number): number {
    return this.machines[shardOf(dataspace, page, this.shards)]!.lineage(dataspace, page);
  }

  /** The state of a page here. */
  state(dataspace: bigint, page: number): PageState {
    return this.machines[shardOf(dataspace, page, this.shards)]!.state(dataspace, page);
  }
}
