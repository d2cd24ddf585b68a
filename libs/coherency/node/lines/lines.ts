// A node's lines to all replicas of the directory: which of them leads which shard, and what may be used of each shard now.
//
//   a shard        its leader                               may be used
//   led            spoke for it on its present stream       while the lease of the leader's replica lasts
//   left           gave it up; or its stream is a new one,  while what was left of that lease then lasts
//                  on which it has not spoken for it yet
//   suspended      as either                                not: its end was told, and all access taken away
//
// A lease ends by the clock. Whatever comes in, ends that were not told are told first: so what was dropped meanwhile is
// asked for anew, and who looked in between and waits is woken, when the shard resumes. A new stream renews the lease, but
// not that of shards which the replica led before: it may have given them up while nobody could hear it, and another one
// leads them, who waits for this node for as long as the old lease lasts, and no longer. One that was held for longer, for who takes the
// place of this node, is held no more from its hello on.
//
// What is sent where nobody hears it is lost: whoever leads next is told again (`led`, `resume`). Nothing is said to the
// leader of a shard before it has spoken, so that what is said again comes in the order in which it was said. What it is asked names its
// epoch: a stream may hold it back until the replica leads the shard anew, with another leader in between who answered.
//
// Pure: events and the time come in, actions go out. `tick` is to be called at `nextMs`; earlier or later does no harm.
import type {
  DirectoryEvent,
  Invalidate,
  Renewed,
  Retired,
  ShardLed,
  Welcome,
} from '@odonata/proto/coherency/v1/coherency';
import { expectLease } from '../../lease.ts';
import { unreachable } from '../../page.ts';
import { shardOf } from '../../shard.ts';
import { isEmptyRun } from '../../wire.ts';
import { invalidation, pageEvent } from './holder-wire.ts';
import { livesAfter, type Shard } from './led-shard.ts';
import type { LinesAction, LinesEvent } from './lines-messages.ts';
import type { ReplicaLine } from './replica-line.ts';
import { Streams, wholeMs } from './streams.ts';

export class Lines extends Streams {
  private toldDeadlineMs: number | undefined | 'never' = 'never';
  private dueMs = Number.NEGATIVE_INFINITY;

  /** Applies one event. @returns what is to be done, in order */
  step(event: LinesEvent, nowMs: number): LinesAction[] {
    this.actions = [];
    this.tellEnds(nowMs);
    this.apply(event, nowMs);
    this.tellTimes(nowMs);
    return this.actions;
  }

  /** The time has come, or not. */
  tick(nowMs: number): LinesAction[] {
    this.actions = [];
    this.tellEnds(nowMs);
    for (const line of this.lines.values()) if (nowMs >= line.nextRenewMs) this.renew(line, nowMs);
    this.tellTimes(nowMs);
    return this.actions;
  }

  /** When `tick` is to be called; infinite: not before the next event. */
  get nextMs(): number {
    return this.dueMs;
  }

  private apply(event: LinesEvent, nowMs: number): void {
    switch (event.type) {
      case 'replicas':
        this.connectTo(new Set(event.addresses));
        return;
      case 'opened':
        this.opened(event.replica, event.stream, nowMs);
        return;
      case 'heard': {
        const line = this.byStream.get(event.stream);
        if (line !== undefined) this.heard(line, event.event, nowMs);
        return;
      }
      case 'broke':
        this.broke(event.stream, event.reason);
        return;
      case 'overheard':
        this.overheard(event.message, nowMs);
        return;
      case 'word':
        this.say(event.word, event.shard);
        return;
      case 'say':
        this.ask(this.byShard[event.shard]!, event.event);
        return;
      case 'say-all':
        this.sendAll(event.event);
        return;
      case 'interest':
        this.interest(event.dataspace, event.mapped);
        return;
      case 'retire': {
        const shard = this.byShard[event.shard]!;
        shard.retires = true;
        this.sendTo(shard, { case: 'retire', value: { shard: event.shard, epoch: shard.epoch } });
        return;
      }
      case 'hold':
        this.sendAll({ case: 'renew', value: { sentMs: wholeMs(nowMs), holdMs: event.holdMs } });
        return;
      case 'goodbye':
        this.sayGoodbye();
        return;
      default:
        unreachable(event);
    }
  }

  // What replicas say.

  private heard(line: ReplicaLine, event: DirectoryEvent['event'], nowMs: number): void {
    // The first word on a stream.
    try {
      if (event.case === 'welcome') this.welcomed(line, event.value, nowMs);
      else if (line.joined) this.told(line, event, nowMs);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.notUnderstood(line, `the directory sent ${event.case}: ${error.message}`);
    }
  }

  private told(line: ReplicaLine, event: DirectoryEvent['event'], nowMs: number): void {
    switch (event.case) {
      case 'led':
        this.led(line, event.value, nowMs);
        return;
      case 'left': {
        const shard = this.byShard[event.value.shard];
        if (shard?.line !== line) return;
        this.left(shard);
        shard.address = '';
        return;
      }
      case 'renewed':
        this.renewed(line, event.value, nowMs);
        return;
      case 'lockResult':
      case 'waitResult':
      case 'wakeResult':
      case 'barrierResult':
        this.actions.push({ type: 'sync', event, shards: line.shards });
        return;
      case 'desk':
        this.actions.push({ type: 'desk', letter: event.value });
        return;
      case 'removed':
        this.actions.push({ type: 'removed', dataspace: event.value.dataspace });
        return;
      case 'retired':
        this.retired(event.value);
        return;
      default:
        this.paged(line, event, nowMs);
    }
  }

  private retired(retired: Retired): void {
    const { shard: number, epoch, remaining } = retired;
    const shard = this.byShard[number];
    if (shard?.retires && this.isOfEpoch(shard, epoch) && remaining.length === 0) shard.letGo = true;
    this.actions.push({ type: 'retired', retired });
  }

  private paged(line: ReplicaLine, message: DirectoryEvent['event'], nowMs: number): void {
    const said = pageEvent(message);
    // Of a later version.
    if (said === undefined) return;
    if (message.case === 'recall') line.receives(message.value.receiver, message.value.receiverAddress);
    const { event, epoch } = said;
    if (this.isInOrder(line, this.ofPage(event.run.dataspace, event.run.firstPage), epoch, nowMs))
      this.actions.push({ type: 'page', event });
  }

  private overheard(message: Invalidate, nowMs: number): void {
    // A broadcast may be lost: so may one that names no pages.
    if (isEmptyRun(message.run)) return;
    const event = invalidation(message);
    const { dataspace, firstPage } = event.run;
    const number = shardOf(dataspace, firstPage, this.shards);
    const shard = this.byShard[number]!;
    if (this.isItsOwn(shard, message) || !this.accepts(dataspace, firstPage, message.epoch, nowMs)) return;
    this.actions.push({ type: 'overheard', shard: number, event });
  }

  private welcomed(line: ReplicaLine, welcome: Welcome, nowMs: number): void {
    const { shards, replica } = welcome;
    if (shards !== this.shards) {
      const reason = `the directory has ${shards} shards, this node was started with --shards ${this.shards}`;
      this.actions.push({ type: 'unfit', reason });
      return;
    }
    expectLease(welcome.leaseMs);
    const before = line.identity;
    this.unspoken(line);
    line.welcomed(welcome, nowMs, this.mapped.size > 0);
    this.endHold(line);
    this.timesChanged = true;
    const about = { replica, directory: line.replica, holder: line.holder };
    const back = before === line.identity;
    this.log('info', about, back ? 'back at the directory' : 'joined the directory');
    for (const dataspace of this.mapped)
      this.sendOn(line, { case: 'interest', value: { dataspace, mapped: true } });
  }

  /** A replica is to speak anew for the shards that it leads: it may have given some up while nobody heard it. */
  protected unspoken(line: ReplicaLine): void {
    this.leftAll(line);
  }

  /**
   * A replica that held the lease for longer, while another process took the place of this one, holds it no more from this hello on: of
   * shards that it does not lead any more the next leader waits for this node as for any.
   */
  protected endHold(line: ReplicaLine): void {
    for (const shard of this.byShard) {
      if (shard.line !== undefined || shard.address !== line.replica) continue;
      shard.untilMs = Math.min(shard.untilMs, line.endMs);
      shard.lastEndMs = Math.min(shard.lastEndMs, line.lastEndMs);
    }
  }

  private led(line: ReplicaLine, led: ShardLed, nowMs: number): void {
    const { shard: number, epoch, report } = led;
    const shard = this.byShard[number];
    if (shard === undefined || this.isSuperseded(shard, epoch)) return;
    const sameLeader = !report && this.isSameLeader(shard, line, epoch);
    const voided = shard.identity !== '' && !sameLeader && !(report && this.isLifeOf(shard, led));
    // A replica that was silent may lead again before it answers a renewal. What the last leader permitted is over then.
    const suspended = !line.isLeased(nowMs);
    if (suspended) this.suspend(shard, number);
    shard.lives = livesAfter(shard.lives, { epoch, life: line.life }, { voided, lastEpoch: led.lastEpoch });
    const { identity, holder, replica: address } = line;
    const before = shard.line;
    Object.assign(shard, { line, epoch, identity, holder, address, suspended });
    if (before !== line) {
      if (before !== undefined) this.listShards(before);
      this.listShards(line);
    }
    this.actions.push({ type: 'led', shard: number, sameLeader, voided });
    this.timesChanged = true;
  }

  // Leases.

  private renewed(line: ReplicaLine, { sentMs, heldMs }: Renewed, nowMs: number): void {
    line.renewed(Number(sentMs), heldMs, nowMs);
    this.actions.push({ type: 'confirmed', shards: line.shards, sentMs: Number(sentMs) });
    if (line.isLeased(nowMs)) for (const number of line.shards) this.resume(this.byShard[number]!, number);
    this.timesChanged = true;
  }

  /** Ends that nobody was told of. No lease begins again before. */
  protected tellEnds(nowMs: number): void {
    // Late or early, this may come at any time; and it comes with each fault.
    if (nowMs < this.dueMs) return;
    for (const line of this.lines.values()) {
      if (!line.tellEnd(nowMs)) continue;
      this.timesChanged = true;
      const text = 'the lease ended: nothing of this directory is used';
      this.log('warn', { directory: line.replica }, text);
    }
    this.byShard.forEach((shard, number) => {
      if (!this.isUsable(shard, nowMs)) this.suspend(shard, number);
    });
  }

  private suspend(shard: Shard, number: number): void {
    if (shard.suspended) return;
    shard.suspended = true;
    this.actions.push({
      type: 'suspend',
      shard: number,
      lastEndMs: shard.line?.lastEndMs ?? shard.lastEndMs,
    });
    this.timesChanged = true;
  }

  private resume(shard: Shard, number: number): void {
    if (!shard.suspended) return;
    shard.suspended = false;
    this.actions.push({ type: 'resume', shard: number });
  }

  private tellTimes(nowMs: number): void {
    if (!this.timesChanged) return;
    this.timesChanged = false;
    this.dueMs = this.firstDueMs();
    const deadlineMs = this.deadlineMs(nowMs);
    if (deadlineMs === this.toldDeadlineMs) return;
    this.toldDeadlineMs = deadlineMs;
    this.actions.push({ type: 'deadline', deadlineMs });
  }

  private firstDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { nextRenewMs, untoldEndMs = dueMs } of this.lines.values())
      dueMs = Math.min(dueMs, nextRenewMs, untoldEndMs);
    for (const { line, suspended, untilMs } of this.byShard)
      if (line === undefined && !suspended) dueMs = Math.min(dueMs, untilMs);
    return dueMs;
  }
}
