// The shards that a replica leads, and which of them an event is for.
import type { DirectoryCounters } from '../../directory/directory-outbox.ts';
import { homeShardOf, shardOf } from '../../shard.ts';
import type { ShardLeader } from './shard-leader.ts';

export class Leaders {
  readonly shards: number;
  private readonly byShard = new Map<number, ShardLeader>();
  /** Of shards that were led. */
  private readonly former: DirectoryCounters = {
    acquires: 0,
    grants: 0,
    recalls: 0,
    invalidations: 0,
    resends: 0,
  };

  constructor(shards: number) {
    this.shards = shards;
  }

  get(shard: number): ShardLeader | undefined {
    return this.byShard.get(shard);
  }

  /** False for one that leads no more, also where the shard is led from here again. */
  has(leader: ShardLeader): boolean {
    return this.byShard.get(leader.shard) === leader;
  }

  all(): IterableIterator<ShardLeader> {
    return this.byShard.values();
  }

  /** In the order of their shards. */
  get sorted(): ShardLeader[] {
    return [...this.byShard.values()].sort((a, b) => a.shard - b.shard);
  }

  // A shard that is led elsewhere: the holder hears of it from there, and asks again.
  ofPage(dataspace: bigint, page: number): ShardLeader | undefined {
    return this.byShard.get(shardOf(dataspace, page, this.shards));
  }

  /** Who leads the range locks and waiters of a dataspace. */
  home(dataspace: bigint): ShardLeader | undefined {
    return this.byShard.get(homeShardOf(dataspace, this.shards));
  }

  add(leader: ShardLeader): void {
    this.byShard.set(leader.shard, leader);
  }

  remove(leader: ShardLeader): void {
    this.byShard.delete(leader.shard);
    addCounters(this.former, leader.directory.counters);
  }

  get isRebuilding(): boolean {
    for (const leader of this.byShard.values()) if (leader.isRebuilding) return true;
    return false;
  }

  get parkedEvents(): number {
    let sum = 0;
    for (const leader of this.byShard.values()) sum += leader.parkedEvents;
    return sum;
  }

  /** Of all shards that are led or were led. */
  get counters(): DirectoryCounters {
    const sum = { ...this.former };
    for (const { directory } of this.byShard.values()) addCounters(sum, directory.counters);
    return sum;
  }
}

function addCounters(to: DirectoryCounters, from: Readonly<DirectoryCounters>): void {
  for (const name of Object.keys(to) as (keyof DirectoryCounters)[]) to[name] += from[name];
}
