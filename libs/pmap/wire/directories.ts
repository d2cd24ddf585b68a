// Carries out what a node's lines to the directory decide (libs/coherency/node/lines/lines.ts): streams, time and log are here;
// what concerns pages, locks and virtual kernels is the node's.

import { guardMs } from '@odonata/coherency/lease.ts';
import type { HolderEventInit, HolderWord } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import type { LinesAction, LinesEvent, NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import type { LinesOptions } from '@odonata/coherency/node/lines/streams.ts';
import {
  type DirectoryEvent,
  type Invalidate,
  InvalidateSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import { doAll, ownTurn } from '@odonata/rpc/bug.ts';
import { MessageRefusal } from '@odonata/rpc/constraints/violation.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { decoder } from '@odonata/rpc/service.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { DirectoryStream } from './directory-stream.ts';

const POLL_MS = 2;
const decodeInvalidate = decoder(InvalidateSchema);

/** What is said to the directory and heard of it, as parts of traces. */
export interface TracedWords {
  said(event: HolderEventInit): HolderEventInit;
  heard(event: DirectoryEvent['event'], follow: () => unknown): void;
}

export interface DirectoriesOptions extends LinesOptions {
  log: Logger;
  /** Of another pmap manager of this node; its permissions may be used as long as they last. */
  inherited?: readonly LedShard[] | undefined;
  traces?: TracedWords | undefined;
  /** Pages that the node takes of others; absent: none. */
  room?: (() => number) | undefined;
}

export class Directories {
  readonly lines: Lines;
  private readonly log: Logger;
  private readonly gate: WireGate;
  private readonly traces: TracedWords | undefined;
  private readonly room: DirectoriesOptions['room'];
  private readonly perform: (action: NodeAction) => void;
  /** By address. */
  private readonly streams = new Map<string, DirectoryStream>();
  /** Which of them has a stream of a number. */
  private readonly byNumber = new Map<number, DirectoryStream>();
  private timer: NodeJS.Timeout | undefined;
  private timerMs = Number.POSITIVE_INFINITY;
  private closed = false;

  /** @param perform does what is the node's */
  constructor(
    { log, inherited, traces, room, ...about }: DirectoriesOptions,
    perform: (action: NodeAction) => void,
  ) {
    this.traces = traces;
    this.room = room;
    this.lines = new Lines(about, inherited);
    this.log = log;
    this.gate = new WireGate('pmapd', log);
    this.perform = perform;
    this.tick();
  }

  /** @returns true where something came of it */
  private step(event: LinesEvent): boolean {
    return !this.closed && this.carryOut(this.lines.step(event, monotonicMs()));
  }

  private tick(): void {
    this.timerMs = Number.POSITIVE_INFINITY;
    if (!this.closed) this.carryOut(this.lines.tick(monotonicMs()));
  }

  private carryOut(actions: readonly LinesAction[]): boolean {
    try {
      // What a replica said of some pages cannot be: the rest is to be done all the same.
      doAll(actions, (action) => this.carryOutOne(action));
    } finally {
      this.arm();
    }
    return actions.length > 0;
  }

  private arm(): void {
    const { nextMs } = this.lines;
    if (nextMs === this.timerMs || this.closed) return;
    clearTimeout(this.timer);
    this.timerMs = nextMs;
    if (Number.isFinite(nextMs))
      this.timer = setTimeout(
        ownTurn({ timer: 'directories' }, () => this.tick()),
        Math.max(1, nextMs - monotonicMs() + 1),
      );
  }

  private carryOutOne(action: LinesAction): void {
    switch (action.type) {
      case 'connect':
        this.stream(action.replica).connect(action.failures);
        return;
      case 'close': {
        const stream = this.streams.get(action.replica);
        stream?.close();
        this.streams.delete(action.replica);
        for (const [number, each] of this.byNumber) if (each === stream) this.byNumber.delete(number);
        return;
      }
      case 'send':
        this.byNumber
          .get(action.stream)
          ?.send(
            this.withRoom(this.traces === undefined ? action.event : this.traces.said(action.event)),
            action.epoch,
          );
        return;
      case 'log':
        this.log[action.level](action.about, action.text);
        return;
      case 'unfit':
        // Ends the process, with this reason.
        setImmediate(() => {
          throw new Error(action.reason);
        });
        return;
      default:
        this.perform(action);
    }
  }

  // So whoever is short learns who has room.
  private withRoom(event: HolderEventInit): HolderEventInit {
    if (this.room === undefined) return event;
    const roomPages = BigInt(this.room());
    if (event?.case === 'renew') return { case: 'renew', value: { ...event.value, roomPages } };
    return event?.case === 'hello' ? { case: 'hello', value: { ...event.value, roomPages } } : event;
  }

  /** Both ways, with all replicas that there are. */
  get messages(): number {
    return [...this.streams.values()].reduce((sum, { messages }) => sum + messages, 0);
  }

  private stream(replica: string): DirectoryStream {
    let stream = this.streams.get(replica);
    if (stream !== undefined) return stream;
    stream = new DirectoryStream(replica, this.gate, this.log, (event) => {
      if (event.type === 'opened') this.byNumber.set(event.stream, stream!);
      else if (event.type === 'broke') this.byNumber.delete(event.stream);
      if (this.traces === undefined || event.type !== 'heard') this.step(event);
      else this.traces.heard(event.event, () => this.step(event));
    });
    this.streams.set(replica, stream);
    return stream;
  }

  /** Keeps a line to each of these replicas, and to no others. */
  connectTo(addresses: Iterable<string>): void {
    this.step({ type: 'replicas', addresses: [...addresses] });
  }

  /** Sends what the holder's machine of a shard has to say. @param reported the shard of a report */
  say(word: HolderWord, reported?: number): void {
    this.step({ type: 'word', word, shard: reported });
  }

  /** Sends to the leader of a shard. */
  sendTo(shard: number, event: HolderEventInit): void {
    this.step({ type: 'say', shard, event });
  }

  sendAll(event: HolderEventInit): void {
    this.step({ type: 'say-all', event });
  }

  /** Tells whether processes of this node map a dataspace. */
  interest(dataspace: bigint, mapped: boolean): void {
    this.step({ type: 'interest', dataspace, mapped });
  }

  /** A broadcast. */
  overhear(bytes: Uint8Array): void {
    const message = invalidateFrom(bytes);
    if (message === undefined) return;
    const hear = (): unknown => this.step({ type: 'overheard', message });
    if (this.traces === undefined) hear();
    else this.traces.heard({ case: 'invalidate', value: message }, hear);
  }

  /** Asks the leader of a shard to let this node go. @returns false: there is nobody to ask */
  retire(shard: number): boolean {
    return this.lines.isConnectedTo(shard) && this.step({ type: 'retire', shard });
  }

  sayGoodbye(): void {
    this.step({ type: 'goodbye' });
  }

  /** Asks all replicas to hold the lease for so long, and waits until each has answered, for so long at most. */
  async hold(holdMs: number, waitMs: number): Promise<void> {
    const startMs = monotonicMs();
    const wantedMs = startMs + holdMs - guardMs(holdMs);
    this.step({ type: 'hold', holdMs });
    while (this.lines.awaitsLease(wantedMs) && monotonicMs() < startMs + waitMs) await delay(POLL_MS);
  }

  /** True while what is held of a page may be used. */
  usable(dataspace: bigint, page: number): boolean {
    return this.lines.usable(dataspace, page, monotonicMs());
  }

  /** True while the leader of a dataspace's locks can be trusted. */
  homeUsable(dataspace: bigint): boolean {
    return this.lines.homeUsable(dataspace, monotonicMs());
  }

  /** True while every shard has a leader whose permissions this node may use. */
  get allUsable(): boolean {
    return this.lines.allUsable(monotonicMs());
  }

  /** Until when all shards may be used; minus infinity: some may not. */
  get usableUntilMs(): number {
    return this.lines.usableUntilMs(monotonicMs());
  }

  get connected(): boolean {
    return this.lines.connected;
  }

  /** Why no replica takes this node, where it is for versions of the wire. */
  get refusal(): string | undefined {
    for (const { refusal } of this.streams.values()) if (refusal !== undefined) return refusal;
    return undefined;
  }

  get anyConnected(): boolean {
    return this.lines.anyConnected;
  }

  isEpochOf(shard: number, epoch: bigint): boolean {
    return this.lines.isEpochOf(shard, epoch);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    for (const stream of this.streams.values()) stream.close();
  }
}

// One that cannot be read is as good as lost: whoever sent it says it again on the stream.
function invalidateFrom(bytes: Uint8Array): Invalidate | undefined {
  try {
    return decodeInvalidate(bytes);
  } catch (error) {
    if (error instanceof MessageRefusal) return undefined;
    throw error;
  }
}
