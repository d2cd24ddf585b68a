// The keys of the shards as they were seen last, and which of them a replica may take.
import { planShards } from '../../shard-plan.ts';
import type { Leadership, ShardValue } from './election-messages.ts';
import type { Heartbeats } from './heartbeats.ts';

export interface Key {
  value: ShardValue;
  revision: number;
}

export class Claims {
  private readonly replica: string;
  private readonly heartbeats: Heartbeats;
  private readonly keys: (Key | undefined)[];

  constructor(replica: string, shards: number, heartbeats: Heartbeats) {
    this.replica = replica;
    this.heartbeats = heartbeats;
    this.keys = Array.from({ length: shards }, () => undefined);
  }

  get(shard: number): Key | undefined {
    return this.keys[shard];
  }

  has(shard: number): boolean {
    return shard >= 0 && shard < this.keys.length;
  }

  set(shard: number, key: Key | undefined): void {
    this.keys[shard] = key;
  }

  /** Which replica is to lead each shard. */
  planned(nowMs: number): readonly string[] {
    const live = [...this.heartbeats.live(nowMs).keys()];
    const leaders = this.keys.map((key) => {
      const leader = key && (key.value.to ?? key.value.replica);
      return leader !== undefined && live.includes(leader) ? leader : undefined;
    });
    return planShards(leaders, live);
  }

  /** Those of a plan that are this replica's to take. */
  toTake(plan: readonly string[], led: ReadonlyMap<number, bigint>, nowMs: number): number[] {
    const isTaken = (to: string, shard: number): boolean =>
      !led.has(shard) && (this.isAssigned(shard) || (to === this.replica && this.mayTake(shard, nowMs)));
    return plan.flatMap((to, shard) => (isTaken(to, shard) ? [shard] : []));
  }

  // Nobody else may take it: so it is led here first, also when the plan has it go on to another one.
  private isAssigned(shard: number): boolean {
    const value = this.keys[shard]?.value;
    return value !== undefined && (value.to ?? value.replica) === this.replica;
  }

  // Not from one that lives, unless it gave the shard up.
  protected mayTake(shard: number, nowMs: number): boolean {
    const value = this.keys[shard]?.value;
    if (value === undefined || value.replica === this.replica) return true;
    if (value.to === this.replica) return true;
    const { heartbeats } = this;
    return !heartbeats.live(nowMs).has(value.to ?? value.replica) && !heartbeats.isStarting(value, nowMs);
  }

  /** Whoever led it since may have noted more than was read. */
  isAsRead(before: Key | undefined, now: Key | undefined): boolean {
    return before?.revision === now?.revision;
  }

  /** A leader that did not get to serve the shard gave nothing of it away. */
  servedBy({ value: { replica, epoch, before }, revision }: Key): Leadership {
    return before ?? { replica, epoch: epoch ?? BigInt(revision) };
  }
}
