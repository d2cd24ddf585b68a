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

/** Directories that may be there at one time, the old ones among them. */
const DIRECTORY_PLACES = 4;
const STORES = 2;

export interface WorldOptions {
  seed: number;
  nodes: number;
  pages: number;
  profile: Profile;
  machines?: Partial<Machines>;
  duties?: Partial<Duties>;
  /** Hears each event. */
  trace?: ((line: string) => void) | undefined;
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
  /** The newest last. */
  readonly directories: DirectoryPart[] = [];
  /** All that have not ended, also those whose pmap manager died. */
  readonly vkernels = new Set<VkernelPart>();
  readonly access: AccessChecker;
  readonly latest: LatestValueChecker;
  readonly losses: LossChecker;
  readonly locks: LockChecker;
  readonly durability: DurabilityChecker;
  private readonly queue = new EventQueue();
  private readonly places: Place[] = [];
  private readonly directoryPlaces: Place[] = [];
  private order = 0;
  private lastPid = 0n;

  constructor(options: WorldOptions) {
    const { seed, nodes, pages, profile } = options;
    this.random = new Random(seed);
    this.profile = profile;
    this.machines = { ...REAL_MACHINES, ...options.machines };
    this.duties = { ...ALL_DUTIES, ...options.duties };
    const dataspaces = pages > 1 && this.random.oneIn(2) ? 2 : 1;
    const durable = Array.from({ length: dataspaces }, () => this.random.oneIn(2));
    this.layout = new Layout(durable, Math.ceil(pages / dataspaces));
    this.history = new History(this.layout, options.trace);
    this.network = new Network(this, 1 + nodes + DIRECTORY_PLACES + STORES, profile.weather);
    this.access = new AccessChecker(this);
    this.latest = new LatestValueChecker(this);
    this.losses = new LossChecker(this);
    this.locks = new LockChecker(this);
    this.durability = new DurabilityChecker(this);
    this.cluster = new ClusterStore(this, this.place('store'));
    const nodePlaces = Array.from({ length: nodes }, (_, i) => this.place(`node${i + 1}`));
    for (let i = 0; i < DIRECTORY_PLACES; i++) this.directoryPlaces.push(this.place(`directory${i}`));
    for (let i = 0; i < STORES; i++) this.stores.push(new StorePart(this, this.place(`copy${i + 1}`)));
    for (const place of nodePlaces) this.nodes.push(new PmapPart(this, place));
    // The cluster is some time old: its nodes are known, and some made dataspaces that nobody used yet.
    for (const node of this.nodes) this.cluster.members.set(node.nodeIndex, 1);
    for (const node of this.nodes) node.start();
    this.startDirectory();
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

  /** The directory of the highest epoch. */
  get directory(): DirectoryPart {
    return this.directories.at(-1)!;
  }

  nextPid(): bigint {
    return ++this.lastPid;
  }

  startDirectory(): void {
    const epoch = this.cluster.newEpoch();
    const place = this.directoryPlaces[epoch % DIRECTORY_PLACES]!;
    if (this.directories.length >= DIRECTORY_PLACES) this.directories.shift()!.crash();
    const directory = new DirectoryPart(this, place, epoch);
    this.directories.push(directory);
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
