// The directory of one shard, for as long as this replica leads it: the pure machines, with streams and the bus around
// them. It starts by taking the reports of all holders that lived under the last leader, or for one lease.
import { create, toBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import { pageCountOf, unreachable } from '@odonata/coherency/page.ts';
import { runsOfShard } from '@odonata/coherency/shard.ts';
import { SyncDesk } from '@odonata/coherency/sync-desk.ts';
import { ackWire, modeWire, reasonWire, runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import { type HolderEvent, InvalidateSchema, type Report } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { HolderEntry, HolderTable } from './holder-table.ts';
import type { Membership } from './members.ts';
import type { DataspaceRecord, Registry } from './registry.ts';
import { answerSync, stepSync } from './sync-events.ts';

/** Events that wait for the end of a rebuild, or for a dataspace that this replica has not heard of yet. */
const PARKED_MAX = 200_000;
/** How long an event waits for a dataspace to become known before it is refused. */
const UNKNOWN_MS = 2_000;

type ReportEvent = Extract<DirectoryEvent, { type: 'report' }>;

export interface ShardLeaderOptions {
  shard: number;
  shards: number;
  epoch: bigint;
  leaseMs: number;
  /** By node: the holders that lived under the last leader, as it noted them. */
  expected: ReadonlyMap<string, Membership>;
  /** Of the last leader; 0: not known. */
  lastEpoch: bigint;
  holders: HolderTable;
  /** Counts pages granted, by state. */
  grantedPages: Record<string, number>;
  registry: Registry;
  bus: Bus;
  log: Logger;
  /** A node that lived under the last leader did not report for a lease: `absent` follows when that is noted. */
  onAbsent: (node: string) => void;
  /** A holder is connected, and did not report for a lease: `dies` follows at once, `bury` when that is noted. */
  onSilent: (entry: HolderEntry) => void;
  /** All have reported: `reportedNoted` follows when that is noted, and then the shard is served. */
  onReported: () => void;
  /** Monotonic milliseconds. */
  now: () => number;
}

/** Names a start of a pmap manager. */
const lifeOf = (node: string, incarnation: bigint): string => `${node} ${incarnation}`;

interface Parked {
  holder: HolderEntry;
  event: HolderEvent;
  untilMs: number;
}

function isReclaim({ event: { event } }: Parked): boolean {
  return event.case === 'lock' && event.value.reclaim;
}

export class ShardLeader {
  readonly directory = new Directory({ home: false });
  readonly sync = new SyncDesk();
  readonly shard: number;
  readonly epoch: bigint;
  private readonly o: ShardLeaderOptions;
  /** Of the last leader's holders, those that did not die since. */
  private readonly expected: Map<string, Membership>;
  private readonly awaited: Set<string>;
  private readonly absentees = new Set<string>();
  private reports: ReportEvent[] = [];
  private readonly reported = new Set<HolderEntry>();
  /** Since when a report is waited for. */
  private readonly askedAtMs = new Map<HolderEntry, number>();
  /** Buried, but that is not noted yet: what they had stays theirs. */
  private readonly dying = new Set<HolderEntry>();
  /** Holders that had nothing of this shard when they came, with the newest dataspace that was made before that. */
  private readonly newcomers = new Map<HolderEntry, bigint>();
  private parked: Parked[] = [];
  /** Holders that left this shard without a loss, and are still here. */
  private readonly retired = new Set<HolderEntry>();
  private readonly voided: { life: string; dataspaces: bigint[] }[] = [];
  private readonly rebuildUntilMs: number;
  private rebuilding = true;
  private noting = false;
  private noted = false;

  constructor(options: ShardLeaderOptions) {
    this.o = options;
    this.shard = options.shard;
    this.epoch = options.epoch;
    this.expected = new Map(options.expected);
    this.awaited = new Set(options.expected.keys());
    this.rebuildUntilMs = options.now() + options.leaseMs;
    for (const entry of options.holders.all()) if (entry.welcomed) this.attach(entry);
    this.endRebuildWhenReady();
  }

  get parkedEvents(): number {
    return this.parked.length;
  }

  get isRebuilding(): boolean {
    return this.rebuilding;
  }

  /** A holder has a new stream, or this shard a new leader: the holder hears that it is led from here. */
  attach(entry: HolderEntry): void {
    if (this.retired.has(entry)) {
      // It has left, and may not have heard so: the answer may be lost with the last stream.
      this.o.holders.send(entry.id, {
        case: 'led',
        value: { shard: this.shard, epoch: this.epoch, report: false },
      });
      this.o.holders.send(entry.id, { case: 'retired', value: { shard: this.shard, epoch: this.epoch } });
      return;
    }
    this.step({ type: 'join', holder: entry.id, identity: entry.incarnation });
    const expected = this.expected.get(entry.node);
    if (expected !== undefined && expected.incarnation !== entry.incarnation) this.awaited.delete(entry.node);
    const report = this.rebuilding && expected?.incarnation === entry.incarnation;
    if (report) this.hearAnew(entry);
    else if (!this.reported.has(entry)) {
      // New to this shard, or buried by its last leader: it has nothing.
      this.reported.add(entry);
      this.newcomers.set(entry, this.o.registry.revision);
    }
    const asked = report ? { life: expected.life, lastEpoch: this.o.lastEpoch } : {};
    const value = { shard: this.shard, epoch: this.epoch, report, ...asked };
    this.o.holders.send(entry.id, { case: 'led', value });
  }

  // A broken stream may have taken a part of its report along.
  private hearAnew(entry: HolderEntry): void {
    this.forget(entry);
    if (!this.askedAtMs.has(entry)) this.askedAtMs.set(entry, this.o.now());
  }

  receive(entry: HolderEntry, event: HolderEvent): void {
    // What it said before is over.
    if (this.retired.has(entry)) return;
    if (!this.rebuilding) {
      if (this.isKnown(event)) this.apply(entry, event);
      else this.park(entry, event, this.o.now() + UNKNOWN_MS);
    } else if (event.event.case !== 'ack') {
      // Answers of before are of no use; requests wait until every report is in.
      this.park(entry, event, Number.POSITIVE_INFINITY);
    }
  }

  /** What a holder has of this shard. */
  report(entry: HolderEntry, { held, voided, reborn, last, epoch }: Report): void {
    if (!this.rebuilding || epoch !== this.epoch) return;
    const runs = held.map((h) => ({
      run: runFromWire(h.run),
      state: stateWire.from(h.state),
      version: Number(h.version),
      kept: h.kept,
      keptFor: h.keptFor === 0n ? undefined : h.keptFor,
    }));
    this.reports.push({ type: 'report', holder: entry.id, held: runs, voided, reborn });
    if (voided.length > 0)
      this.voided.push({ life: lifeOf(entry.node, entry.incarnation), dataspaces: voided });
    if (last) {
      this.awaited.delete(entry.node);
      this.reported.add(entry);
    }
    this.endRebuildWhenReady();
  }

  /** A holder wants to leave the shard. */
  retire(entry: HolderEntry, epoch: bigint): void {
    // While reports miss nobody knows what it has: it asks again.
    if (this.rebuilding || epoch !== this.epoch) return;
    const runsOf = (id: bigint, pageCount: number) => runsOfShard(this.shard, this.o.shards, id, pageCount);
    const { remaining, actions } = this.directory.retire(entry.id, runsOf);
    if (remaining.length === 0) {
      this.retired.add(entry);
      this.forget(entry);
      for (const action of actions) this.perform(action);
      answerSync(this.o.holders, this.sync.holderGone(entry.id));
    }
    this.o.holders.send(entry.id, { case: 'retired', value: { shard: this.shard, epoch, remaining } });
  }

  private forget(entry: HolderEntry): void {
    this.parked = this.parked.filter((p) => p.holder !== entry);
    this.reports = this.reports.filter(({ holder }) => holder !== entry.id);
    this.reported.delete(entry);
    this.newcomers.delete(entry);
  }

  /** A holder is dead; until that is noted, nobody gets what it had. */
  dies(entry: HolderEntry): void {
    this.dying.add(entry);
  }

  /** The death of a holder is noted. */
  bury(entry: HolderEntry): void {
    // Else it died before this replica led the shard.
    if (!this.dying.delete(entry)) return;
    if (this.expected.get(entry.node)?.incarnation === entry.incarnation) {
      this.expected.delete(entry.node);
      this.awaited.delete(entry.node);
    }
    this.forget(entry);
    this.askedAtMs.delete(entry);
    this.retired.delete(entry);
    this.step({ type: 'leave', holder: entry.id });
    answerSync(this.o.holders, this.sync.holderGone(entry.id));
    this.endRebuildWhenReady();
  }

  /** The death of a node that did not report is noted. */
  absent(node: string): void {
    this.expected.delete(node);
    this.awaited.delete(node);
    this.endRebuildWhenReady();
  }

  /** That all have reported is noted. */
  reportedNoted(): void {
    this.noted = true;
    this.endRebuildWhenReady();
  }

  /** The cluster removed a dataspace. */
  remove(dataspace: bigint): void {
    this.step({ type: 'remove', dataspace });
    this.sync.removeDataspace(dataspace);
  }

  tick(nowMs: number): void {
    if (this.rebuilding) {
      this.endRebuildWhenReady();
      return;
    }
    this.retryParked(nowMs);
    this.step({ type: 'tick', nowMs });
    answerSync(this.o.holders, this.sync.tick(nowMs));
  }

  /** True where the creator of a dataspace lives and still has the pages that nobody asked for. */
  creatorLives({ creator, creatorIncarnation, id }: DataspaceRecord): boolean {
    const entry = this.o.holders.ofNode(creator);
    if (entry === undefined || entry.incarnation !== creatorIncarnation) return false;
    const life = lifeOf(creator, creatorIncarnation);
    const voided = this.voided.some((v) => v.life === life && v.dataspaces.includes(id));
    // One that was buried comes back as a newcomer: what it made before that is lost, and what it makes now is whole.
    const since = this.newcomers.get(entry);
    return !voided && (since === undefined || id > since);
  }

  private park(holder: HolderEntry, event: HolderEvent, untilMs: number): void {
    // A full queue forgets the event; the holder asks again after its next join.
    if (this.parked.length < PARKED_MAX) this.parked.push({ holder, event, untilMs });
    else this.o.log.warn({ shard: this.shard, node: holder.node }, 'too many events wait; one is dropped');
  }

  private retryParked(nowMs: number): void {
    if (this.parked.length === 0) return;
    const parked = this.parked;
    this.parked = [];
    for (const each of parked) {
      if (this.o.holders.get(each.holder.id) !== each.holder) continue;
      if (each.untilMs > nowMs && !this.isKnown(each.event)) this.parked.push(each);
      else this.apply(each.holder, each.event);
    }
  }

  // Another replica may have registered a dataspace a moment ago.
  private isKnown({ event }: HolderEvent): boolean {
    if (event.case !== 'acquire' || event.value.run === undefined) return true;
    return this.admit(event.value.run.dataspace);
  }

  private admit(id: bigint): boolean {
    if (this.directory.has(id)) return true;
    const record = this.o.registry.byId(id);
    if (record === undefined) return false;
    const creator = this.creatorLives(record) ? this.o.holders.ofNode(record.creator)!.id : 0;
    const pageCount = pageCountOf(record.sizeBytes);
    const { durable } = record;
    const creatorLost = creator === 0;
    this.step({ type: 'create', dataspace: id, pageCount, creator, creatorLost, durable });
    return true;
  }

  private apply(entry: HolderEntry, { event }: HolderEvent): void {
    const holder = entry.id;
    switch (event.case) {
      case 'acquire': {
        const { run, mode, neededPages, storedVersion: version, lostVersion: lost, lostEpoch } = event.value;
        // What was read before another leader led may be older than what is stored.
        const counts = version !== undefined && lostEpoch === this.epoch;
        const [storedVersion, lostVersion] = counts ? [Number(version), Number(lost)] : [];
        const about = { run: runFromWire(run), mode: modeWire.from(mode), neededPages };
        this.step({ type: 'acquire', holder, alone: true, storedVersion, lostVersion, ...about });
        return;
      }
      case 'ack': {
        const { run, version, kind, epoch } = event.value;
        if (epoch !== this.epoch) return;
        const about = { run: runFromWire(run), version: Number(version), kind: ackWire.from(kind) };
        this.step({ type: 'ack', holder, ...about });
        return;
      }
      case 'lock':
      case 'unlock':
      case 'wait':
      case 'cancelWait':
      case 'wake':
      case 'ownerGone':
        answerSync(this.o.holders, stepSync(this.sync, holder, event, this.o.now()));
        return;
      default:
        throw new RpcError(
          Code.InvalidArgument,
          `holder ${entry.node} sent ${event.case ?? 'an empty event'} where it does not belong`,
        );
    }
  }

  private endRebuildWhenReady(): void {
    if (!this.rebuilding) return;
    const now = this.o.now();
    if (now >= this.rebuildUntilMs) this.missLate(now);
    const silent = this.o.holders.all().some((entry) => entry.welcomed && !this.reported.has(entry));
    if (this.awaited.size > 0 || this.dying.size > 0 || silent) return;
    if (this.noted) this.endRebuild();
    else if (!this.noting) {
      this.noting = true;
      // Not in the middle of what calls us: a note may be kept at once.
      queueMicrotask(this.o.onReported);
    }
  }

  // What they have nobody knows of: they come back as new. Until their death is noted they are waited for.
  private missLate(nowMs: number): void {
    for (const entry of this.o.holders.all()) {
      // Of one whose lease is held nobody may say that it is late.
      if (!entry.welcomed || this.reported.has(entry) || entry.heldUntilMs > nowMs) continue;
      const askedAtMs = this.askedAtMs.get(entry) ?? nowMs;
      if (nowMs - askedAtMs >= this.o.leaseMs) this.o.onSilent(entry);
    }
    for (const node of this.awaited) {
      if (this.absentees.has(node) || this.o.holders.ofNode(node) !== undefined) continue;
      this.absentees.add(node);
      this.o.onAbsent(node);
    }
  }

  private endRebuild(): void {
    // Dataspaces come first, when their creators are attached, if they live.
    const reported = new Set(this.reports.flatMap(({ held }) => held.map(({ run }) => run.dataspace)));
    for (const id of reported) this.admit(id);
    for (const report of this.reports.splice(0)) this.step(report);
    this.rebuilding = false;
    this.step({ type: 'rebuilt' });
    // Locks that are held before requests that wait for them, whichever node spoke first.
    const parked = this.parked.splice(0);
    for (const each of [...parked.filter(isReclaim), ...parked.filter((p) => !isReclaim(p))]) {
      if (this.o.holders.get(each.holder.id) === each.holder) this.receive(each.holder, each.event);
    }
    this.o.log.debug({ shard: this.shard, epoch: this.epoch }, 'the shard is served');
  }

  private step(event: DirectoryEvent): void {
    for (const action of this.directory.step(event)) this.perform(action);
  }

  private perform(action: DirectoryAction): void {
    const { epoch } = this;
    const { holders } = this.o;
    const { run } = action;
    switch (action.type) {
      case 'grant': {
        const { version, zero, restore, stored } = action;
        const { grantedPages } = this.o;
        grantedPages[action.state] = (grantedPages[action.state] ?? 0) + run.pageCount;
        const value = {
          run,
          state: stateWire.to(action.state),
          version: BigInt(version),
          zero,
          restore,
          stored,
          epoch,
        };
        holders.send(action.holder, { case: 'grant', value });
        return;
      }
      case 'recall': {
        const value = {
          run,
          mode: modeWire.to(action.mode),
          version: BigInt(action.version),
          epoch,
          receiver: action.receiver,
          receiverIncarnation: action.receiverIdentity,
          receiverAddress: holders.get(action.receiver)?.transferAddress ?? '',
          receiverState: stateWire.to(action.receiverState),
        };
        holders.send(action.holder, { case: 'recall', value });
        return;
      }
      case 'invalidate': {
        const { except: exceptHolder, source: sourceHolder, anew } = action;
        const value = { run, version: BigInt(action.version), epoch, exceptHolder, sourceHolder, anew };
        this.o.bus.invalidate(run.dataspace, toBinary(InvalidateSchema, create(InvalidateSchema, value)));
        // Where the broadcast went unanswered, the stream carries it too.
        if (action.resend)
          for (const holder of action.holders) holders.send(holder, { case: 'invalidate', value });
        return;
      }
      case 'refuse': {
        const { mode, reason, version } = action;
        const value = {
          ...{ run, mode: modeWire.to(mode), reason: reasonWire.to(reason), version: BigInt(version) },
        };
        holders.send(action.holder, { case: 'refuse', value });
        return;
      }
      case 'settled':
        holders.send(action.holder, { case: 'settled', value: { run, version: BigInt(action.version) } });
        return;
      default:
        unreachable(action);
    }
  }
}
