// The network: streams keep their order and lose what is under way when they break; broadcasts are lost, repeated and
// reordered; a cut stops one direction between two places.

import type { Random } from '../random.ts';
import { check } from '../violation.ts';
import type { Place } from './place.ts';

/** Messages that may be under way on one stream. */
export const STREAM_MESSAGES_MAX = 5_000;
/** A message that meets a cut is sent again after this long. */
const RETRANSMIT_MS = 15;

export interface Weather {
  /** A broadcast is lost once in so many, 0: never. */
  lossOneIn: number;
  repeatOneIn: number;
  /** Most messages take up to this long. */
  delayMs: number;
  /** One in so many takes up to `slowMs`. */
  slowOneIn: number;
  slowMs: number;
}

/** One end of a stream. */
export interface Endpoint {
  readonly name: string;
  readonly place: Place;
  readonly generation: number;
  after(delayMs: number, work: () => void): void;
  /** The same, of an answer: for whoever asked, and not for a later start of it. */
  answered(generation: number, delayMs: number, work: () => void): void;
}

interface Surrounding {
  readonly nowMs: number;
  readonly random: Random;
}

export class Network {
  weather: Weather;
  private readonly world: Surrounding;
  /** [from][to]: until when nothing passes. */
  private readonly cutUntilMs: number[][] = [];
  private readonly transfers = new Map<number, { stream: Stream<never>; generation: number }>();

  constructor(world: Surrounding, places: number, weather: Weather) {
    this.world = world;
    this.weather = weather;
    for (let i = 0; i < places; i++) this.cutUntilMs.push(new Array(places).fill(0));
  }

  delayMs(): number {
    const { random } = this.world;
    const { slowOneIn, slowMs, delayMs } = this.weather;
    return random.between(0.05, random.oneIn(slowOneIn) ? slowMs : delayMs);
  }

  cut(from: number, to: number, forMs: number): void {
    const row = this.cutUntilMs[from]!;
    row[to] = Math.max(row[to]!, this.world.nowMs + forMs);
  }

  heal(): void {
    for (const row of this.cutUntilMs) row.fill(0);
  }

  passes(from: Place, to: Place): boolean {
    return this.cutUntilMs[from.index]![to.index]! <= this.world.nowMs;
  }

  /** A message without a stream: it may be lost, come twice, and overtake others. */
  datagram(from: Endpoint, to: Endpoint, deliver: () => void): void {
    const { random } = this.world;
    const arrive = () => {
      if (this.passes(from.place, to.place)) deliver();
    };
    if (!random.oneIn(this.weather.lossOneIn)) to.after(this.delayMs(), arrive);
    if (random.oneIn(this.weather.repeatOneIn)) to.after(this.delayMs() + this.delayMs(), arrive);
  }

  /** The stream of pages from one part to another; a new one where the last broke. */
  transfer<M>(from: Endpoint, to: Endpoint, deliver: (message: M) => void): Stream<M> {
    const key = from.place.index * 256 + to.place.index;
    const generation = from.generation * 65_536 + to.generation;
    const known = this.transfers.get(key);
    if (known !== undefined && !known.stream.broken && known.generation === generation)
      return known.stream as unknown as Stream<M>;
    known?.stream.break();
    const stream = new Stream<M>(this, this.world, from, to, deliver);
    this.transfers.set(key, { stream: stream as unknown as Stream<never>, generation });
    return stream;
  }

  breakTransfer(from: number, to: number): void {
    this.transfers.get(from * 256 + to)?.stream.break();
  }
}

/** One direction of a connection. */
export class Stream<M> {
  broken = false;
  private readonly network: Network;
  private readonly world: Surrounding;
  private readonly from: Endpoint;
  private readonly to: Endpoint;
  private readonly deliver: (message: M) => void;
  private queue: M[] = [];
  private head = 0;

  constructor(
    network: Network,
    world: Surrounding,
    from: Endpoint,
    to: Endpoint,
    deliver: (message: M) => void,
  ) {
    this.network = network;
    this.world = world;
    this.from = from;
    this.to = to;
    this.deliver = deliver;
  }

  send(message: M): void {
    if (this.broken) return;
    const idle = this.head === this.queue.length;
    if (idle) {
      this.queue = [];
      this.head = 0;
    }
    this.queue.push(message);
    const underWay = this.queue.length - this.head;
    check(underWay <= STREAM_MESSAGES_MAX, 'bounded queues', undefined, () => {
      return `${underWay} messages are under way from ${this.from.name} to ${this.to.name}`;
    });
    if (idle) this.to.after(this.network.delayMs(), this.next);
  }

  /** What is under way is lost. */
  break(): void {
    this.broken = true;
    this.queue = [];
    this.head = 0;
  }

  private readonly next = (): void => {
    if (this.broken) return;
    if (!this.network.passes(this.from.place, this.to.place)) {
      this.to.after(this.world.random.between(1, RETRANSMIT_MS), this.next);
      return;
    }
    const message = this.queue[this.head++]!;
    if (this.head < this.queue.length) this.to.after(this.network.delayMs() / 4, this.next);
    this.deliver(message);
  };
}
