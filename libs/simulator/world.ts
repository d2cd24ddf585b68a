// One simulated cluster: time, chance, the network, the parts, and who looks at them.
import { AccessChecker } from './checkers/access.ts';
import { DurabilityChecker } from './checkers/durability.ts';
import { LatestValueChecker } from './checkers/latest-value.ts';
import { LockChecker } from './checkers/lock-order.ts';
import { LossChecker } from './checkers/loss.ts';
import { ClusterStore } from './cluster-store.ts';
import { EventQueue, type Pending } from './event-queue.ts';
import { History } from './history.ts';
import { Layout } from './layout.ts';
import { ALL_DUTIES, type Duties, type Machines, REAL_MACHINES } from './machines.ts';
import { Network } from './network.ts';
import type { Part, Place } from './part.ts';
import { DirectoryPart } from './parts/directory.ts';
import { PmapPart } from './parts/pmap.ts';
import { StorePart } from './parts/store.ts';
import type { VkernelPart } from './parts/vkernel.ts';
import type { Profile } from './profiles.ts';
import { Random } from './random.ts';

/** Replicas of the directory. */
const REPLICAS = 3;
/** Leaders of one shard that may be there at one time, the old ones among them. */
const LEADERS_MAX = 3;
const STORES = 2;

export interface WorldOptions {
  seed: number;
  nodes: number;
  pages: number;
  shards: number;
  profile: Profile;
  machines?: Partial<Machines>;
  duties?: Partial<Duties>;
  /** Hears each event. */
  trace?: ((line: string) => void) | undefined;
}

/** A replica of the directory: a place where leaders of shards run. */
export interface Replica {
  readonly index: number;
  readonly place: Place;
  /** It crashed, and is not back. */
  down: boolean;
}

export class World {
  nowMs = 0;
  steps = 0;
  /** Processes begin nothing new. */
  quiet = false;
  readonly random: Random;
  readonly layout: Layout;
  readonly profile: Profile;
  readonly machines: Machines;
  readonly duties: Duties;
  readonly history: History;
  readonly network: Network;
  readonly cluster: ClusterStore;
  readonly stores: StorePart[] = [];
  readonly nodes: PmapPart[] = [];
  readonly replicas: Replica[] = [];
  /** By shard, the newest last. */
  readonly directories: DirectoryPart[][] = [];
  /** All that have not ended, also those whose pmap manager died. */
  readonly vkernels = new Set<VkernelPart>();
  readonly access: AccessChecker;
  readonly latest: LatestValueChecker;
  readonly losses: LossChecker;
  readonly locks: LockChecker;
  readonly durability: DurabilityChecker;
  private readonly queue = new EventQueue();
  private readonly places: Place[] = [];
  private order = 0;
  private lastPid = 0n;

  constructor(options: WorldOptions) {
    const { seed, nodes, pages, shards, profile } = options;
    this.random = new Random(seed);
    this.profile = profile;
    this.machines = { ...REAL_MACHINES, ...options.machines };
    this.duties = { ...ALL_DUTIES, ...options.duties };
    const dataspaces = pages > 1 && this.random.oneIn(2) ? 2 : 1;
    const durable = Array.from({ length: dataspaces }, () => this.random.oneIn(2));
    const firstId = 1 + this.random.below(1_000);
    this.layout = new Layout({ firstId, durable, pagesEach: Math.ceil(pages / dataspaces), shards });
    this.history = new History(this.layout, options.trace);
    this.network = new Network(this, 1 + nodes + REPLICAS + STORES, profile.weather);
    this.access = new AccessChecker(this);
    this.latest = new LatestValueChecker(this);
    this.losses = new LossChecker(this);
    this.locks = new LockChecker(this);
    this.durability = new DurabilityChecker(this);
    this.cluster = new ClusterStore(this, this.place('store'));
    const nodePlaces = Array.from({ length: nodes }, (_, i) => this.place(`node${i + 1}`));
    for (let i = 0; i < REPLICAS; i++)
      this.replicas.push({ index: i, place: this.place(`cohd${i + 1}`), down: false });
    for (let i = 0; i < STORES; i++) this.stores.push(new StorePart(this, this.place(`copy${i + 1}`)));
    for (const place of nodePlaces) this.nodes.push(new PmapPart(this, place));
    // The cluster is some time old: its nodes are known, and some made dataspaces that nobody used yet.
    for (const { members } of this.cluster.shards)
      for (const node of this.nodes) members.set(node.nodeIndex, 1);
    for (const node of this.nodes) node.start();
    for (let shard = 0; shard < shards; shard++) {
      this.directories.push([]);
      this.startDirectory(shard);
    }
  }

  private place(name: string): Place {
    const index = this.places.length;
    // Within the drift that lease.ts allows between any two clocks.
    const place = { name, index, speed: this.random.between(0.9901, 1.0099) };
    this.places.push(place);
    return place;
  }

  get placeCount(): number {
    return this.places.length;
  }

  /** The newest leader of a shard. */
  leaderOf(shard: number): DirectoryPart {
    return this.directories[shard]!.at(-1)!;
  }

  /** Leaders of shards that there were. */
  get leadersStarted(): number {
    return Math.max(...this.cluster.shards.map(({ epoch }) => epoch));
  }

  nextPid(): bigint {
    return ++this.lastPid;
  }

  /** A shard has a new leader, at the replica that is planned or that is named. */
  startDirectory(shard: number, at = this.cluster.planned(shard)): void {
    const epoch = this.cluster.newEpoch(shard, at);
    const { place } = this.replicas[at]!;
    const leaders = this.directories[shard]!;
    // A replica leads a shard once.
    for (const old of leaders.filter((leader) => leader.place === place)) old.crash();
    while (leaders.length > 0 && (leaders.length >= LEADERS_MAX || !leaders[0]!.alive))
      leaders.shift()!.crash();
    const directory = new DirectoryPart(this, place, { shard, epoch });
    leaders.push(directory);
    directory.start();
  }

  schedule(part: Part | undefined, delayMs: number, work: () => void, timer: boolean): void {
    const generation = part?.generation ?? 0;
    this.queue.push({ atMs: this.nowMs + delayMs, order: this.order++, part, generation, timer, work });
  }

  /** After a time of the world, whoever lives. */
  later(delayMs: number, work: () => void): void {
    this.schedule(undefined, delayMs, work, false);
  }

  /** What waited for a part that was stopped happens now. */
  requeue(pending: Pending): void {
    pending.atMs = this.nowMs;
    pending.order = this.order++;
    this.queue.push(pending);
  }

  /** The next event happens. */
  step(): void {
    for (;;) {
      const next = this.queue.pop();
      if (next === undefined) throw new Error('nothing is left to happen');
      this.nowMs = next.atMs;
      const { part } = next;
      if (part !== undefined) {
        if (!part.alive || part.generation !== next.generation) continue;
        if (part.paused) {
          part.hold(next);
          continue;
        }
      }
      this.steps++;
      next.work();
      return;
    }
  }
}
