// Time, chance and the network of one simulated cluster: what all parts stand on.
import { EventQueue, type Handler, type Pending } from './event-queue.ts';
import { History } from './history.ts';
import type { Profile } from './profiles.ts';
import { Random } from './random.ts';
import { Layout } from './world/layout.ts';
import type { Duties, Machines } from './world/machines.ts';
import { Network } from './world/network.ts';
import type { Clockwork } from './world/part.ts';
import type { Place } from './world/place.ts';

export interface SimulationOptions {
  seed: number;
  pages: number;
  shards: number;
  places: number;
  few: number;
  renewals?: number | undefined;
  profile: Profile;
  machines: Machines;
  duties: Duties;
  /** Hears each event. */
  trace?: ((line: string) => void) | undefined;
}

export class Simulation implements Clockwork {
  nowMs = 0;
  steps = 0;
  /** Processes begin nothing new. */
  quiet = false;
  readonly random: Random;
  readonly layout: Layout;
  readonly profile: Profile;
  /** As many holders at most are told of an invalidation on their streams. */
  readonly few: number;
  /** Of each lease, where they are others than as ever. */
  readonly renewals: number | undefined;
  readonly machines: Machines;
  readonly duties: Duties;
  readonly history: History;
  readonly network: Network;
  private readonly queue = new EventQueue();
  private readonly places: Place[] = [];
  private order = 0;

  constructor(options: SimulationOptions) {
    const { seed, pages, shards, places, profile, machines, duties } = options;
    this.random = new Random(seed);
    this.profile = profile;
    this.few = options.few;
    this.renewals = options.renewals;
    this.machines = machines;
    this.duties = duties;
    const dataspaces = pages > 1 && this.random.oneIn(2) ? 2 : 1;
    const durable = Array.from({ length: dataspaces }, () => this.random.oneIn(2));
    const firstId = 1 + this.random.below(1_000);
    this.layout = new Layout({ firstId, durable, pagesEach: Math.ceil(pages / dataspaces), shards });
    this.history = new History(this.layout, options.trace);
    this.network = new Network(this, places, profile.weather);
  }

  protected place(name: string): Place {
    const index = this.places.length;
    // Within the drift that lease.ts allows between any two clocks.
    const place = { name, index, speed: this.random.between(0.9901, 1.0099) };
    this.places.push(place);
    return place;
  }

  get placeCount(): number {
    return this.places.length;
  }

  schedule(part: Handler | undefined, delayMs: number, work: () => void, timer: boolean): void {
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
