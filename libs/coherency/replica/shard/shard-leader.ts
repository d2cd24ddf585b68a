// The directory of one shard, for as long as a replica leads it: the machine of pages, the desk of locks and waits, and
// who of the holders is part of it. It starts by taking the reports of all holders that lived under the last leader.
import type { DeskLetter } from '@odonata/proto/coherency/v1/coherency';
import { Directory } from '../../directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '../../directory/directory-messages.ts';
import { isBorrowed, isGateway, isLender } from '../../gateway.ts';
import { type SyncAnswer, SyncDesk } from '../../locks/sync-desk.ts';
import { type AccessMode, pageCountOf, unreachable } from '../../page.ts';
import { runsOfShard } from '../../shard.ts';
import { modeWire, reasonWire, stateWire } from '../../wire.ts';
import type { Dataspace, Dataspaces } from '../dataspaces.ts';
import type { HolderEntry, HolderTable } from '../holders.ts';
import type { ReplicaOutbox } from '../outbox.ts';
import type { Led } from '../replica-messages.ts';
import { expectOwn, passOn, refusalOf } from './desk-letters.ts';
import { gatewayMayHave, modeOf } from './gateway-rights.ts';
import { ParkedEvents } from './parked-events.ts';
import { type RebuildOptions, type ReportEvent, ShardRebuild } from './rebuild.ts';
import { type ShardEvent, stepSync, syncAnswerOf } from './shard-events.ts';

/** How long an event waits for a dataspace to become known before it is refused. */
const UNKNOWN_MS = 2_000;
/**
 * So few at most are told of an invalidation on their streams, each by itself. A broadcast costs the leader one message however many
 * hear it, and a hop more: with one sharer that was half of a write's time, with eight a fifth of it, and of all processor time a tenth
 * (`npm run bench -- --only faults`).
 */
export const FEW_HOLDERS = 8;

/** What of the replica's a shard's leader waits for. */
export type ShardAsk =
  /** A node that lived under the last leader did not come in time: `absent` follows when that is noted. */
  | { type: 'absent'; node: string }
  /** All have reported: `reportedNoted` follows when that is noted. */
  | { type: 'reported' };

/** The machines that a leader stands on. */
export interface ShardMachines {
  directory(): Directory;
  desk(): SyncDesk;
  rebuild(options: RebuildOptions): ShardRebuild;
}

export const SHARD_MACHINES: ShardMachines = {
  directory: () => new Directory({ home: false }),
  desk: () => new SyncDesk(),
  rebuild: (options) => new ShardRebuild(options),
};

export interface ShardLeaderOptions extends Led {
  shards: number;
  leaseMs: number;
  holders: HolderTable;
  dataspaces: Dataspaces;
  out: ReplicaOutbox;
  /** Counts pages granted, by state. */
  grantedPages: Record<string, number>;
  nowMs: number;
  /** Other than FEW_HOLDERS. */
  few?: number;
  machines?: ShardMachines;
}

export class ShardLeader {
  readonly directory: Directory;
  readonly sync: SyncDesk;
  readonly shard: number;
  readonly epoch: bigint;
  readonly rebuild: ShardRebuild;
  protected readonly o: ShardLeaderOptions;
  private readonly parked = new ParkedEvents();
  /** Buried, but that is not noted yet: what they had stays theirs. */
  private readonly dying = new Set<HolderEntry>();
  /** Holders that left this shard without a loss, and are still here. */
  private readonly retired = new Set<HolderEntry>();
  private rebuilding = true;
  private asked = false;
  private noted = false;

  constructor(options: ShardLeaderOptions) {
    const { machines = SHARD_MACHINES } = options;
    this.o = options;
    this.shard = options.shard;
    this.epoch = options.epoch;
    this.directory = machines.directory();
    this.sync = machines.desk();
    this.rebuild = machines.rebuild(options);
    for (const entry of options.holders.all()) if (entry.welcomed) this.attach(entry, options.nowMs);
  }

  get pagesChanging(): number {
    return this.directory.pagesChanging;
  }

  get parkedEvents(): number {
    return this.parked.length;
  }

  get isRebuilding(): boolean {
    return this.rebuilding;
  }

  /** True while a tick would change nothing: nothing waits for an answer, for a note or for the clock. */
  get isQuiet(): boolean {
    return !this.rebuilding && this.pagesChanging === 0 && this.parkedEvents === 0 && this.sync.isQuiet;
  }

  /** A holder has a new stream, or this shard a new leader: the holder hears that it is led from here. */
  attach(entry: HolderEntry, nowMs: number): void {
    const { holders, dataspaces, lastEpoch } = this.o;
    const led = { shard: this.shard, epoch: this.epoch };
    if (this.retired.has(entry)) {
      // It has left, and may not have heard so: the answer may be lost with the last stream.
      holders.send(entry.id, { case: 'led', value: { ...led, report: false } });
      holders.send(entry.id, { case: 'retired', value: led });
      return;
    }
    this.step({
      ...{ type: 'join', holder: entry.id, identity: entry.incarnation },
      ...(isLender(entry.node) && { lender: true }),
    });
    let life: bigint | undefined;
    if (this.rebuilding) life = this.rebuild.attach(entry, dataspaces.revision, nowMs);
    else this.rebuild.attachLate(entry, dataspaces.revision);
    // Of before its stream broke; it says it again.
    if (life !== undefined) {
      this.parked.forget(entry);
      this.answer(this.sync.holderGone(entry.id));
    }
    const asked = life === undefined ? {} : { life, lastEpoch };
    holders.send(entry.id, { case: 'led', value: { ...led, report: life !== undefined, ...asked } });
  }

  /**
   * False: it was said to another leader, which this replica may have been before. A holder says all that it waits for again to each new
   * leader, once it has heard of that one: so nothing is lost where this is passed over. A holder of before does not say to whom.
   */
  isSaidToIt(epoch: bigint): boolean {
    return epoch === 0n || this.isOfThisLeader(epoch);
  }

  /** @throws RangeError */
  receive(entry: HolderEntry, event: ShardEvent, nowMs: number): void {
    // What it said before is over.
    if (this.retired.has(entry)) return;
    expectOwn(entry, event);
    if (!this.rebuilding) {
      if (!this.applyOrWait(entry, event, nowMs)) this.park(entry, event, nowMs + UNKNOWN_MS);
    } else if (event.type === 'lock' && event.ask.reclaim) {
      // What is held is known before anybody is served, however much waits.
      this.apply(entry, event, nowMs);
    } else if (event.type !== 'ack') {
      // Answers of before are of no use; requests wait until every report is in.
      this.park(entry, event, Number.POSITIVE_INFINITY);
    }
  }

  /** For the desk of a dataspace of another cluster, or from there. */
  passOn(entry: HolderEntry, letter: DeskLetter): void {
    passOn(entry, letter, this.o);
  }

  /** What a holder has of this shard, as it says at an epoch. */
  report(entry: HolderEntry, report: ReportEvent, { last, epoch }: { last: boolean; epoch: bigint }): void {
    if (!this.rebuilding || epoch !== this.epoch) return;
    const held = report.held.filter(({ run, state }) => this.mayHave(entry, run.dataspace, modeOf(state)));
    this.rebuild.report(entry, held.length === report.held.length ? report : { ...report, held }, last);
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
      this.answer(this.sync.holderGone(entry.id));
    }
    this.o.holders.send(entry.id, { case: 'retired', value: { shard: this.shard, epoch, remaining } });
  }

  private forget(entry: HolderEntry): void {
    this.parked.forget(entry);
    this.rebuild.forget(entry);
  }

  /** A holder is dead; until that is noted, nobody gets what it had. */
  dies(entry: HolderEntry): void {
    this.dying.add(entry);
    this.rebuild.dies(entry);
    if (isGateway(entry.node) && !this.rebuilding) this.step({ type: 'dies', holder: entry.id });
  }

  /** The death of a holder is noted. */
  bury(entry: HolderEntry): void {
    // Else it died before this replica led the shard.
    if (!this.dying.delete(entry)) return;
    this.parked.forget(entry);
    this.rebuild.buried(entry);
    this.retired.delete(entry);
    this.step({ type: 'leave', holder: entry.id });
    this.answer(this.sync.holderGone(entry.id, true));
  }

  /** The death of a node that did not report is noted. */
  absent(node: string): void {
    this.rebuild.absent(node);
  }

  /** That all have reported is noted. */
  reportedNoted(): void {
    this.noted = true;
  }

  /** The cluster removed a dataspace. */
  remove(dataspace: bigint): void {
    this.step({ type: 'remove', dataspace });
    this.sync.removeDataspace(dataspace);
  }

  /** True while a holder owes its report for too long. */
  isMissing(entry: HolderEntry, nowMs: number): boolean {
    return this.rebuilding && this.rebuild.isSilent(entry, nowMs);
  }

  /** Goes on with the rebuild as far as that is possible: what it asks of the replica. */
  advance(nowMs: number): ShardAsk[] {
    if (!this.rebuilding) return [];
    const { rebuild } = this;
    const asks: ShardAsk[] = rebuild.missing(nowMs).map((node) => ({ type: 'absent', node }));
    if (!this.isReported()) return asks;
    if (this.isServable()) this.serve(nowMs);
    else if (!this.asked) {
      this.asked = true;
      asks.push({ type: 'reported' });
    }
    return asks;
  }

  // What a dying holder had goes to nobody before its death is noted; what it reported may be of before.
  protected isReported(): boolean {
    return this.rebuild.isComplete && this.dying.size === 0;
  }

  protected isServable(): boolean {
    return this.noted;
  }

  tick(nowMs: number): void {
    if (this.rebuilding) return;
    this.retryParked(nowMs);
    this.step({ type: 'tick', nowMs });
    this.answer(this.sync.tick(nowMs));
  }

  /** True where the creator of a dataspace lives and still has the pages that nobody asked for. */
  creatorLives(dataspace: Dataspace): boolean {
    return this.creatorOf(dataspace) !== undefined || this.isCreatorDying(dataspace);
  }

  private creatorOf(dataspace: Dataspace): HolderEntry | undefined {
    const entry = this.o.holders.ofNode(dataspace.creator);
    // One that is not taken in yet gives up what it has of the shard when it is.
    if (!entry?.welcomed || entry.incarnation !== dataspace.creatorIncarnation) return undefined;
    return this.rebuild.isWhole(entry, dataspace) ? entry : undefined;
  }

  private park(entry: HolderEntry, event: ShardEvent, untilMs: number): void {
    if (this.parked.park(entry, event, untilMs)) return;
    const { shard } = this;
    this.o.out.log('warn', 'too many events wait; a holder has to say anew what it says', {
      ...{ shard, node: entry.node },
    });
    // Dropped in silence a request would never be answered, and an unlock be taken for heard.
    this.o.holders.fail(entry, 'UNAVAILABLE', `too many events wait for shard ${shard}; say it again`);
  }

  private retryParked(nowMs: number): void {
    if (this.parked.length === 0) return;
    for (const { entry, event, untilMs } of this.parked.take()) {
      if (!this.o.holders.has(entry)) continue;
      const isLast = nowMs >= untilMs;
      if (!this.applyOrWait(entry, event, nowMs, isLast)) this.park(entry, event, untilMs);
    }
  }

  // Another replica may have registered a dataspace a moment ago; and whether a creator that dies has what nobody asked
  // for is not known before its death is.
  private applyOrWait(entry: HolderEntry, event: ShardEvent, nowMs: number, isLast = false): boolean {
    if (event.type === 'acquire' && !this.admit(event.run.dataspace)) {
      const record = this.o.dataspaces.byId(event.run.dataspace);
      if (!isLast || (record !== undefined && this.isCreatorDying(record))) return false;
    }
    this.apply(entry, event, nowMs);
    return true;
  }

  protected isCreatorDying({ creator, creatorIncarnation }: Dataspace): boolean {
    for (const { node, incarnation } of this.dying)
      if (node === creator && incarnation === creatorIncarnation) return true;
    return false;
  }

  private admit(id: bigint): boolean {
    if (this.directory.has(id)) return true;
    const record = this.o.dataspaces.byId(id);
    if (record === undefined || this.isCreatorDying(record)) return false;
    const creator = this.creatorOf(record)?.id ?? 0;
    const pageCount = pageCountOf(record.sizeBytes);
    const { durable } = record;
    const creatorLost = creator === 0;
    const borrowed = isBorrowed(record.name ?? '');
    this.step({
      ...{ type: 'create', dataspace: id, pageCount, creator, creatorLost, durable },
      ...(borrowed && { borrowed }),
    });
    return true;
  }

  private apply(entry: HolderEntry, event: ShardEvent, nowMs: number): void {
    const holder = entry.id;
    if (event.type === 'acquire' && !this.mayHave(entry, event.run.dataspace, event.mode)) {
      const { run, mode } = event;
      this.perform({ type: 'refuse', holder, run, mode, reason: 'NO_DATASPACE', version: 0 });
    } else if (event.type === 'acquire') {
      const { run, mode, neededPages, stored } = event;
      const { version: storedVersion, lostVersion } =
        stored !== undefined && this.isOfThisLeader(stored.lostEpoch) ? stored : NOTHING_STORED;
      const about = { run, mode, neededPages, storedVersion, lostVersion };
      this.step({ type: 'acquire', holder, alone: true, ...about });
    } else if (event.type === 'ack') {
      const { run, version, kind } = event;
      if (this.isOfThisLeader(event.epoch)) this.step({ type: 'ack', holder, run, version, kind });
    } else {
      const refusal = refusalOf(entry, event, this.o.dataspaces);
      this.answer(refusal === undefined ? stepSync(this.sync, holder, event, nowMs) : [refusal]);
    }
  }

  private mayHave({ node, incarnation }: HolderEntry, dataspace: bigint, mode: AccessMode): boolean {
    return !isGateway(node) || gatewayMayHave({ node, incarnation }, this.o.dataspaces.byId(dataspace), mode);
  }

  // Versions may repeat under another leader, and what was read before it led may be older than what is stored.
  protected isOfThisLeader(epoch: bigint): boolean {
    return epoch === this.epoch;
  }

  private serve(nowMs: number): void {
    const reports = this.rebuild.takeReports();
    // Dataspaces come first, when their creators are attached, if they live.
    const reported = new Set(reports.flatMap(({ held }) => held.map(({ run }) => run.dataspace)));
    for (const id of reported) this.admit(id);
    for (const report of reports) this.step(report);
    this.rebuilding = false;
    this.step({ type: 'rebuilt' });
    for (const { entry, event } of this.parked.take())
      if (this.o.holders.has(entry)) this.receive(entry, event, nowMs);
    this.o.out.log('debug', 'the shard is served', { shard: this.shard, epoch: this.epoch });
  }

  private step(event: DirectoryEvent): void {
    for (const action of this.directory.step(event)) this.perform(action);
  }

  private answer(answers: SyncAnswer[]): void {
    for (const answer of answers) this.o.holders.send(answer.holder, syncAnswerOf(answer));
  }

  private perform(action: DirectoryAction): void {
    const { epoch } = this;
    const { holders } = this.o;
    const { run } = action;
    switch (action.type) {
      case 'grant': {
        const { state, zero, restore, stored } = action;
        const { grantedPages } = this.o;
        grantedPages[state] = (grantedPages[state] ?? 0) + run.pageCount;
        const version = BigInt(action.version);
        const value = { run, state: stateWire.to(state), version, zero, restore, stored, epoch };
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
        const few = action.sparing || action.holders.length <= (this.o.few ?? FEW_HOLDERS);
        if (!action.sparing && (!few || action.resend))
          this.o.out.add({ type: 'broadcast', dataspace: run.dataspace, value });
        // Where the broadcast went unanswered, the stream carries it too.
        // A gateway does not follow the bus.
        for (const holder of action.holders)
          if (few || action.resend || isGateway(holders.get(holder)?.node ?? ''))
            holders.send(holder, { case: 'invalidate', value });
        return;
      }
      case 'refuse': {
        const { mode, reason } = action;
        const version = BigInt(action.version);
        const value = { run, mode: modeWire.to(mode), ...reasonWire.to(reason), version };
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

const NOTHING_STORED = { version: undefined, lostVersion: undefined };
