// A replica of the directory: its holders with their leases, and the shards that it leads.
import type { DirectoryCounters } from '@odonata/coherency/directory-outbox.ts';
import { HOLD_MAX_MS, LeaseTable } from '@odonata/coherency/lease.ts';
import { homeShardOf, shardOf } from '@odonata/coherency/shard.ts';
import type { HolderEvent, HolderHello, Renew } from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import { type HolderEntry, type HolderStream, HolderTable } from './holder-table.ts';
import type { Members, Membership } from './members.ts';
import { Notes } from './notes.ts';
import type { DataspaceRecord } from './registry.ts';
import { ShardLeader, type ShardLeaderOptions } from './shard-leader.ts';

const TICK_MS = 20;

export interface CoherencyOptions
  extends Omit<
    ShardLeaderOptions,
    | 'shard'
    | 'epoch'
    | 'expected'
    | 'lastEpoch'
    | 'holders'
    | 'onAbsent'
    | 'onSilent'
    | 'onReported'
    | 'grantedPages'
  > {
  /** Name of this replica. */
  replica: string;
  /** New each time it starts. */
  incarnation: bigint;
  shards: number;
  members: Members;
  /** What an earlier process of this replica had noted of nodes. */
  noted?: ReadonlyMap<string, Membership>;
  /** No other replica can take the shards of this one. */
  alone?: boolean;
  events?: EventLog;
  /** False when this replica must not speak for its shards any more. */
  mayLead: () => boolean;
  /** Keeps that the reports of a shard were taken: from then on the notes of this replica are those that count. */
  noteRebuilt?: (shard: number) => Promise<void>;
  /** This replica must not lead these shards any more: what had to be noted was not. */
  stepDown?: (shards: readonly number[], reason: string) => void;
}

/** Lives of this process, behind its incarnation. */
const LIVES_BITS = 32n;

export class CoherencyService {
  readonly holders = new HolderTable();
  readonly shards: number;
  private readonly leaders = new Map<number, ShardLeader>();
  private readonly leases: LeaseTable;
  /** Pages granted, by state. */
  readonly grantedPages: Record<string, number> = {};
  private readonly o: CoherencyOptions;
  private readonly notes: Notes;
  /** Notes of an earlier process of this replica, of nodes that have not come to this one yet. */
  private readonly noted: Map<string, Membership>;
  /** Burials of a node's holder that are not noted yet. */
  private readonly burials = new Map<string, Promise<void>>();
  /** Nodes that did not report, whose death is being noted. */
  private readonly missed = new Map<string, Promise<void>>();
  private lives = 0n;
  private readonly retired: DirectoryCounters = {
    acquires: 0,
    grants: 0,
    recalls: 0,
    invalidations: 0,
    resends: 0,
  };
  private readonly timer: NodeJS.Timeout;
  private tickedAtMs: number;
  private ledBefore = false;
  private closed = false;

  constructor(options: CoherencyOptions) {
    this.o = options;
    this.shards = options.shards;
    this.leases = new LeaseTable(options.leaseMs);
    this.tickedAtMs = options.now();
    this.noted = new Map(options.noted);
    this.notes = new Notes({ alone: options.alone ?? false, log: options.log });
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  get replica(): string {
    return this.o.replica;
  }

  get epoch(): bigint {
    return this.o.incarnation;
  }

  get parkedEvents(): number {
    return this.led.reduce((sum, leader) => sum + leader.parkedEvents, 0);
  }

  /** Of all shards that this replica leads or has led. */
  get counters(): DirectoryCounters {
    const sum = { ...this.retired };
    for (const { directory } of this.leaders.values()) addCounters(sum, directory.counters);
    return sum;
  }

  get isRebuilding(): boolean {
    return [...this.leaders.values()].some((leader) => leader.isRebuilding);
  }

  get led(): ShardLeader[] {
    return [...this.leaders.values()].sort((a, b) => a.shard - b.shard);
  }

  /**
   * This replica leads a shard from now on.
   * @param expected by node: the holders that lived at the last leader
   * @param lastEpoch of that leader's shard; 0: not known
   */
  lead(shard: number, epoch: bigint, expected: ReadonlyMap<string, Membership>, lastEpoch = 0n): void {
    const leader: ShardLeader = new ShardLeader({
      ...this.o,
      ...{ shard, epoch, expected, lastEpoch, holders: this.holders, grantedPages: this.grantedPages },
      onAbsent: (node) => void this.absent(node, leader),
      onSilent: (entry) => this.bury(entry, 'it did not report what it has in time'),
      onReported: () => void this.reported(leader),
    });
    this.leaders.set(shard, leader);
  }

  /** Somebody has LOST pages of a dataspace begin anew as zeros. */
  lossAccepted(dataspace: string, pages: bigint, by: string): void {
    const what = `${by} has ${pages} LOST pages of ${dataspace} begin anew as zeros`;
    this.o.events?.add('loss-accepted', what, { dataspace });
  }

  private isLed(leader: ShardLeader): boolean {
    return this.leaders.get(leader.shard) === leader && this.o.mayLead();
  }

  // The next leader must not believe it either.
  private async absent(node: string, leader: ShardLeader): Promise<void> {
    // It is here: it reports, or is buried.
    if (this.holders.ofNode(node) !== undefined) return;
    let missed = this.missed.get(node);
    if (missed === undefined) {
      this.o.log.warn({ node }, 'holder did not report in time: its pages are lost');
      this.o.events?.add('holder-buried', `${node} is gone: it did not report in time`, { holder: node });
      const about = { what: 'the death of a node', node };
      missed = this.notes.kept(about, () => this.o.members.forget(node));
      this.noted.delete(node);
      this.missed.set(node, missed);
      const over = () => this.missed.delete(node);
      missed.then(over, over);
    }
    try {
      await missed;
    } catch (error) {
      this.stepDown([leader.shard], 'the death of a node could not be noted', error);
      return;
    }
    if (this.isLed(leader)) leader.absent(node);
  }

  private async reported(leader: ShardLeader): Promise<void> {
    const { shard } = leader;
    const about = { what: 'that the reports of a shard were taken', shard };
    try {
      await this.notes.kept(about, async () => await this.o.noteRebuilt?.(shard));
    } catch (error) {
      this.stepDown([shard], 'what the holders reported could not be noted', error);
      return;
    }
    if (this.isLed(leader)) leader.reportedNoted();
  }

  private stepDown(shards: readonly number[], reason: string, error: unknown): void {
    const led = shards.filter((shard) => this.leaders.has(shard));
    if (led.length === 0 || this.closed) return;
    this.o.log.error({ err: error, shards: led }, `${reason}: these shards are not led from here any more`);
    for (const shard of led) this.leave(shard);
    this.o.stepDown?.(led, reason);
  }

  /** This replica leads a shard no more. */
  leave(shard: number): void {
    const leader = this.leaders.get(shard);
    if (leader === undefined) return;
    this.leaders.delete(shard);
    addCounters(this.retired, leader.directory.counters);
    for (const { id } of this.holders.all())
      this.holders.send(id, { case: 'left', value: { shard, epoch: leader.epoch } });
  }

  /** Takes a holder's stream. @throws RpcError when the node's name will not do. */
  attach(hello: HolderHello, stream: HolderStream): HolderEntry {
    const { node, incarnation } = hello;
    if (node === '' || node.length > 100) throw invalidField('hello.node', 'hello.node: 1 to 100 characters');
    const before = this.holders.ofNode(node);
    if (before !== undefined && before.incarnation !== incarnation)
      this.bury(before, 'a new pmap manager took its place');
    if (!this.o.mayLead()) throw tryAgain(Code.Unavailable, `replica ${this.o.replica} does not lead now`);
    const entry = this.holders.ofNode(node) ?? this.takeIn(node, incarnation);
    this.holders.attach(entry, stream, hello.transferAddress);
    this.leases.heard(entry.id, this.o.now());
    void this.welcomeWhenNoted(entry, stream, hello.sentMs);
    this.o.log.info({ node, incarnation, holder: entry.id }, 'holder attached');
    return entry;
  }

  // A restart of this process buries nobody: who was noted before it goes on with the life that it had.
  private takeIn(node: string, incarnation: bigint): HolderEntry {
    const before = this.noted.get(node);
    this.noted.delete(node);
    if (before?.incarnation === incarnation)
      return this.holders.add({ node, incarnation, life: before.life, noted: Promise.resolve() });
    this.lives++;
    const life = (this.o.incarnation << LIVES_BITS) + this.lives;
    const noted = this.remember(node, { incarnation, life });
    return this.holders.add({ node, incarnation, life, noted });
  }

  private async remember(node: string, membership: Membership): Promise<void> {
    await Promise.all([this.burials.get(node), this.missed.get(node)]);
    await this.o.members.remember(node, membership);
  }

  // What is not noted the next leader does not ask for: until then it has no lease.
  private async welcomeWhenNoted(entry: HolderEntry, stream: HolderStream, sentMs: bigint): Promise<void> {
    try {
      await entry.noted;
    } catch (error) {
      const { node } = entry;
      this.o.log.warn(
        { err: error, node },
        'a holder could not be noted, and is not taken in; it asks again',
      );
      if (this.holders.get(entry.id) === entry) this.drop(entry);
      return;
    }
    this.welcome(entry, stream, sentMs);
  }

  private welcome(entry: HolderEntry, stream: HolderStream, sentMs: bigint): void {
    if (entry.stream !== stream || this.holders.get(entry.id) !== entry) return;
    const { leaseMs, shards, replica } = this.o;
    entry.welcomed = true;
    const { id: holder, life } = entry;
    const value = { epoch: this.epoch, leaseMs, holder, life, shards, replica, sentMs };
    this.holders.send(entry.id, { case: 'welcome', value });
    for (const leader of this.leaders.values()) leader.attach(entry);
  }

  /** The stream of a holder broke. It has the rest of its lease to come back. */
  detach(entry: HolderEntry, stream: HolderStream): void {
    if (entry.stream !== stream) return;
    entry.stream = undefined;
    this.o.log.warn({ node: entry.node, leaseMs: this.o.leaseMs }, 'holder lost its stream');
  }

  receive(entry: HolderEntry, event: HolderEvent): void {
    // Who was buried may go on speaking until it hears that its stream ended.
    if (this.holders.get(entry.id) !== entry) return;
    const { event: e } = event;
    if (e.case === 'interest') {
      if (e.value.mapped) entry.mapped.add(e.value.dataspace);
      else entry.mapped.delete(e.value.dataspace);
      return;
    }
    // Whoever woke up late must not decide anything; another replica may have its shards by now.
    if (!this.o.mayLead()) return;
    switch (e.case) {
      case 'renew':
        this.renew(entry, e.value);
        return;
      case 'retire':
        this.leaders.get(e.value.shard)?.retire(entry, e.value.epoch);
        return;
      case 'goodbye':
        this.bury(entry, 'it said goodbye');
        return;
      case 'report':
        this.leaders.get(e.value.shard)?.report(entry, e.value);
        return;
      case 'acquire':
      case 'ack':
        if (e.value.run !== undefined)
          this.ofPage(e.value.run.dataspace, e.value.run.firstPage)?.receive(entry, event);
        return;
      case 'lock':
      case 'unlock':
      case 'wait':
      case 'wake':
        this.home(e.value.dataspace)?.receive(entry, event);
        return;
      case 'cancelWait':
      case 'ownerGone':
        for (const leader of this.leaders.values()) leader.receive(entry, event);
        return;
      case undefined:
        return; // of a later version
      default:
        throw new RpcError(
          Code.InvalidArgument,
          `holder ${entry.node} sent ${e.case} where it does not belong`,
        );
    }
  }

  private renew(entry: HolderEntry, { sentMs, holdMs }: Renew): void {
    const heldMs = Math.min(holdMs, HOLD_MAX_MS);
    this.leases.heard(entry.id, this.o.now(), heldMs);
    if (heldMs > 0) entry.heldUntilMs = this.o.now() + heldMs;
    this.holders.send(entry.id, { case: 'renewed', value: { sentMs, heldMs } });
  }

  // A shard that is led elsewhere: the holder hears of it from there, and asks again.
  private ofPage(dataspace: bigint, page: number): ShardLeader | undefined {
    return this.leaders.get(shardOf(dataspace, page, this.shards));
  }

  home(dataspace: bigint): ShardLeader | undefined {
    return this.leaders.get(homeShardOf(dataspace, this.shards));
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

  /** The cluster removed a dataspace. */
  removed(dataspace: bigint): void {
    for (const leader of this.leaders.values()) leader.remove(dataspace);
    for (const { id } of this.holders.all()) this.holders.send(id, { case: 'removed', value: { dataspace } });
  }

  private tick(): void {
    const now = this.o.now();
    const paused = now - this.tickedAtMs > this.o.leaseMs / 4;
    this.tickedAtMs = now;
    const leads = this.o.mayLead();
    // After a pause of our own, or a time in which we must not answer, the renewals of that time were not heard: nobody
    // is dead by that.
    if (paused || (leads && !this.ledBefore))
      for (const { id } of this.holders.all()) this.leases.heard(id, now);
    this.ledBefore = leads;
    if (!leads) return;
    for (const id of this.leases.dead(now)) {
      const entry = this.holders.get(id);
      if (entry !== undefined) this.bury(entry, 'its lease ended');
    }
    for (const leader of this.leaders.values()) leader.tick(now);
  }

  private drop(entry: HolderEntry): void {
    this.holders.remove(entry);
    this.leases.forget(entry.id);
  }

  private bury(entry: HolderEntry, reason: string): void {
    this.o.log.warn({ node: entry.node, holder: entry.id, reason }, 'holder is gone');
    this.o.events?.add('holder-buried', `${entry.node} is gone: ${reason}`, { holder: entry.node });
    this.drop(entry);
    // Nothing was given to it.
    if (!entry.welcomed) return;
    for (const leader of this.leaders.values()) leader.dies(entry);
    const burial = this.noteBurial(entry);
    this.burials.set(entry.node, burial);
    const over = (): void => {
      if (this.burials.get(entry.node) === burial) this.burials.delete(entry.node);
    };
    burial.then(over, over);
  }

  // Noted before anybody gets what it had: else the next leader would believe it.
  private async noteBurial(entry: HolderEntry): Promise<void> {
    const { node } = entry;
    try {
      await this.burials.get(node);
      await this.notes.kept({ what: 'the death of a holder', node }, () => this.o.members.forget(node));
    } catch (error) {
      this.stepDown([...this.leaders.keys()], `the death of the holder ${node} could not be noted`, error);
      throw error;
    }
    // The lease of our own may have ended meanwhile.
    if (this.o.mayLead()) for (const leader of this.leaders.values()) leader.bury(entry);
  }

  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    this.notes.close();
    for (const entry of this.holders.all()) entry.stream?.end();
  }
}

function addCounters(to: DirectoryCounters, from: Readonly<DirectoryCounters>): void {
  for (const name of Object.keys(to) as (keyof DirectoryCounters)[]) to[name] += from[name];
}
