// What the cluster keeps apart from its directory (in the real one: in JetStream): who leads at which epoch, which
// holders live, and which dataspaces there are.
import { type LeaseTable, renewEveryMs } from '@odonata/coherency/lease.ts';
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
  creatorLost: boolean;
}

export class ClusterStore {
  readonly place: Place;
  /** Incarnations by node. */
  readonly members = new Map<number, number>();
  readonly dataspaces: DataspaceRecord[] = [];
  private readonly world: World;
  private readonly leaders: LeaseTable;
  /** How often each node was buried: a holder that has not heard of it still counts on what it held before. */
  private readonly burials = new Map<number, number>();
  private epoch = 0;

  constructor(world: World, place: Place) {
    this.world = world;
    this.place = place;
    this.leaders = world.machines.leaseTable(LEASE_MS);
    this.dataspaces = world.layout.dataspaces.map((id, index) => ({
      id,
      pageCount: world.layout.pagesEach,
      durable: world.layout.isDurable(world.layout.pageOf(id, 0)),
      creatorNode: index,
      creatorIncarnation: 1,
      creatorLost: false,
    }));
    this.watch();
  }

  private get localMs(): number {
    return this.world.nowMs * this.place.speed;
  }

  lifeOf(node: number): number {
    return this.burials.get(node) ?? 0;
  }

  newEpoch(): number {
    this.leaders.forget(this.epoch);
    this.epoch++;
    this.leaders.heard(this.epoch, this.localMs);
    return this.epoch;
  }

  /** A leader proves that it is there; the answer takes a while, and says so when another one leads. */
  renew(directory: DirectoryPart, answered: (leads: boolean) => void): void {
    const { network } = this.world;
    this.world.later(network.delayMs(), () => {
      if (!network.passes(directory.place, this.place)) return;
      const leads = directory.epoch === this.epoch;
      if (leads) this.leaders.heard(this.epoch, this.localMs);
      directory.after(network.delayMs(), () => {
        if (network.passes(this.place, directory.place)) answered(leads);
      });
    });
  }

  // When the leader's lease ended, another one takes its place.
  private watch(): void {
    this.world.later(renewEveryMs(LEASE_MS), () => {
      if (this.leaders.dead(this.localMs).includes(this.epoch)) {
        this.world.history.note(this.world, 'cluster', `the leader of epoch ${this.epoch} is replaced`);
        this.world.startDirectory();
      }
      this.watch();
    });
  }

  /** The holder is dead: whoever leads next must know before anything is done about it. */
  bury(node: number, incarnation: number): void {
    this.burials.set(node, this.lifeOf(node) + 1);
    if (this.members.get(node) === incarnation) this.members.delete(node);
    if (!this.world.duties.noteLostCreators) return;
    for (const record of this.dataspaces) {
      if (record.creatorNode === node && record.creatorIncarnation === incarnation) record.creatorLost = true;
    }
  }
}
