// A replica of the directory: its holders with their leases, and the shards that it leads.
import type { DirectoryCounters } from '@odonata/coherency/directory-outbox.ts';
import { LeaseTable } from '@odonata/coherency/lease.ts';
import { homeShardOf, shardOf } from '@odonata/coherency/shard.ts';
import type { HolderEvent, HolderHello } from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import { type HolderEntry, type HolderStream, HolderTable } from './holder-table.ts';
import type { Members } from './members.ts';
import type { DataspaceRecord } from './registry.ts';
import { ShardLeader, type ShardLeaderOptions } from './shard-leader.ts';

const TICK_MS = 20;
/** How long a note in JetStream is waited for. */
const NOTE_MS = 1_000;

export interface CoherencyOptions
  extends Omit<
    ShardLeaderOptions,
    'shard' | 'epoch' | 'expected' | 'holders' | 'onAbsent' | 'onSilent' | 'grantedPages'
  > {
  /** Name of this replica. */
  replica: string;
  /** New each time it starts. */
  incarnation: bigint;
  shards: number;
  members: Members;
  /** False when this replica must not speak for its shards any more. */
  mayLead: () => boolean;
}

export class CoherencyService {
  readonly holders = new HolderTable();
  readonly shards: number;
  private readonly leaders = new Map<number, ShardLeader>();
  private readonly leases: LeaseTable;
  /** Pages granted, by state. */
  readonly grantedPages: Record<string, number> = {};
  private readonly o: CoherencyOptions;
  /** Nodes that did not report, until they come back. */
  private readonly missed = new Set<string>();
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

  constructor(options: CoherencyOptions) {
    this.o = options;
    this.shards = options.shards;
    this.leases = new LeaseTable(options.leaseMs);
    this.tickedAtMs = options.now();
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

  /** This replica leads a shard from now on. */
  lead(shard: number, epoch: bigint, expected: ReadonlyMap<string, bigint>): void {
    const onAbsent = (node: string) => this.absent(node);
    const onSilent = (entry: HolderEntry) => this.bury(entry, 'it did not report what it has in time');
    const options = {
      ...this.o,
      shard,
      epoch,
      expected,
      onAbsent,
      onSilent,
      holders: this.holders,
      grantedPages: this.grantedPages,
    };
    this.leaders.set(shard, new ShardLeader(options));
  }

  private absent(node: string): void {
    if (this.holders.ofNode(node) !== undefined || this.missed.has(node)) return;
    this.missed.add(node);
    this.o.log.warn({ node }, 'holder did not report in time: its pages are lost');
    void this.o.members.strike(node);
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
    const known = this.holders.ofNode(node);
    const entry = known ?? this.holders.add(node, incarnation, this.o.registry.revision);
    this.holders.attach(entry, stream, hello.transferAddress);
    this.missed.delete(node);
    this.leases.heard(entry.id, this.o.now());
    const noted = known === undefined ? this.o.members.remember(node, incarnation) : Promise.resolve();
    // What is not noted the next leader does not ask for; but a directory that is alone goes on while NATS is away.
    afterNote(noted, () => this.welcome(entry, stream, hello.sentMs));
    this.o.log.info({ node, incarnation, holder: entry.id }, 'holder attached');
    return entry;
  }

  private welcome(entry: HolderEntry, stream: HolderStream, sentMs: bigint): void {
    if (entry.stream !== stream || this.holders.get(entry.id) !== entry) return;
    const { leaseMs, shards, replica } = this.o;
    entry.welcomed = true;
    const value = { epoch: this.epoch, leaseMs, holder: entry.id, shards, replica, sentMs };
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
        this.leases.heard(entry.id, this.o.now());
        this.holders.send(entry.id, { case: 'renewed', value: { sentMs: e.value.sentMs } });
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

  private bury(entry: HolderEntry, reason: string): void {
    this.o.log.warn({ node: entry.node, holder: entry.id, reason }, 'holder is gone');
    this.holders.remove(entry);
    this.leases.forget(entry.id);
    const struckOut = this.o.members.forget(entry.node, () => this.holders.ofNode(entry.node) !== undefined);
    // Noted before anybody gets what it had: else the next leader would believe it.
    afterNote(struckOut, () => {
      for (const leader of this.leaders.values()) leader.bury(entry);
    });
  }

  close(): void {
    clearInterval(this.timer);
    for (const entry of this.holders.all()) entry.stream?.end();
  }
}

/** Goes on when a note is stored, or JetStream does not answer in time. */
function afterNote(noted: Promise<void>, goOn: () => void): void {
  void Promise.race([noted, delay(NOTE_MS)]).then(goOn);
}

function addCounters(to: DirectoryCounters, from: Readonly<DirectoryCounters>): void {
  for (const name of Object.keys(to) as (keyof DirectoryCounters)[]) to[name] += from[name];
}
