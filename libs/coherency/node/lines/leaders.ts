// Who leads which shard, what may be used of each, and which messages are in order. See lines.ts.
import type { Invalidate, ShardLed } from '@odonata/proto/coherency/v1/coherency';
import { homeShardOf, shardOf } from '../../shard.ts';
import { asLed, holderOf, type LedShard, type Shard, type ShardLife, shardNeverLed } from './led-shard.ts';
import type { ReplicaLine } from './replica-line.ts';

export class Leaders {
  readonly shards: number;
  protected readonly byShard: readonly Shard[];

  /** @param inherited of another pmap manager of this node; its permissions may be used as long as they last */
  constructor(shards: number, inherited?: readonly LedShard[]) {
    this.shards = shards;
    this.byShard = Array.from({ length: shards }, (_, number) => {
      const led = inherited?.[number] ?? shardNeverLed();
      const holder = holderOf(led.identity);
      return { ...led, holder, line: undefined, retires: false, letGo: false };
    });
  }

  /** True while what is held of a page may be used. */
  usable(dataspace: bigint, page: number, nowMs: number): boolean {
    return this.isUsable(this.ofPage(dataspace, page), nowMs);
  }

  /** True while the leader of a dataspace's locks can be trusted. */
  homeUsable(dataspace: bigint, nowMs: number): boolean {
    return this.isUsable(this.byShard[homeShardOf(dataspace, this.shards)]!, nowMs);
  }

  /** True where a message of a shard's leader at an epoch is in order. */
  accepts(dataspace: bigint, page: number, epoch: bigint, nowMs: number): boolean {
    const shard = this.ofPage(dataspace, page);
    return this.isOfEpoch(shard, epoch) && this.isUsable(shard, nowMs);
  }

  /** The same of pages that were sent to a holder: they are for who this node is now at the leader of their shard. */
  acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number, nowMs: number): boolean {
    const shard = this.ofPage(dataspace, page);
    return (
      !this.isLetGo(shard) && this.accepts(dataspace, page, epoch, nowMs) && this.isReceiver(shard, receiver)
    );
  }

  /** Until when all shards may be used; minus infinity: some may not. */
  usableUntilMs(nowMs: number): number {
    const ends = this.byShard.map((shard) => {
      return this.isUsable(shard, nowMs) ? (shard.line?.endMs ?? shard.untilMs) : Number.NEGATIVE_INFINITY;
    });
    return Math.min(...ends);
  }

  /** True while every shard has a leader whose permissions this node may use. */
  allUsable(nowMs: number): boolean {
    return this.byShard.every((shard) => shard.line !== undefined && this.isUsable(shard, nowMs));
  }

  /** Until when what is mapped may be used at the latest; undefined: nothing may. */
  deadlineMs(nowMs: number): number | undefined {
    let deadlineMs: number | undefined;
    for (const shard of this.byShard) {
      if (!this.isUsable(shard, nowMs)) continue;
      deadlineMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, shard.line?.lastEndMs ?? shard.lastEndMs);
    }
    return deadlineMs;
  }

  protected isUsable({ line, untilMs, suspended }: Shard, nowMs: number): boolean {
    if (suspended) return false;
    return line === undefined ? nowMs < untilMs : line.isLeased(nowMs);
  }

  /** By shard: what the leaders permit as of now. */
  snapshot(): LedShard[] {
    return this.byShard.map(asLed);
  }

  /** True while every shard has a leader that this node is connected to. */
  get connected(): boolean {
    return this.byShard.every((_, shard) => this.isConnectedTo(shard));
  }

  /** The address of the replica that leads the shard of a page. */
  leaderOf(dataspace: bigint, page: number): string | undefined {
    return this.ofPage(dataspace, page).line?.replica;
  }

  epochOf(dataspace: bigint, page: number): bigint {
    return this.ofPage(dataspace, page).epoch;
  }

  /** True while a shard has a leader that this node is connected to. */
  isConnectedTo(shard: number): boolean {
    return this.byShard[shard]?.line?.joined === true;
  }

  isEpochOf(shard: number, epoch: bigint): boolean {
    return this.byShard[shard]?.epoch === epoch;
  }

  /** Where a receiver of a page is, whom its leader named, and who this node is there. */
  wayTo(
    dataspace: bigint,
    page: number,
    receiver: number,
  ): { address: string; epoch: bigint; sender: number } | undefined {
    const { line, epoch } = this.ofPage(dataspace, page);
    const address = line?.addressOf(receiver);
    return line === undefined || address === undefined ? undefined : { address, epoch, sender: line.holder };
  }

  protected ofPage(dataspace: bigint, page: number): Shard {
    return this.byShard[shardOf(dataspace, page, this.shards)]!;
  }

  /** Else it is of a leader that is not one any more; or late: what is dropped is asked for anew when the lease is back. */
  protected isInOrder(line: ReplicaLine, shard: Shard, epoch: bigint | undefined, nowMs: number): boolean {
    if (shard.line !== line || !this.isUsable(shard, nowMs)) return false;
    return epoch === undefined || this.isOfEpoch(shard, epoch);
  }

  protected isOfEpoch(shard: Shard, epoch: bigint): boolean {
    return shard.epoch === epoch;
  }

  /** The writer keeps its copy, and the source loses it by the recall. */
  protected isItsOwn({ holder }: Shard, { exceptHolder, sourceHolder }: Invalidate): boolean {
    return exceptHolder === holder || sourceHolder === holder;
  }

  protected isReceiver({ line }: Shard, receiver: number): boolean {
    return line?.holder === receiver;
  }

  /** What was sent to it before, and comes late, would look new. */
  protected isLetGo({ letGo }: Shard): boolean {
    return letGo;
  }

  protected isSuperseded(shard: Shard, epoch: bigint): boolean {
    return epoch < shard.epoch;
  }

  /** One that asks for a report is not: it has lost the last one, or a part of it. */
  protected isSameLeader(shard: Shard, line: ReplicaLine, epoch: bigint): boolean {
    return shard.epoch === epoch && shard.identity === line.identity;
  }

  /**
   * Whoever leads believes what is noted. Where that is a life that this holder did not have under that leader, it was
   * declared dead and did not hear so: others may have what it has. But not where it came to the shard after that leader: what it
   * has then it made itself, under leaders that gave nothing to anybody.
   */
  protected isLifeOf({ lives }: Shard, { life, lastEpoch }: ShardLed): boolean {
    return (
      lives.some((had) => had.life === life && (lastEpoch === 0n || had.epoch === lastEpoch)) ||
      this.isLater(lives, lastEpoch)
    );
  }

  protected isLater([first]: readonly ShardLife[], lastEpoch: bigint): boolean {
    return lastEpoch !== 0n && first !== undefined && first.epoch > lastEpoch;
  }
}
