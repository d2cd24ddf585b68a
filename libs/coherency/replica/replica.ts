// A replica of the directory: its holders with their leases, what is noted of them, and the shards that it leads.
//
//   hello       a new holder is noted, and welcomed when that is kept; one that is known is welcomed at once
//   burial      its stream ends; its death is noted; when that is kept, what it had goes to others
//   a note      that is not kept: the shards that it was for are not led from here any more (notes.ts)
//   silence     of a lease is death. After a pause of our own, or a time in which this replica must not lead, nobody is
//               dead by that: the renewals of that time were not heard
//
// Whoever must not lead answers nothing: another replica may have its shards by now.
import type { HolderEvent, HolderHello, Renew } from '@odonata/proto/coherency/v1/coherency';
import { isLender } from '../gateway.ts';
import { HOLD_MAX_MS, type LeaseTable, lenderLeaseMs } from '../lease.ts';
import { unreachable } from '../page.ts';
import type { HolderEntry } from './holders.ts';
import type { Members } from './members.ts';
import type { Outcome } from './notes.ts';
import type { ReplicaAction, ReplicaEvent, StreamId } from './replica-messages.ts';
import { type ReplicaOptions, ReplicaShards, type Said, type Waiting } from './shard/replica-shards.ts';
import type { ShardLeader } from './shard/shard-leader.ts';

/** The time between two ticks, while anything waits for one. */
export const TICK_MS = 20;
/** Of a lease at most: while nothing waits; well below what counts as a pause. */
const QUIET_ONE_IN = 10;
const NODE_NAME_MAX = 100;
/** Holders of a replica, those included that are silent for less than a lease. */
export const HOLDERS_MAX = 4_096;
/** Dataspaces that the processes of one holder map: all that a cluster has. */
export const MAPPED_MAX = 100_000;

type Hold = Extract<Waiting, { type: 'hold' }>;

export class Replica extends ReplicaShards {
  readonly replica: string;
  /** Of this process of the replica, in its welcomes. */
  readonly epoch: bigint;
  private readonly leases: LeaseTable;
  private readonly members: Members;
  /** Nodes that did not report, whose death is being noted, with the leaders that wait for that. */
  private readonly absentees = new Map<string, Set<ShardLeader>>();
  private tickedAtMs: number;
  /** The last time at which a tick was due, also where none was needed. */
  private dueAtMs: number;
  /** No tick changes anything before; undefined: something waits for the next one. */
  private quietUntilMs: number | undefined;
  private ledBefore = false;

  constructor(options: ReplicaOptions) {
    super(options);
    const { noted = new Map() } = options;
    this.replica = options.replica;
    this.epoch = options.incarnation;
    this.leases = this.machines.leases(options.leaseMs);
    this.members = this.machines.members(options.incarnation, noted);
    this.tickedAtMs = options.nowMs;
    this.dueAtMs = options.nowMs;
  }

  // ---- what can be seen

  /** When the next tick is wanted; each event may bring that nearer. */
  get nextMs(): number {
    return this.quietUntilMs ?? this.dueAtMs + TICK_MS;
  }

  /** Ticks before `nextMs` would change nothing. */
  get isResting(): boolean {
    return this.quietUntilMs !== undefined;
  }

  // ---- what happens

  step(event: ReplicaEvent, nowMs: number): ReplicaAction[] {
    // It comes with each heartbeat, and nothing waits for a tick by that.
    if (event.type !== 'mayLead') this.stir(nowMs);
    switch (event.type) {
      case 'closed':
        this.closed(event.stream);
        break;
      case 'noted':
        this.notes.noted(event.note, event.kept, event.reason ?? 'the store refuses it', nowMs);
        break;
      case 'lead':
        this.lead(event, nowMs);
        break;
      case 'leave':
        this.leave(event.shard);
        break;
      case 'mayLead':
        if (!this.mayLead(nowMs)) this.ledBefore = false;
        this.leadsUntilMs = event.untilMs;
        break;
      case 'removed':
        this.removed(event.dataspace);
        break;
      case 'dead': {
        const entry = this.holders.get(event.holder);
        if (entry !== undefined) this.bury(entry, event.reason, nowMs);
        break;
      }
      default:
        unreachable(event);
    }
    return this.end(nowMs);
  }

  tick(nowMs: number): ReplicaAction[] {
    const paused = this.isPause(nowMs - this.tickedAtMs);
    this.tickedAtMs = nowMs;
    this.dueAtMs = nowMs;
    this.notes.tick(nowMs);
    this.goOn(nowMs);
    const leads = this.mayLead(nowMs);
    if (paused || (leads && !this.ledBefore))
      for (const entry of this.holders.all()) this.heard(entry, nowMs);
    this.ledBefore = leads;
    if (leads) {
      for (const id of this.leases.dead(nowMs)) {
        const entry = this.holders.get(id);
        if (entry === undefined) continue;
        const silent = this.isSilent(entry, nowMs);
        this.bury(entry, silent ? 'it did not report what it has in time' : 'its lease ended', nowMs);
      }
      for (const leader of this.leaders.all()) leader.tick(nowMs);
    }
    const actions = this.end(nowMs);
    this.quietUntilMs = this.isQuiet() ? this.firstDueMs(nowMs) : undefined;
    return actions;
  }

  // An idle replica of many shards would spend most of its time on ticks that find nothing.
  protected isQuiet(): boolean {
    if (this.notes.pending > 0 || this.absentees.size > 0) return false;
    for (const leader of this.leaders.all()) if (!leader.isQuiet) return false;
    return true;
  }

  // The first lease that may end is looked at in time. Whoever must not lead buries nobody.
  private firstDueMs(nowMs: number): number {
    const everyMs = Math.floor(this.o.leaseMs / QUIET_ONE_IN / TICK_MS) * TICK_MS;
    const latestMs = nowMs + Math.max(TICK_MS, everyMs);
    if (this.leases.firstDeathMs >= latestMs || !this.mayLead(nowMs)) return latestMs;
    const ticks = Math.ceil((this.leases.firstDeathMs - nowMs) / TICK_MS);
    return nowMs + Math.max(1, ticks) * TICK_MS;
  }

  // Something happens after a time without ticks: those that were due would have told the leaders what time it is.
  private stir(nowMs: number): void {
    if (this.quietUntilMs === undefined) return;
    this.quietUntilMs = undefined;
    const missed = Math.floor((nowMs - this.dueAtMs) / TICK_MS) - 1;
    if (missed <= 0) return;
    this.dueAtMs += missed * TICK_MS;
    if (this.mayLead(nowMs)) for (const leader of this.leaders.all()) leader.tick(this.dueAtMs);
  }

  /** A holder says something on a stream; the first is its hello. */
  receive(stream: StreamId, { event, epoch }: HolderEvent, nowMs: number): ReplicaAction[] {
    if (event.case !== 'renew' || event.value.holdMs > 0) this.stir(nowMs);
    const entry = this.holders.ofStream(stream);
    if (event.case === 'hello') {
      this.hello(stream, event.value, nowMs);
      return this.end(nowMs);
    }
    if (entry === undefined) {
      const text = 'the first event must be hello';
      this.out.add({ type: 'fail', stream, code: 'FAILED_PRECONDITION', text });
    } else if (entry.stream === stream && this.holders.has(entry)) this.hear(entry, { event, epoch }, nowMs);
    return this.out.take();
  }

  // What was asked of the store may be known by now, and with that a rebuild may go on.
  private end(nowMs: number): ReplicaAction[] {
    this.goOn(nowMs);
    for (const leader of this.leaders.all()) if (leader.isRebuilding) this.advance(leader, nowMs);
    this.goOn(nowMs);
    return this.out.take();
  }

  // ---- holders

  private hello(stream: StreamId, hello: HolderHello, nowMs: number): void {
    const { node, incarnation, transferAddress, sentMs: helloMs } = hello;
    if (node === '' || node.length > NODE_NAME_MAX) {
      const about = { field: 'hello.node', text: `hello.node: 1 to ${NODE_NAME_MAX} characters` };
      this.out.add({ type: 'fail', stream, code: 'INVALID_ARGUMENT', ...about });
      return;
    }
    const before = this.holders.ofNode(node);
    if (before !== undefined && incarnation < before.incarnation) {
      const text = `a later pmap manager of node ${node} is a holder here`;
      this.out.add({ type: 'fail', stream, code: 'UNAVAILABLE', text });
      return;
    }
    if (before !== undefined && before.incarnation !== incarnation)
      this.bury(before, 'a new pmap manager took its place', nowMs);
    if (!this.mayLead(nowMs)) {
      const text = `replica ${this.replica} does not lead now`;
      this.out.add({ type: 'fail', stream, code: 'UNAVAILABLE', text });
      return;
    }
    if (this.holders.ofNode(node) === undefined && this.holders.count >= HOLDERS_MAX) {
      const text = `replica ${this.replica} has ${HOLDERS_MAX} holders, and takes no more`;
      this.out.add({ type: 'fail', stream, code: 'RESOURCE_EXHAUSTED', text });
      return;
    }
    const entry = this.holders.ofNode(node) ?? this.takeIn(node, incarnation, nowMs);
    this.holders.attach(entry, stream, { transferAddress, helloMs });
    entry.roomPages = hello.roomPages;
    this.heard(entry, nowMs);
    if (entry.heldNoted && !isLender(node)) this.release(entry, nowMs);
    this.out.log('info', 'holder attached', { node, incarnation, holder: entry.id });
    if (this.isTakenIn(entry)) this.welcome(entry, nowMs);
  }

  private takeIn(node: string, incarnation: bigint, nowMs: number): HolderEntry {
    const { life, noted, held } = this.members.takeIn(node, incarnation);
    const entry = this.holders.add({ node, incarnation, life, noted, heldNoted: held });
    // Whoever leads next waits for it for as long as others may have pages by it.
    const lease = isLender(node) ? { heldMs: this.leaseMsOf({ node }) } : {};
    const membership = { incarnation, life, ...lease };
    if (!noted) this.notes.ask({ about: 'taken-in', node, membership }, { type: 'welcome', entry }, nowMs);
    return entry;
  }

  private leaseMsOf({ node }: Pick<HolderEntry, 'node'>): number {
    const { leaseMs } = this.o;
    return isLender(node) ? lenderLeaseMs(leaseMs) : leaseMs;
  }

  private heard(entry: HolderEntry, nowMs: number, heldMs = 0): void {
    const leastMs = isLender(entry.node) ? this.leaseMsOf(entry) : 0;
    this.leases.heard(entry.id, nowMs, Math.max(heldMs, leastMs));
  }

  // What is not noted the next leader does not ask for: until then it has no lease, and nothing is given to it.
  protected isTakenIn(entry: HolderEntry): boolean {
    return entry.noted;
  }

  private welcome(entry: HolderEntry, nowMs: number): void {
    if (entry.stream === undefined) return;
    entry.welcomed = true;
    const leaseMs = this.leaseMsOf(entry);
    const { replica, shards, epoch } = this;
    const { id: holder, life, helloMs: sentMs } = entry;
    const value = { epoch, leaseMs, holder, life, shards, replica, sentMs };
    this.holders.send(holder, { case: 'welcome', value });
    for (const leader of this.leaders.all()) leader.attach(entry, nowMs);
  }

  // It has the rest of its lease to come back.
  private closed(stream: StreamId): void {
    const entry = this.holders.closed(stream);
    if (entry === undefined) return;
    this.out.log('warn', 'holder lost its stream', { node: entry.node, leaseMs: this.o.leaseMs });
  }

  private hear(entry: HolderEntry, said: Said, nowMs: number): void {
    const { event } = said;
    if (event.case === 'interest') {
      if (event.value.mapped && entry.mapped.size >= MAPPED_MAX) {
        const text = `holder ${entry.node}: it maps ${MAPPED_MAX} dataspaces, and no more are counted`;
        this.holders.fail(entry, 'RESOURCE_EXHAUSTED', text);
      } else if (event.value.mapped) entry.mapped.add(event.value.dataspace);
      else entry.mapped.delete(event.value.dataspace);
      return;
    }
    // Whoever woke up late must not decide anything; another replica may have its shards by now.
    if (!this.mayLead(nowMs)) return;
    try {
      this.heed(entry, said, nowMs);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.fail(entry, error.message);
    }
  }

  /** @throws RangeError when the message will not do; then nothing came of it */
  private heed(entry: HolderEntry, said: Said, nowMs: number): void {
    const { event } = said;
    switch (event.case) {
      case 'renew':
        this.renew(entry, event.value, nowMs);
        return;
      case 'goodbye':
        entry.left = true;
        this.bury(entry, 'it said goodbye', nowMs);
        return;
      case undefined:
        return; // of a later version
    }
    // Who has not heard who it is here speaks of what it had elsewhere, or before.
    if (!entry.welcomed) return;
    if (!this.heedOfShard(entry, said, nowMs))
      this.fail(entry, `it sent ${event.case} where it does not belong`);
  }

  private fail(entry: HolderEntry, what: string): void {
    this.holders.fail(entry, 'INVALID_ARGUMENT', `holder ${entry.node}: ${what}`);
  }

  private renew(entry: HolderEntry, { sentMs, holdMs, roomPages }: Renew, nowMs: number): void {
    if (this.isSilent(entry, nowMs)) return;
    entry.roomPages = roomPages;
    this.heard(entry, nowMs);
    const heldMs = Math.min(holdMs, HOLD_MAX_MS);
    if (heldMs > 0) this.noteHold({ type: 'hold', entry, sentMs, heldMs }, nowMs);
    else this.holders.send(entry.id, { case: 'renewed', value: { sentMs, heldMs } });
  }

  // It may not have heard that it is asked: then its lease ends, before anybody gets what it has.
  protected isSilent(entry: HolderEntry, nowMs: number): boolean {
    for (const leader of this.leaders.all()) if (leader.isMissing(entry, nowMs)) return true;
    return false;
  }

  // Whoever leads next must wait for so long, too: it is answered when that is kept.
  protected noteHold(hold: Hold, nowMs: number): void {
    const { node, incarnation, life } = hold.entry;
    const membership = { incarnation, life, heldMs: hold.heldMs };
    this.notes.ask({ about: 'taken-in', node, membership }, hold, nowMs);
  }

  protected held({ entry, sentMs, heldMs }: Hold, kept: boolean, nowMs: number): void {
    if (!this.holders.has(entry) || !this.mayLead(nowMs)) return;
    if (kept) {
      this.heard(entry, nowMs, heldMs);
      entry.heldUntilMs = nowMs + heldMs;
      entry.heldNoted = true;
    }
    this.holders.send(entry.id, { case: 'renewed', value: { sentMs, heldMs: kept ? heldMs : 0 } });
  }

  // The process that took its place is here.
  private release(entry: HolderEntry, nowMs: number): void {
    const { node, incarnation, life } = entry;
    entry.heldNoted = false;
    const membership = { incarnation, life };
    this.notes.ask({ about: 'taken-in', node, membership }, { type: 'released' }, nowMs);
  }

  // ---- deaths

  protected isPause(sinceTickMs: number): boolean {
    return sinceTickMs > this.o.leaseMs / 4;
  }

  private drop(entry: HolderEntry): void {
    this.holders.remove(entry);
    this.leases.forget(entry.id);
    // Nobody hears what becomes of that.
    this.notes.cancel((waiting) => {
      return (waiting.type === 'welcome' || waiting.type === 'hold') && waiting.entry === entry;
    });
  }

  private bury(entry: HolderEntry, reason: string, nowMs: number): void {
    const { node } = entry;
    if (entry.left) {
      this.out.log('info', 'holder left', { node, holder: entry.id, reason });
      this.out.add({ type: 'event', kind: 'holder-left', text: `${node} left: ${reason}`, holder: node });
    } else {
      this.out.log('warn', 'holder is gone', { node, holder: entry.id, reason });
      const text = `${node} is gone: ${reason}`;
      this.out.add({ type: 'event', kind: 'holder-buried', text, holder: node });
    }
    this.drop(entry);
    // Nothing was given to it.
    if (!entry.welcomed) return;
    for (const leader of this.leaders.all()) leader.dies(entry);
    // Noted before anybody gets what it had: else the next leader would believe it.
    this.noteDeath(node, { type: 'bury', entry }, nowMs);
  }

  protected noteDeath(node: string, waiting: Waiting, nowMs: number): void {
    this.notes.ask({ about: 'dead', node }, waiting, nowMs);
  }

  // The next leader must not believe it either.
  protected absent(node: string, leader: ShardLeader, nowMs: number): void {
    const waiting = this.absentees.get(node);
    if (waiting !== undefined) {
      waiting.add(leader);
      return;
    }
    this.absentees.set(node, new Set([leader]));
    this.out.log('warn', 'holder did not report in time: its pages are lost', { node });
    const text = `${node} is gone: it did not report in time`;
    this.out.add({ type: 'event', kind: 'holder-buried', text, holder: node });
    this.members.forget(node);
    this.noteDeath(node, { type: 'absent', node }, nowMs);
  }

  // ---- notes

  private goOn(nowMs: number): void {
    for (const outcome of this.notes.take()) this.noted(outcome, nowMs);
  }

  private noted({ for: waiting, kept, reason }: Outcome<Waiting>, nowMs: number): void {
    switch (waiting.type) {
      case 'welcome':
        this.takenIn(waiting.entry, kept, reason, nowMs);
        return;
      case 'hold':
        this.held(waiting, kept, nowMs);
        return;
      case 'released':
        return;
      case 'bury':
        if (kept) this.buried(waiting.entry, nowMs);
        else
          this.stepDown(
            [...this.leaders.all()],
            `the death of the holder ${waiting.entry.node} could not be noted`,
            reason,
          );
        return;
      case 'absent': {
        const leaders = [...(this.absentees.get(waiting.node) ?? [])];
        this.absentees.delete(waiting.node);
        if (!kept) this.stepDown(leaders, 'the death of a node could not be noted', reason);
        else for (const leader of leaders) if (this.isLed(leader, nowMs)) leader.absent(waiting.node);
        return;
      }
      case 'serve': {
        const { leader } = waiting;
        if (!kept) this.stepDown([leader], 'what the holders reported could not be noted', reason);
        else if (this.isLed(leader, nowMs)) leader.reportedNoted();
        return;
      }
      default:
        unreachable(waiting);
    }
  }

  private takenIn(entry: HolderEntry, kept: boolean, reason: string, nowMs: number): void {
    if (!this.holders.has(entry)) return;
    if (kept) {
      entry.noted = true;
      this.welcome(entry, nowMs);
      return;
    }
    const text = 'a holder could not be noted, and is not taken in; it asks again';
    this.out.log('warn', text, { node: entry.node, reason });
    this.drop(entry);
  }

  private buried(entry: HolderEntry, nowMs: number): void {
    // The lease of our own may have ended meanwhile.
    if (this.mayLead(nowMs)) for (const leader of this.leaders.all()) leader.bury(entry);
  }
}
