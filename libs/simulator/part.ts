// A part of the cluster that may crash, stop and go on: what it waits for is handled only while it runs.
import type { Pending } from './event-queue.ts';
import type { World } from './world.ts';

/** Where a part stands in the network: parts of one place share its cuts and its clock. */
export interface Place {
  readonly name: string;
  readonly index: number;
  /** Milliseconds of its monotonic clock in one of true time. */
  readonly speed: number;
}

export class Part {
  readonly world: World;
  readonly name: string;
  readonly place: Place;
  /** Grows with each start. */
  generation = 1;
  alive = true;
  paused = false;
  /** What came while it was stopped. */
  private backlog: Pending[] = [];

  constructor(world: World, name: string, place: Place) {
    this.world = world;
    this.name = name;
    this.place = place;
  }

  /** Its monotonic clock. */
  get localMs(): number {
    return this.world.nowMs * this.place.speed;
  }

  get runs(): boolean {
    return this.alive && !this.paused;
  }

  /** Handles something after a time of the world: a message. */
  after(delayMs: number, work: () => void): void {
    this.world.schedule(this, delayMs, work, false);
  }

  /** Handles something after a time of its own clock. */
  timer(delayLocalMs: number, work: () => void): void {
    this.world.schedule(this, Math.max(0, delayLocalMs) / this.place.speed, work, true);
  }

  every(periodLocalMs: number, work: () => void): void {
    this.timer(periodLocalMs, () => {
      work();
      this.every(periodLocalMs, work);
    });
  }

  hold(pending: Pending): void {
    this.backlog.push(pending);
  }

  pause(): void {
    this.paused = true;
  }

  /** Goes on late: with messages first or with timers first, as it happens. */
  wake(): void {
    if (!this.alive || !this.paused) return;
    this.paused = false;
    const { backlog } = this;
    this.backlog = [];
    const timersFirst = this.world.random.oneIn(2);
    const ordered = [
      ...backlog.filter((p) => p.timer === timersFirst),
      ...backlog.filter((p) => p.timer !== timersFirst),
    ];
    for (const pending of ordered) this.world.requeue(pending);
  }

  crash(): void {
    this.alive = false;
    this.paused = false;
    this.generation++;
    this.backlog = [];
  }
}
