// A replica of the directory as a service: the pure machine of libs/coherency/replica, with streams, JetStream, the
// broadcast and the clock around it. Nothing is decided here.

import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import type { DirectoryCounters } from '@odonata/coherency/directory/directory-outbox.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import { ElectedReplica, type ElectedReplicaAction } from '@odonata/coherency/replica/elected-replica.ts';
import { Election, type ElectionOptions } from '@odonata/coherency/replica/election/election.ts';
import type { ElectionEvent } from '@odonata/coherency/replica/election/election-messages.ts';
import type { HolderEntry, HolderTable } from '@odonata/coherency/replica/holders.ts';
import type { Membership } from '@odonata/coherency/replica/members.ts';
import type { Note } from '@odonata/coherency/replica/note.ts';
import { Replica } from '@odonata/coherency/replica/replica.ts';
import type { StreamId } from '@odonata/coherency/replica/replica-messages.ts';
import type { ShardLeader } from '@odonata/coherency/replica/shard/shard-leader.ts';
import { type HolderEvent, InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import { doAll, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import type { ElectionBuckets } from './election-buckets.ts';
import type { Members } from './members.ts';
import type { PageTraces } from './page-traces.ts';
import type { DataspaceRecord, Registry } from './registry.ts';
import { type HolderStream, HolderStreams } from './streams.ts';

/** After a bug in a turn of the clock. */
const AFTER_BUG_MS = 1_000;

export interface CoherencyOptions {
  /** Name of this replica. */
  replica: string;
  /** New each time it starts. */
  incarnation: bigint;
  shards: number;
  leaseMs: number;
  registry: Registry;
  bus: Bus;
  members: Members;
  /** What an earlier process of this replica had noted of nodes. */
  noted?: ReadonlyMap<string, Membership>;
  /** No other replica can take the shards of this one. */
  alone?: boolean;
  /** It leads nothing before `takePart`; else it leads what it is told to. */
  elected?: boolean;
  events?: EventLog;
  /** Absent: nobody traces. */
  traces?: PageTraces | undefined;
  log: Logger;
  /** Monotonic milliseconds. */
  now: () => number;
}

export class CoherencyService {
  readonly core: ElectedReplica;
  readonly streams = new HolderStreams();
  private readonly o: CoherencyOptions;
  private buckets: ElectionBuckets | undefined;
  /** What was asked of JetStream, and is not answered. */
  private readonly asked = new Set<Promise<void>>();
  private retreated: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private timerMs = Number.POSITIVE_INFINITY;
  private readonly ownTick = ownTurn(
    { timer: 'replica' },
    () => this.tick(),
    () => {
      this.timer = setTimeout(this.ownTick, AFTER_BUG_MS);
    },
  );
  private closed = false;

  constructor(options: CoherencyOptions) {
    this.o = options;
    const { replica, incarnation, shards, leaseMs, noted, alone, elected, registry: dataspaces } = options;
    this.core = new ElectedReplica(
      new Replica({
        ...{ replica, incarnation, shards, leaseMs, dataspaces, nowMs: options.now() },
        ...(noted && { noted }),
        ...(alone !== undefined && { alone }),
        ...(elected !== undefined && { elected }),
      }),
    );
    this.arm();
  }

  // ---- what can be seen

  get replica(): string {
    return this.core.replica.replica;
  }

  get shards(): number {
    return this.core.replica.shards;
  }

  get epoch(): bigint {
    return this.core.replica.epoch;
  }

  get holders(): HolderTable {
    return this.core.replica.holders;
  }

  get led(): ShardLeader[] {
    return this.core.replica.led;
  }

  /** Nodes that some replica has noted as a holder. @throws Error where JetStream does not tell it in time */
  async memberNodes(): Promise<string[]> {
    const noted = await this.o.members.all();
    return [...new Set([...noted.values()].flatMap((nodes) => [...nodes.keys()]))].sort();
  }

  get isRebuilding(): boolean {
    return this.core.replica.isRebuilding;
  }

  get parkedEvents(): number {
    return this.core.replica.parkedEvents;
  }

  get pagesChanging(): number {
    return this.led.reduce((sum, { pagesChanging }) => sum + pagesChanging, 0);
  }

  get counters(): DirectoryCounters {
    return this.core.replica.counters;
  }

  get grantedPages(): Readonly<Record<string, number>> {
    return this.core.replica.grantedPages;
  }

  home(dataspace: bigint): ShardLeader | undefined {
    return this.core.replica.home(dataspace);
  }

  /** Addresses of replicas that live, by name. */
  get live(): ReadonlyMap<string, string> {
    return this.core.election?.live(this.o.now()) ?? new Map();
  }

  /** @throws RpcError FAILED_PRECONDITION while a dataspace is mapped */
  expectUnmapped(record: DataspaceRecord): void {
    const by = this.holders.all().filter((h) => h.mapped.has(record.id));
    if (by.length === 0) return;
    const nodes = by.map((h) => h.node).join(', ');
    throw new RpcError(
      Code.FailedPrecondition,
      `dataspace ${record.name} is mapped on ${nodes}; end the processes that use it`,
    );
  }

  // ---- what happens

  /** A stream of a holder. @param fail ends it with an error */
  opened(stream: HolderStream, fail: (error: RpcError) => void): StreamId {
    return this.streams.add(stream, fail);
  }

  receive(stream: StreamId, event: HolderEvent): void {
    this.o.traces?.heard(stream, event);
    this.perform(this.core.receive(stream, event, this.o.now()));
  }

  streamClosed(stream: StreamId): void {
    this.streams.remove(stream);
    this.o.traces?.gone(stream);
    this.perform(this.core.step({ type: 'closed', stream }, this.o.now()));
  }

  /**
   * This replica leads a shard from now on.
   * @param expected by node: the holders that lived at the last leader
   * @param lastEpoch of that leader's shard; 0: not known
   */
  lead(shard: number, epoch: bigint, expected: ReadonlyMap<string, Membership>, lastEpoch = 0n): void {
    this.perform(this.core.step({ type: 'lead', shard, epoch, expected, lastEpoch }, this.o.now()));
  }

  /** This replica leads a shard no more. */
  leave(shard: number): void {
    this.perform(this.core.step({ type: 'leave', shard }, this.o.now()));
  }

  /** A holder is dead before its lease ended. */
  bury({ id: holder }: HolderEntry, reason: string): void {
    this.perform(this.core.step({ type: 'dead', holder, reason }, this.o.now()));
  }

  /** The cluster removed a dataspace. */
  removed(dataspace: bigint): void {
    this.perform(this.core.step({ type: 'removed', dataspace }, this.o.now()));
  }

  /** Somebody has LOST pages of a dataspace begin anew as zeros. */
  lossAccepted(dataspace: string, pages: bigint, by: string): void {
    const what = `${by} has ${pages} LOST ${pages === 1n ? 'page' : 'pages'} of ${dataspace} begin anew as zeros`;
    this.o.events?.add('loss-accepted', what, { dataspace });
  }

  /** Learns which replicas are there, and takes part: what it leads from now on is decided there. */
  async takePart(
    about: Pick<ElectionOptions, 'address' | 'standalone'>,
    buckets: ElectionBuckets,
  ): Promise<void> {
    const { replica, incarnation, shards, leaseMs } = this.o;
    this.buckets = buckets;
    this.core.enter(new Election({ ...about, replica, incarnation, shards, leaseMs }, this.o.now()));
    this.tick();
    await this.answered();
    await buckets.follow((event) => this.elect(event));
    this.elect({ type: 'watched' });
    await this.answered();
  }

  private elect(event: ElectionEvent): void {
    if (!this.closed) this.perform(this.core.elect(event, this.o.now()));
  }

  private async answered(): Promise<void> {
    while (this.asked.size > 0) await Promise.all(this.asked);
  }

  private tick(): void {
    this.perform(this.core.tick(this.o.now()));
    this.arm();
  }

  private arm(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    this.timerMs = this.core.nextMs;
    this.timer = setTimeout(this.ownTick, Math.max(1, Math.ceil(this.timerMs - this.o.now())));
  }

  // ---- what is done

  private perform(actions: readonly ElectedReplicaAction[]): void {
    doAll(actions, (action) => this.performOne(action));
    // What happened may want a tick earlier.
    if (this.core.nextMs < this.timerMs) this.arm();
  }

  private performOne(action: ElectedReplicaAction): void {
    switch (action.type) {
      case 'send':
        this.streams.send(
          action.stream,
          this.o.traces === undefined ? action.event : this.o.traces.says(action.stream, action.event),
        );
        return;
      case 'end':
        this.streams.end(action.stream);
        return;
      case 'fail':
        this.streams.fail(action.stream, errorOf(action));
        return;
      case 'broadcast': {
        const value = this.o.traces?.broadcasts(action.value) ?? action.value;
        const bytes = toBinary(InvalidateSchema, create(InvalidateSchema, value));
        this.o.bus.invalidate(action.dataspace, bytes);
        return;
      }
      case 'note': {
        const { note } = action;
        this.ask(
          this.keep(action.what),
          () => this.noted(note, true),
          (reason) => this.noted(note, false, reason),
        );
        return;
      }
      case 'beat': {
        const { beat, value } = action;
        this.ask(
          this.buckets!.beat(value),
          () => this.elect({ type: 'beaten', beat, kept: true }),
          (reason) => this.elect({ type: 'beaten', beat, kept: false, reason }),
        );
        return;
      }
      case 'retreat':
        this.retreated = this.buckets!.retreat().catch(() => {});
        return;
      case 'read': {
        const { read } = action;
        this.ask(
          this.o.members.all(),
          (members) => this.elect({ type: 'members', read, members }),
          () => this.elect({ type: 'members', read, members: undefined }),
        );
        return;
      }
      case 'swap': {
        const { swap } = action;
        this.ask(
          this.buckets!.swap(action),
          (revision) => this.elect({ type: 'swapped', swap, revision }),
          () => this.elect({ type: 'swapped', swap, revision: undefined }),
        );
        return;
      }
      case 'conflict': {
        const { reason } = action;
        // Ends the process, with this reason.
        setImmediate(() => {
          throw new Error(reason);
        });
        return;
      }
      case 'log':
        this.o.log[action.level](action.about, action.text);
        return;
      case 'event':
        this.o.events?.add(action.kind, action.text, { holder: action.holder });
        return;
      default:
        unreachable(action);
    }
  }

  private async keep(note: Note): Promise<void> {
    switch (note.about) {
      case 'taken-in':
        return await this.o.members.remember(note.node, note.membership);
      case 'dead':
        return await this.o.members.forget(note.node);
      default:
        assert.fail(`${note.about} is the election's`);
    }
  }

  private noted(note: number, kept: boolean, reason?: string): void {
    this.perform(this.core.step({ type: 'noted', note, kept, reason }, this.o.now()));
  }

  private ask<T>(asked: Promise<T>, answered: (value: T) => void, failed: (reason: string) => void): void {
    const told = asked.then(
      (value) => {
        if (!this.closed) answered(value);
      },
      (error) => {
        this.o.log.debug({ err: error }, 'JetStream did not do what it was asked');
        if (!this.closed) failed(this.reasonOf(error));
      },
    );
    const over = told.finally(() => this.asked.delete(over));
    this.asked.add(over);
  }

  private reasonOf(error: unknown): string {
    return this.buckets?.explain(error) ?? (error instanceof Error ? error.message : String(error));
  }

  /** Gives all shards up, for the others to take at once. */
  async retreat(): Promise<void> {
    this.elect({ type: 'close' });
    this.buckets?.close();
    await this.retreated;
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.streams.close();
  }
}

function errorOf({ code, text, field }: Extract<ElectedReplicaAction, { type: 'fail' }>): RpcError {
  switch (code) {
    case 'INVALID_ARGUMENT':
      return field === undefined ? new RpcError(Code.InvalidArgument, text) : invalidField(field, text);
    case 'RESOURCE_EXHAUSTED':
      return new RpcError(Code.ResourceExhausted, text);
    case 'FAILED_PRECONDITION':
      return new RpcError(Code.FailedPrecondition, text);
    case 'UNAVAILABLE':
      return tryAgain(Code.Unavailable, text);
    default:
      return unreachable(code);
  }
}
