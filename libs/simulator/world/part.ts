// A part of the cluster that may crash, stop and go on: what it waits for is handled only while it runs.
import type { Handler, Pending } from '../event-queue.ts';
import type { Random } from '../random.ts';
import type { Place } from './place.ts';

/** The time in which parts live. */
export interface Clockwork {
  readonly nowMs: number;
  readonly random: Random;
  schedule(part: Handler | undefined, delayMs: number, work: () => void, timer: boolean): void;
  requeue(pending: Pending): void;
}

export class Part implements Handler {
  readonly name: string;
  readonly place: Place;
  /** Grows with each start. */
  generation = 1;
  alive = true;
  paused = false;
  /** What came while it was stopped. */
  private backlog: Pending[] = [];
  private readonly clockwork: Clockwork;

  constructor(clockwork: Clockwork, name: string, place: Place) {
    this.clockwork = clockwork;
    this.name = name;
    this.place = place;
  }

  /** Its monotonic clock. */
  get localMs(): number {
    return this.clockwork.nowMs * this.place.speed;
  }

  /** The same in whole milliseconds, as processes read it. */
  get clockMs(): number {
    return Math.floor(this.localMs);
  }

  get runs(): boolean {
    return this.alive && !this.paused;
  }

  /** Handles something after a time of the world: a message. */
  after(delayMs: number, work: () => void): void {
    this.clockwork.schedule(this, delayMs, work, false);
  }

  /** The same, of an answer: for whoever asked, and not for a later start of it. */
  answered(generation: number, delayMs: number, work: () => void): void {
    if (generation === this.generation) this.after(delayMs, work);
  }

  /** Handles something after a time of its own clock. */
  timer(delayLocalMs: number, work: () => void): void {
    this.clockwork.schedule(this, Math.max(0, delayLocalMs) / this.place.speed, work, true);
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
    const timersFirst = this.clockwork.random.oneIn(2);
    const ordered = [
      ...backlog.filter((p) => p.timer === timersFirst),
      ...backlog.filter((p) => p.timer !== timersFirst),
    ];
    for (const pending of ordered) this.clockwork.requeue(pending);
  }

  crash(): void {
    this.alive = false;
    this.paused = false;
    this.generation++;
    this.backlog = [];
  }
}
