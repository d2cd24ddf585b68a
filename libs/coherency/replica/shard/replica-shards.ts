// The shards that a replica leads: taken up, rebuilt from reports, given up; and what must be kept for that.
import type { HolderEvent } from '@odonata/proto/coherency/v1/coherency';
import type { DirectoryCounters } from '../../directory/directory-outbox.ts';
import { LeaseTable } from '../../lease.ts';
import { unreachable } from '../../page.ts';
import type { Dataspaces } from '../dataspaces.ts';
import { type HolderEntry, HolderTable } from '../holders.ts';
import { Members, type Membership } from '../members.ts';
import { Notes } from '../notes.ts';
import { ReplicaOutbox } from '../outbox.ts';
import type { Led } from '../replica-messages.ts';
import { Leaders } from './leaders.ts';
import { reportOf, type ShardEvent, shardEventOf } from './shard-events.ts';
import { type ShardAsk, ShardLeader, type ShardLeaderOptions } from './shard-leader.ts';

/** The machines that a replica stands on. */
export interface ReplicaMachines {
  leases(leaseMs: number): LeaseTable;
  leader(options: ShardLeaderOptions): ShardLeader;
  members(start: bigint, before: ReadonlyMap<string, Membership>): Members;
  notes<F>(options: ConstructorParameters<typeof Notes<F>>[0]): Notes<F>;
}

export const REPLICA_MACHINES: ReplicaMachines = {
  leases: (leaseMs) => new LeaseTable(leaseMs),
  leader: (options) => new ShardLeader(options),
  members: (start, before) => new Members(start, before),
  notes: (options) => new Notes(options),
};

export interface ReplicaOptions {
  /** Name of this replica. */
  replica: string;
  /** New each time it starts. */
  incarnation: bigint;
  shards: number;
  leaseMs: number;
  dataspaces: Dataspaces;
  /** What an earlier process of this replica had noted of nodes. */
  noted?: ReadonlyMap<string, Membership>;
  /** No other replica can take the shards of this one. */
  alone?: boolean;
  /** An election says when this replica may lead; without one it always may. */
  elected?: boolean;
  nowMs: number;
  machines?: ReplicaMachines;
}

/** What a holder says, and to the leader of which epoch. */
export type Said = Pick<HolderEvent, 'event' | 'epoch'>;

/** What goes on when a note is kept. */
export type Waiting =
  | { type: 'welcome'; entry: HolderEntry }
  | { type: 'hold'; entry: HolderEntry; sentMs: bigint; heldMs: number }
  /** Nobody waits for it. */
  | { type: 'released' }
  | { type: 'bury'; entry: HolderEntry }
  | { type: 'absent'; node: string }
  | { type: 'serve'; leader: ShardLeader };

export abstract class ReplicaShards {
  readonly holders: HolderTable;
  readonly shards: number;
  /** Pages granted, by state. */
  readonly grantedPages: Record<string, number> = {};
  protected readonly o: ReplicaOptions;
  protected readonly machines: ReplicaMachines;
  protected readonly out = new ReplicaOutbox();
  protected readonly leaders: Leaders;
  protected readonly notes: Notes<Waiting>;
  protected leadsUntilMs: number;

  constructor(options: ReplicaOptions) {
    const { machines = REPLICA_MACHINES, alone = false, elected = false } = options;
    this.o = options;
    this.machines = machines;
    this.shards = options.shards;
    this.leaders = new Leaders(options.shards);
    this.holders = new HolderTable(this.out);
    this.notes = machines.notes({ alone, out: this.out });
    this.leadsUntilMs = elected ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  /** A node did not report in time: it is dead to this leader once that is noted. */
  protected abstract absent(node: string, leader: ShardLeader, nowMs: number): void;

  /** False when this replica must not speak for its shards any more. */
  mayLead(nowMs: number): boolean {
    return nowMs < this.leadsUntilMs;
  }

  get led(): ShardLeader[] {
    return this.leaders.sorted;
  }

  leaderOf(shard: number): ShardLeader | undefined {
    return this.leaders.get(shard);
  }

  /** Who leads the range locks and waiters of a dataspace, if that is here. */
  home(dataspace: bigint): ShardLeader | undefined {
    return this.leaders.home(dataspace);
  }

  get isRebuilding(): boolean {
    return this.leaders.isRebuilding;
  }

  get parkedEvents(): number {
    return this.leaders.parkedEvents;
  }

  /** Notes of which the fate is not known. */
  get pendingNotes(): number {
    return this.notes.pending;
  }

  /** Of all shards that this replica leads or has led. */
  get counters(): DirectoryCounters {
    return this.leaders.counters;
  }

  protected lead(led: Led, nowMs: number): void {
    const { holders, out, grantedPages } = this;
    const { shards, leaseMs, dataspaces } = this.o;
    this.leave(led.shard);
    const leader = this.machines.leader({
      ...{ ...led, shards, leaseMs, dataspaces, holders, out, grantedPages, nowMs },
    });
    this.leaders.add(leader);
  }

  protected leave(shard: number): void {
    const leader = this.leaders.get(shard);
    if (leader === undefined) return;
    this.leaders.remove(leader);
    this.notes.cancel((waiting) => waiting.type === 'serve' && waiting.leader === leader);
    for (const { id } of this.holders.all())
      this.holders.send(id, { case: 'left', value: { shard, epoch: leader.epoch } });
  }

  protected removed(dataspace: bigint): void {
    for (const leader of this.leaders.all()) leader.remove(dataspace);
    for (const { id } of this.holders.all()) this.holders.send(id, { case: 'removed', value: { dataspace } });
  }

  protected advance(leader: ShardLeader, nowMs: number): void {
    // Only who leads may call a holder dead, or serve.
    if (this.mayLead(nowMs)) for (const ask of leader.advance(nowMs)) this.answer(leader, ask, nowMs);
  }

  protected answer(leader: ShardLeader, ask: ShardAsk, nowMs: number): void {
    switch (ask.type) {
      case 'absent':
        this.absent(ask.node, leader, nowMs);
        return;
      case 'reported': {
        const { shard } = leader;
        this.notes.ask({ about: 'rebuilt', shard }, { type: 'serve', leader }, nowMs);
        return;
      }
      default:
        unreachable(ask);
    }
  }

  protected isLed(leader: ShardLeader, nowMs: number): boolean {
    return this.leaders.has(leader) && this.mayLead(nowMs);
  }

  protected stepDown(leaders: readonly ShardLeader[], what: string, reason: string): void {
    const led = leaders.filter((leader) => this.leaders.has(leader));
    if (led.length === 0) return;
    const shards = led.map(({ shard }) => shard);
    const text = `${what}: these shards are not led from here any more`;
    this.out.log('error', text, { reason, shards });
    for (const shard of shards) this.leave(shard);
    this.out.add({ type: 'stepDown', shards, reason: what });
  }

  /** What a holder says to the leaders of shards. @returns false: it is nothing of that */
  protected heedOfShard(entry: HolderEntry, { event, epoch }: Said, nowMs: number): boolean {
    switch (event.case) {
      case 'retire':
        this.leaders.get(event.value.shard)?.retire(entry, event.value.epoch);
        return true;
      case 'report': {
        const leader = this.leaders.get(event.value.shard);
        if (leader === undefined) return true;
        leader.report(entry, reportOf(entry.id, event.value), event.value);
        this.advance(leader, nowMs);
        return true;
      }
      case 'acquire':
      case 'ack':
      case 'spare': {
        const { run } = event.value;
        const leader = run && this.leaders.ofPage(run.dataspace, run.firstPage);
        if (leader?.isSaidToIt(epoch)) leader.receive(entry, shardEventOf(event), nowMs);
        return true;
      }
      case 'lock':
      case 'unlock':
      case 'wait':
      case 'wake':
      case 'barrier':
      case 'barrierWord': {
        const leader = this.leaders.home(event.value.dataspace);
        if (leader?.isSaidToIt(epoch)) leader.receive(entry, shardEventOf(event), nowMs);
        return true;
      }
      case 'desk':
        this.leaders.home(event.value.dataspace)?.passOn(entry, event.value);
        return true;
      // Whoever hears it, and whenever: no request and no process ever comes back.
      case 'cancelWait':
      case 'ownerGone': {
        const each: ShardEvent = shardEventOf(event);
        for (const leader of this.leaders.all()) leader.receive(entry, each, nowMs);
        return true;
      }
      default:
        return false;
    }
  }
}
