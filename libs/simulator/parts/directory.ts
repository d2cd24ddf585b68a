// cohd: the directory's machine with leases, the rebuild after a change of the leader, locks and waits.
import type { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import { type HolderLease, type LeaseTable, renewEveryMs } from '@odonata/coherency/lease.ts';
import { type HolderId, unreachable } from '@odonata/coherency/page.ts';
import type { ShardRecord } from '../cluster-store.ts';
import type { Connection } from '../connection.ts';
import { identityOf } from '../identity.ts';
import { LEASE_MS } from '../lease-ms.ts';
import type { Down, RunEvent, SyncAnswer, SyncAsk, Up } from '../messages.ts';
import { Part, type Place } from '../part.ts';
import { check } from '../violation.ts';
import type { World } from '../world.ts';
import { LockDesk } from './lock-desk.ts';

const TICK_MS = 20;

interface Entry {
  readonly id: HolderId;
  readonly node: number;
  readonly incarnation: number;
  connection: Connection | undefined;
  /** The last directory had not buried it: its report counts. */
  readonly mayReport: boolean;
  reported: boolean;
}

interface Parked {
  entry: Entry;
  message: Extract<Up, { type: 'holder' | 'sync' }>;
}

type Report = Extract<DirectoryEvent, { type: 'report' }>;

/** A holder that was buried under the last directory. */
function forgetful(holder: HolderId): Report {
  return { type: 'report', holder, held: [], voided: [], reborn: true };
}

function isReclaim({ message }: Parked): boolean {
  return message.type === 'sync' && message.ask.type === 'lock' && message.ask.reclaim;
}

export class DirectoryPart extends Part {
  readonly shard: number;
  readonly epoch: number;
  readonly machine: Directory;
  rebuilding = true;
  private readonly leases: LeaseTable;
  private readonly leadership: HolderLease;
  private readonly desk: LockDesk;
  private readonly entries = new Map<HolderId, Entry>();
  private readonly ofNode = new Map<number, Entry>();
  private readonly awaited: Map<number, number>;
  private readonly reports: Report[] = [];
  private readonly parked: Parked[] = [];
  /** Holders that left this shard in peace. */
  private readonly retired = new Set<Entry>();
  private rebuildUntilMs = 0;
  private nextId = 1;

  constructor(world: World, place: Place, { shard, epoch }: { shard: number; epoch: number }) {
    super(world, `${place.name}/shard${shard}@${epoch}`, place);
    this.shard = shard;
    this.epoch = epoch;
    this.machine = world.machines.directory();
    this.leases = world.machines.leaseTable(LEASE_MS);
    this.leadership = world.machines.holderLease();
    this.desk = new LockDesk(world, { shard, epoch });
    this.awaited = new Map(this.record.members);
  }

  start(): void {
    this.note('starts', { awaits: [...this.awaited.keys()] });
    this.rebuildUntilMs = this.localMs + LEASE_MS;
    this.leadership.begin(LEASE_MS, this.localMs);
    this.every(TICK_MS, () => this.tick());
    this.every(renewEveryMs(LEASE_MS), () => this.proveLeadership());
    this.endRebuildWhenReady();
  }

  private get record(): ShardRecord {
    return this.world.cluster.shards[this.shard]!;
  }

  private note(what: string, about?: object): void {
    this.world.history.note(this.world, this.name, what, undefined, about);
  }

  /** Another one may lead where this is false. */
  get leads(): boolean {
    return !this.world.duties.proveLeadership || this.leadership.valid(this.localMs);
  }

  private proveLeadership(): void {
    const sentMs = this.localMs;
    this.world.cluster.renew(this, (leads) => {
      if (leads) this.leadership.renewed(sentMs);
      // It notices late that it is replaced, and is a nuisance until then.
      else if (this.world.random.oneIn(8)) this.stepDown();
    });
  }

  private stepDown(): void {
    this.note('steps down');
    this.crash();
  }

  override crash(): void {
    super.crash();
    for (const entry of this.entries.values()) entry.connection?.break();
  }

  // ---- holders

  receive(connection: Connection, message: Up): void {
    if (message.type === 'hello') {
      this.attach(connection, message);
      return;
    }
    const entry = this.ofNode.get(connection.node.nodeIndex);
    if (entry === undefined || entry.connection !== connection) return;
    switch (message.type) {
      case 'renew':
        if (!this.leads) return;
        this.leases.heard(entry.id, this.localMs);
        this.send(entry.id, { type: 'renewed', sentMs: message.sentMs });
        return;
      case 'retire':
        this.retire(entry, message.epoch);
        return;
      case 'goodbye':
        if (this.leads) this.bury(entry, 'it said goodbye');
        return;
      case 'holder':
        if (this.retired.has(entry)) return;
        if (message.word.type === 'report') this.report(entry, message.word);
        else if (!this.rebuilding) this.apply(entry, message);
        // Answers of before a restart are of no use; requests wait until every report is in.
        else if (message.word.type === 'acquire') this.parked.push({ entry, message });
        return;
      case 'sync':
        if (this.retired.has(entry)) return;
        if (!this.rebuilding) this.apply(entry, message);
        else this.parked.push({ entry, message });
        return;
      default:
        unreachable(message);
    }
  }

  private attach(connection: Connection, { node, incarnation, life }: Extract<Up, { type: 'hello' }>): void {
    if (!this.leads) {
      connection.break();
      return;
    }
    const before = this.ofNode.get(node);
    if (before !== undefined && before.incarnation !== incarnation) this.bury(before, 'it started anew');
    const entry = this.ofNode.get(node) ?? this.join(node, incarnation, life);
    const { connection: old } = entry;
    entry.connection = connection;
    old?.break();
    this.leases.heard(entry.id, this.localMs);
    const report = this.rebuilding && entry.mayReport && !entry.reported;
    const { epoch } = this;
    this.send(entry.id, {
      type: 'welcome',
      epoch,
      holder: entry.id,
      leaseMs: LEASE_MS,
      report,
      life: this.record.lifeOf(node),
    });
    // The answer may be lost with the last stream.
    if (this.retired.has(entry)) this.send(entry.id, { type: 'retired', epoch, remaining: [] });
  }

  private join(node: number, incarnation: number, life: number): Entry {
    const { duties } = this.world;
    const { record } = this;
    const survives =
      (record.members.get(node) === incarnation && record.lifeOf(node) === life) || !duties.refuseBuried;
    const before = record.members.get(node);
    if (before !== undefined && !survives) this.world.cluster.bury(this.shard, node, before);
    if (!survives) this.awaited.delete(node);
    record.members.set(node, incarnation);
    const mayReport = this.rebuilding && survives;
    const entry = { id: this.nextId++, node, incarnation, connection: undefined, mayReport, reported: false };
    this.entries.set(entry.id, entry);
    this.ofNode.set(node, entry);
    this.note('takes in', { holder: entry.id, node: node + 1, mayReport });
    this.step({ type: 'join', holder: entry.id, identity: identityOf(node, incarnation) });
    // It will not say so itself: what it holds is void, and it is told to forget that.
    if (this.rebuilding && !survives && duties.nameReborn) this.reports.push(forgetful(entry.id));
    return entry;
  }

  detach(connection: Connection): void {
    const entry = this.ofNode.get(connection.node.nodeIndex);
    if (entry?.connection === connection) entry.connection = undefined;
  }

  private retire(entry: Entry, epoch: number): void {
    if (this.rebuilding || !this.leads || epoch !== this.epoch) return;
    const { layout } = this.world;
    const { remaining, actions } = this.machine.retire(entry.id, (id) =>
      layout.runsOfShard(this.shard).filter(({ dataspace }) => dataspace === id),
    );
    this.note('is asked to let go', { holder: entry.id, remaining });
    if (remaining.length === 0) {
      this.retired.add(entry);
      for (const action of actions) this.perform(action);
      this.answer(this.desk.holderGone(entry.id));
    }
    this.send(entry.id, { type: 'retired', epoch, remaining });
  }

  private bury(entry: Entry, reason: string): void {
    this.note('buries', { holder: entry.id, node: entry.node + 1, reason });
    // Who has left takes nothing along.
    if (!this.retired.delete(entry)) this.world.losses.nodeDied(entry.node, this.shard);
    for (const [id, dataspace] of this.machine['dataspaces'])
      for (const { change, firstPage, pageCount } of dataspace.pages)
        if (change?.request.holder === entry.id)
          for (let i = 0; i < pageCount; i++)
            this.world.losses.onItsWay(this.world.layout.pageOf(id, firstPage + i));
    this.world.cluster.bury(this.shard, entry.node, entry.incarnation);
    this.entries.delete(entry.id);
    this.ofNode.delete(entry.node);
    this.leases.forget(entry.id);
    entry.connection?.break();
    this.step({ type: 'leave', holder: entry.id });
    this.answer(this.desk.holderGone(entry.id));
  }

  // ---- the rebuild

  private report(entry: Entry, { held, voided, reborn }: Omit<Report, 'holder'>): void {
    if (!this.rebuilding || !entry.mayReport || entry.reported) return;
    this.note('hears the report of', { holder: entry.id, held, voided, reborn });
    this.reports.push({
      type: 'report',
      holder: entry.id,
      held,
      voided,
      reborn: reborn === true && this.world.duties.nameReborn,
    });
    entry.reported = true;
    this.awaited.delete(entry.node);
    this.endRebuildWhenReady();
  }

  private endRebuildWhenReady(): void {
    if (!this.rebuilding) return;
    const late = this.localMs >= this.rebuildUntilMs;
    // Only who leads may call a holder dead.
    if (this.awaited.size > 0 && !(late && this.leads && !this.leasesAwaited())) return;
    for (const [node, incarnation] of this.awaited) this.silent(node, incarnation);
    this.admitDataspaces();
    for (const report of this.reports.splice(0)) if (this.entries.has(report.holder)) this.step(report);
    this.rebuilding = false;
    this.note('serves', { silent: [...this.awaited.keys()] });
    this.world.losses.keptIsLost(this.shard);
    this.step({ type: 'rebuilt' });
    // Locks that are held before requests that wait for them, whichever node spoke first.
    const parked = this.parked.splice(0);
    for (const each of [...parked.filter(isReclaim), ...parked.filter((p) => !isReclaim(p))]) {
      if (this.entries.get(each.entry.id) === each.entry) this.apply(each.entry, each.message);
    }
  }

  // A holder that was taken in has a lease of this directory, though its report is still under way.
  private leasesAwaited(): boolean {
    if (!this.world.duties.buryLateReporters) return false;
    const dead = this.leases.dead(this.localMs);
    for (const node of this.awaited.keys()) {
      const entry = this.ofNode.get(node);
      if (entry !== undefined && !dead.includes(entry.id)) return true;
    }
    return false;
  }

  private silent(node: number, incarnation: number): void {
    const entry = this.ofNode.get(node);
    if (entry !== undefined) {
      if (this.world.duties.buryLateReporters) this.bury(entry, 'its report came too late');
      return;
    }
    this.world.losses.nodeDied(node, this.shard);
    this.world.cluster.bury(this.shard, node, incarnation);
  }

  private admitDataspaces(): void {
    for (const record of this.world.cluster.dataspaces) {
      const creator = this.ofNode.get(record.creatorNode);
      const voided = this.reports.some((r) => r.holder === creator?.id && r.voided.includes(record.id));
      const alive =
        creator !== undefined &&
        creator.incarnation === record.creatorIncarnation &&
        !this.record.lostCreators.has(record.id) &&
        !(voided && this.world.duties.noteLostCreators);
      // What a directory does not find at the creator died with him.
      if (!alive && this.world.duties.noteLostCreators) this.record.lostCreators.add(record.id);
      const { id: dataspace, pageCount, durable } = record;
      this.step({
        type: 'create',
        dataspace,
        pageCount,
        creator: alive ? creator.id : 0,
        creatorLost: !alive,
        durable,
      });
    }
  }

  // ---- the machine

  private apply(entry: Entry, message: Parked['message']): void {
    const holder = entry.id;
    if (message.type === 'sync') {
      this.sync(holder, message.ask);
      return;
    }
    const { word } = message;
    if (word.type === 'acquire') {
      const { run, mode, needed, lostVersion } = word;
      // What was read before another directory led may be older than what is stored.
      const fenced = message.epoch === this.epoch || !this.world.duties.fenceEpochs;
      const storedVersion = fenced ? word.storedVersion : undefined;
      const neededPages = needed ? run.pageCount : 0;
      this.step({
        ...{ type: 'acquire', holder, run, mode, neededPages, alone: true, storedVersion, lostVersion },
      });
    } else if (word.type === 'ack') {
      if (message.epoch !== this.epoch && this.world.duties.fenceEpochs) return;
      this.step({ type: 'ack', holder, run: word.run, version: word.version, kind: word.kind });
    }
  }

  private sync(holder: HolderId, ask: SyncAsk): void {
    this.answer(this.desk.apply(holder, ask, this.localMs));
  }

  private tick(): void {
    if (this.rebuilding) {
      this.endRebuildWhenReady();
      return;
    }
    if (this.leads) {
      for (const id of this.leases.dead(this.localMs)) this.bury(this.entries.get(id)!, 'its lease ended');
    }
    this.step({ type: 'tick', nowMs: this.localMs });
    this.answer(this.desk.tick(this.localMs));
    this.checkBounds();
  }

  private step(event: DirectoryEvent): void {
    if ('run' in event) this.world.history.note(this.world, this.name, 'hears', event.run, event);
    for (const action of this.machine.step(event)) this.perform(action);
  }

  private perform(action: DirectoryAction): void {
    this.world.history.note(this.world, this.name, 'says', action.run, action);
    const { epoch } = this;
    if (action.type === 'invalidate') {
      this.broadcast(action);
      return;
    }
    const { holder, ...event } = action;
    const receiverNode = action.type === 'recall' ? (this.entries.get(action.receiver)?.node ?? -1) : -1;
    this.send(holder, { type: 'page', epoch, event: event as RunEvent, receiverNode });
  }

  private broadcast(action: Extract<DirectoryAction, { type: 'invalidate' }>): void {
    const { epoch } = this;
    const { run, version, anew } = action;
    const event = { type: 'invalidate', run, version, anew } as const;
    for (const node of this.world.nodes) {
      this.world.network.datagram(this, node, () =>
        node.links.all[this.shard]!.overhear(epoch, action.except, action.source, event),
      );
    }
    // Where the broadcast went unanswered, the stream carries it too.
    if (action.resend)
      for (const holder of action.holders)
        this.send(holder, { type: 'page', epoch, event, receiverNode: -1 });
  }

  private answer(answers: SyncAnswer[]): void {
    for (const answer of answers) this.send(answer.holder, { type: 'sync', answer });
  }

  private send(holder: HolderId, message: Down): void {
    this.entries.get(holder)?.connection?.down.send(message);
  }

  // At most one read and one write of each holder wait for a page.
  private checkBounds(): void {
    const { layout } = this.world;
    const max = 2 * this.entries.size;
    for (const [id, dataspace] of this.machine['dataspaces']) {
      for (const page of dataspace.pages) {
        check(page.queue.length <= max, 'bounded queues', layout.pageOf(id, page.firstPage), () => {
          return `${page.queue.length} requests of ${this.entries.size} holders wait at ${this.name}`;
        });
      }
    }
  }
}
