// One simulated cluster: its parts, and who looks at them.
import { AccessChecker } from '../checkers/access.ts';
import { BarrierChecker } from '../checkers/barriers.ts';
import { DurabilityChecker } from '../checkers/durability.ts';
import { LatestValueChecker } from '../checkers/latest-value.ts';
import { LockChecker } from '../checkers/lock-order.ts';
import { LossChecker } from '../checkers/loss.ts';
import { PmapPart } from '../parts/pmap.ts';
import { ReplicaPart } from '../parts/replica.ts';
import { StorePart } from '../parts/store.ts';
import type { VkernelPart } from '../parts/vkernel.ts';
import type { Profile } from '../profiles.ts';
import { Simulation } from '../simulation.ts';
import { ClusterStore } from '../stores/cluster-store.ts';
import { check } from '../violation.ts';
import { ALL_DUTIES, type Duties, type Machines, REAL_MACHINES } from './machines.ts';
import type { Surroundings } from './surroundings.ts';

/** Replicas of the directory. */
const REPLICAS = 3;
const STORES = 2;
/** Until all nodes have joined all shards of a new cluster in good weather. */
const JOINED_MS = 5_000;

export interface WorldOptions {
  seed: number;
  nodes: number;
  pages: number;
  shards: number;
  /** As many holders at most are told of an invalidation on their streams; none unless told otherwise. */
  few?: number;
  /** Renewals in a lease, where they are others than as ever: of services of before. */
  renewals?: number | undefined;
  profile: Profile;
  /** Processes that meet at barriers, besides the others. */
  barriers?: boolean | undefined;
  machines?: Partial<Machines>;
  duties?: Partial<Duties>;
  /** Hears each event. */
  trace?: ((line: string) => void) | undefined;
}

export class World extends Simulation implements Surroundings {
  readonly cluster: ClusterStore;
  readonly stores: StorePart[] = [];
  readonly nodes: PmapPart[] = [];
  readonly replicas: ReplicaPart[] = [];
  readonly vkernels = new Set<VkernelPart>();
  readonly access: AccessChecker;
  readonly latest: LatestValueChecker;
  readonly losses: LossChecker;
  readonly locks: LockChecker;
  readonly barriers: BarrierChecker;
  readonly durability: DurabilityChecker;
  private lastPid = 0n;
  private lastNumber = 0;

  constructor({
    seed,
    nodes,
    pages,
    shards,
    few = 0,
    renewals,
    profile,
    barriers = false,
    trace,
    ...options
  }: WorldOptions) {
    super({
      ...{ seed, pages, shards, few, renewals, profile, trace, places: 1 + nodes + REPLICAS + STORES },
      machines: { ...REAL_MACHINES, ...options.machines },
      duties: { ...ALL_DUTIES, ...options.duties },
    });
    this.access = new AccessChecker(this.vkernels);
    this.latest = new LatestValueChecker(this.layout.pages);
    this.losses = new LossChecker(this.layout, this.nodes);
    this.locks = new LockChecker(this.layout);
    this.barriers = new BarrierChecker(barriers, profile.faultEveryMs > 0);
    this.durability = new DurabilityChecker(this.layout.pages, this.stores, this.latest);
    this.cluster = new ClusterStore(this, this.place('store'));
    for (let i = 0; i < nodes; i++) this.nodes.push(new PmapPart(this, this.place(`node${i + 1}`), i));
    for (let i = 0; i < REPLICAS; i++) this.replicas.push(new ReplicaPart(this, this.place(`cohd${i + 1}`)));
    for (let i = 0; i < STORES; i++) this.stores.push(new StorePart(this, this.place(`copy${i + 1}`)));
    for (const replica of this.replicas) replica.start();
    for (const node of this.nodes) node.start();
    this.found();
  }

  // When all are there, some nodes make dataspaces; then processes start.
  private found(): void {
    const { weather } = this.network;
    this.network.weather = { ...weather, lossOneIn: 0, repeatOneIn: 0, slowOneIn: 0 };
    const joined = () => this.nodes.every(({ holding, clockMs }) => holding.lines.allUsable(clockMs));
    while (!joined()) {
      check(this.nowMs < JOINED_MS, 'liveness', undefined, () => `no node joins for ${JOINED_MS} ms`);
      this.step();
    }
    this.network.weather = weather;
    this.layout.dataspaces.forEach((id, i) => {
      const creator = this.nodes[i]!;
      this.cluster.register({
        ...{ id, sizeBytes: BigInt(this.layout.pageCountEach) * 4096n },
        ...{ creator: creator.name, creatorIncarnation: creator.identity },
        durable: this.layout.isDurableDataspace(id),
      });
      for (const node of this.nodes) node.memory.open(id, this.layout.pageCountEach, node === creator);
    });
    for (const node of this.nodes) node.startVkernels();
  }

  /** The replica that leads a shard, where it says so itself. */
  replicaOf(shard: number): ReplicaPart | undefined {
    const epoch = this.cluster.epochOf(shard);
    return this.replicas.find(({ core }) => core?.replica.leaderOf(shard)?.epoch === epoch);
  }

  nextPid(): bigint {
    return ++this.lastPid;
  }

  nextNumber(): number {
    return ++this.lastNumber;
  }
}
