// What the cluster keeps apart from its directory (in the real one: in JetStream): which replica leads each shard at which
// epoch, which holders live, and which dataspaces there are.
import { type LeaseTable, renewEveryMs } from '@odonata/coherency/lease.ts';
import { planShards } from '@odonata/coherency/shard-plan.ts';
import { LEASE_MS } from './lease-ms.ts';
import type { Place } from './part.ts';
import type { DirectoryPart } from './parts/directory.ts';
import type { World } from './world.ts';

export interface DataspaceRecord {
  id: bigint;
  pageCount: number;
  durable: boolean;
  creatorNode: number;
  creatorIncarnation: number;
}

/** What is kept of one shard. */
export class ShardRecord {
  /** Incarnations by node. */
  readonly members = new Map<number, number>();
  /** Dataspaces whose creator lost its pages of this shard. */
  readonly lostCreators = new Set<bigint>();
  epoch = 0;
  /** The replica that leads, or led last. */
  replica = -1;
  /** How often each node was buried: a holder that has not heard of it still counts on what it held before. */
  private readonly burials = new Map<number, number>();

  lifeOf(node: number): number {
    return this.burials.get(node) ?? 0;
  }

  forget(node: number, incarnation: number): void {
    this.burials.set(node, this.lifeOf(node) + 1);
    if (this.members.get(node) === incarnation) this.members.delete(node);
  }
}

export class ClusterStore {
  readonly place: Place;
  readonly shards: readonly ShardRecord[];
  readonly dataspaces: DataspaceRecord[] = [];
  private readonly world: World;
  /** By epoch. */
  private readonly leaders: LeaseTable;
  /** Of all shards: no two leaders have the same. */
  private lastEpoch = 0;

  constructor(world: World, place: Place) {
    const { layout } = world;
    this.world = world;
    this.place = place;
    this.leaders = world.machines.leaseTable(LEASE_MS);
    this.shards = Array.from({ length: layout.shards }, () => new ShardRecord());
    this.dataspaces = layout.dataspaces.map((id, index) => ({
      id,
      pageCount: layout.pageCountEach,
      durable: layout.isDurableDataspace(id),
      creatorNode: index,
      creatorIncarnation: 1,
    }));
    this.watch();
  }

  private get localMs(): number {
    return this.world.nowMs * this.place.speed;
  }

  /** A replica leads a shard from now on. */
  newEpoch(shard: number, replica: number): number {
    const record = this.shards[shard]!;
    this.leaders.forget(record.epoch);
    record.epoch = ++this.lastEpoch;
    record.replica = replica;
    this.leaders.heard(record.epoch, this.localMs);
    return record.epoch;
  }

  /** The replica that is to lead a shard which nobody leads, as all replicas plan it. */
  planned(shard: number): number {
    const { replicas } = this.world;
    // Of one that is silent nobody expects anything.
    const silent = this.shards[shard]!.replica;
    const up = replicas.filter((r) => !r.down && (r.index !== silent || replicas.length === 1));
    const live = (up.length > 0 ? up : replicas).map(({ index }) => String(index));
    const leaders = this.shards.map(({ replica }, i) => (i === shard ? undefined : String(replica)));
    return Number(planShards(leaders, live)[shard]);
  }

  /** A leader proves that it is there; the answer takes a while, and says so when another one leads. */
  renew(directory: DirectoryPart, answered: (leads: boolean) => void): void {
    const { network } = this.world;
    this.world.later(network.delayMs(), () => {
      if (!network.passes(directory.place, this.place)) return;
      const leads = directory.epoch === this.shards[directory.shard]!.epoch;
      if (leads) this.leaders.heard(directory.epoch, this.localMs);
      directory.after(network.delayMs(), () => {
        if (network.passes(this.place, directory.place)) answered(leads);
      });
    });
  }

  // When a leader's lease ended, another replica takes its place.
  private watch(): void {
    this.world.later(renewEveryMs(LEASE_MS), () => {
      const dead = this.leaders.dead(this.localMs);
      this.shards.forEach(({ epoch }, shard) => {
        if (!dead.includes(epoch)) return;
        this.world.history.note(
          this.world,
          'cluster',
          `the leader of shard ${shard} is replaced`,
          undefined,
          {
            epoch,
          },
        );
        this.world.startDirectory(shard);
      });
      this.watch();
    });
  }

  /** The holder is dead for a shard: whoever leads it next must know before anything is done about it. */
  bury(shard: number, node: number, incarnation: number): void {
    const record = this.shards[shard]!;
    record.forget(node, incarnation);
    if (!this.world.duties.noteLostCreators) return;
    for (const { id, creatorNode, creatorIncarnation } of this.dataspaces)
      if (creatorNode === node && creatorIncarnation === incarnation) record.lostCreators.add(id);
  }
}
