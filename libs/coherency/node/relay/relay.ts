// Range locks, waits, wakes and barriers of a node's processes, relayed to the directory and back; remembered, so that what a broken
// stream lost is said again, and a new leader hears of locks that are held.
//
//   lock, wait, wake   numbered, and under way until they are answered; said again on each new stream
//   unlock             answered at once; said again to the same leader until it is known that it was heard: by the answer to
//                      a later request, or to a later renewal. A new leader hears of what is held instead
//   withdrawn wait     the same
//   barrier            as a lock; a new leader hears first what the processes that passed it know (passed-barriers.ts)
//   end of a process   said again on each new stream, for a minute
//
// A lock that was said twice and is refused may be granted after all, to nobody: it is given back then. A lock that a new
// leader is told of is answered only where somebody else has it: its process ends, like those of a node that was buried.
//
// Pure: events and the time come in, actions go out.
import type { BarrierResult, DirectoryEvent, LockResult } from '@odonata/proto/coherency/v1/coherency';
import { SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import { HELD_MAX } from '../../locks/range-lock.ts';
import { unreachable } from '../../page.ts';
import { lockWire } from '../../wire.ts';
import type { HolderEventInit } from '../lines/holder-wire.ts';
import { Bringing } from './bringing.ts';
import { isResult, type RelayAction, type RelayEvent, type SyncEvent } from './relay-messages.ts';
import { RelayRecords } from './relay-records.ts';
import { unlockWire } from './relay-snapshot.ts';
import { UNDER_WAY_MAX, type UnderWay } from './under-way.ts';
import { UNLOCKS_MAX, type UnheardUnlock } from './unheard-words.ts';

type Asked = Extract<RelayEvent, { type: 'asked' }>;
type Numbered = Extract<SyncEvent, { case: 'lock' | 'wait' | 'wake' | 'barrier' }>;
type Unlocked = Extract<SyncEvent, { case: 'unlock' }>['value'];
type Span = Pick<Unlocked, 'owner' | 'dataspace' | 'begin' | 'end'>;

/** The number of this status at gRPC. */
const RESOURCE_EXHAUSTED = 8;

export class Relay extends RelayRecords {
  private readonly bringing = new Bringing();
  private actions: RelayAction[] = [];

  /** Applies one event. @returns what is to be done, in order */
  step(event: RelayEvent, nowMs: number): RelayAction[] {
    this.actions = [];
    this.apply(event, nowMs);
    return this.actions;
  }

  private apply(event: RelayEvent, nowMs: number): void {
    switch (event.type) {
      case 'asked':
        this.asked(event, nowMs);
        return;
      case 'answered':
        if (this.isByLeader(event)) this.answered(event.event, nowMs);
        return;
      case 'confirmed':
        this.confirmed(new Set(event.shards), event.sentMs);
        return;
      case 'voided':
        this.voided(event.shard);
        return;
      case 'rejoined':
        this.rejoined(event.shard, event.newLeader, nowMs);
        return;
      case 'removed':
        this.removed(event.dataspace);
        return;
      case 'owner-gone':
        this.ownerGone(event.owner, nowMs);
        return;
      case 'session-gone':
        this.underWay.removeSession(event.session);
        return;
      default:
        unreachable(event);
    }
  }

  private say(dataspace: bigint, event: HolderEventInit): void {
    this.actions.push({ type: 'say', shard: this.homeOf(dataspace), event });
  }

  private fail(session: number, request: bigint, reason: string): void {
    const value = { code: RESOURCE_EXHAUSTED, reason };
    const event = { request, event: { case: 'failed' as const, value } };
    this.actions.push({ type: 'answer', session, event, limit: 'locks-and-waits' });
  }

  private asked({ session, request, event }: Asked, nowMs: number): void {
    switch (event.case) {
      case 'lock':
      case 'wait':
      case 'wake':
        this.begin(session, request, event);
        return;
      case 'barrier':
        this.comes(session, request, event);
        return;
      case 'unlock':
        this.unlock(session, request, event.value, nowMs);
        return;
      case 'cancelWait':
        this.withdraw(session, event.value.request, nowMs);
        return;
      default:
        unreachable(event);
    }
  }

  private begin(session: number, request: bigint, event: Numbered): void {
    if (this.underWay.isFull(session)) {
      this.fail(
        session,
        request,
        `${UNDER_WAY_MAX} locks, waits and wakes of a virtual kernel wait for answers, the most; run some of its programs in another one`,
      );
      return;
    }
    const id = this.next++;
    const { $typeName: _, ...fields } = event.value;
    const relayed = { case: event.case, value: { ...fields, request: id } } as HolderEventInit;
    const owner = 'owner' in event.value ? event.value.owner : 0n;
    const { dataspace } = event.value;
    const about = { session, request, event: relayed, owner, dataspace };
    this.underWay.add(id, { ...about, registered: false, repeated: false });
    this.say(dataspace, relayed);
    if (event.case === 'lock' && this.bringing.withLock(dataspace)) this.bring(about);
  }

  private comes(session: number, request: bigint, event: Extract<SyncEvent, { case: 'barrier' }>): void {
    const refusal = this.barriers.refusal(event.value, event.value.generation);
    if (refusal !== undefined) this.refuseBarrier({ session, request }, refusal);
    else {
      if (!this.underWay.isFull(session)) this.barriers.comes(event.value);
      this.begin(session, request, event);
    }
  }

  private bring({ event, owner, dataspace }: Pick<UnderWay, 'event' | 'owner' | 'dataspace'>): void {
    if (event?.case !== 'lock') return;
    const { begin = 0n, end = 0n, mode = 0 } = event.value;
    this.actions.push({ type: 'bring', locked: { owner, dataspace, begin, end, mode: lockWire.from(mode) } });
  }

  // No answer: what was said before it may be lost.
  private withdraw(session: number, request: bigint, nowMs: number): void {
    const id = this.underWay.find(session, request);
    if (id !== undefined) this.sayWithdrawn(id, this.underWay.remove(id)!.dataspace, nowMs);
  }

  private sayWithdrawn(id: bigint, dataspace: bigint, nowMs: number): void {
    this.withdrawals.add(id, dataspace, nowMs);
    this.say(dataspace, { case: 'cancelWait', value: { request: id } });
  }

  private unlock(
    session: number,
    request: bigint,
    { owner, dataspace, begin, end }: Unlocked,
    nowMs: number,
  ): void {
    // An unlock in the middle of a range makes two of it.
    if (this.held.count(owner, dataspace) >= HELD_MAX) {
      const what = `the process holds ${HELD_MAX} ranges of dataspace ${dataspace}; unlock whole ranges`;
      this.fail(session, request, what);
      return;
    }
    if (this.unlocks.isFull) {
      this.fail(
        session,
        request,
        `the directory has not heard of ${UNLOCKS_MAX} unlocks; unlock again later`,
      );
      return;
    }
    this.held.release(owner, dataspace, begin, end);
    this.sayUnlock({ owner, dataspace, begin, end }, nowMs);
    this.actions.push({ type: 'answer', session, event: { request, event: { case: 'done', value: {} } } });
  }

  private sayUnlock(span: Span, nowMs: number): void {
    const unlock = unlockWire({ ...span, request: this.next++ });
    this.unlocks.add({ unlock, before: this.next, atMs: nowMs });
    this.say(span.dataspace, { case: 'unlock', value: unlock });
  }

  /**
   * Whoever led the dataspace's locks before may have granted what the next leader, who did not hear of it, grants to
   * somebody else: only that one's answer counts.
   */
  protected isByLeader({ event, shards }: Extract<RelayEvent, { type: 'answered' }>): boolean {
    if (!isResult(event)) return false;
    const { request } = event.value;
    const dataspace = this.underWay.get(request)?.dataspace ?? this.late.dataspaceOf(request);
    return dataspace !== undefined && shards.includes(this.homeOf(dataspace));
  }

  private answered(event: DirectoryEvent['event'], nowMs: number): void {
    switch (event.case) {
      case 'lockResult':
        this.lockAnswered(event.value, nowMs);
        return;
      case 'waitResult': {
        const { request, status } = event.value;
        const registered = status === SyncStatus.REGISTERED;
        const asked = registered ? this.heardOf(request) : this.finish(request);
        if (asked === undefined) return;
        if (registered) asked.registered = true;
        this.answerWait(asked, status);
        return;
      }
      case 'wakeResult': {
        const { request: id, woken } = event.value;
        const asked = this.finish(id);
        if (asked === undefined) return;
        const { session, request } = asked;
        const answer = { request, event: { case: 'wake', value: { request, woken } } } as const;
        this.actions.push({ type: 'answer', session, event: answer });
        return;
      }
      case 'barrierResult':
        this.barrierAnswered(event.value, nowMs);
    }
  }

  private barrierAnswered(result: BarrierResult, nowMs: number): void {
    const asked = this.finish(result.request);
    if (asked?.event?.case !== 'barrier') return;
    const { name = 0n, generation = 0n } = asked.event.value;
    this.barriers.answered({ ...asked, name }, generation, result, nowMs);
    this.answerBarrier(asked, result.status);
  }

  private answerBarrier(
    { session, request }: Pick<UnderWay, 'session' | 'request'>,
    status: SyncStatus,
  ): void {
    const event = { request, event: { case: 'barrier', value: { request, status } } } as const;
    this.actions.push({ type: 'answer', session, event });
  }

  private refuseBarrier(at: Pick<UnderWay, 'session' | 'request'>, refusal: 'generation' | 'room'): void {
    const status = refusal === 'room' ? SyncStatus.EXHAUSTED : SyncStatus.INVALID;
    const event = { case: 'barrier' as const, value: { request: at.request, status } };
    const limit = refusal === 'room' ? { limit: 'barriers' } : {};
    this.actions.push({
      type: 'answer',
      session: at.session,
      event: { request: at.request, event },
      ...limit,
    });
  }

  private lockAnswered({ request: id, status, waited }: LockResult, nowMs: number): void {
    const asked = this.finish(id);
    if (asked === undefined) {
      this.reclaimAnswered(id, status);
      this.lateResult(id, status, nowMs);
      return;
    }
    if (this.mayBeGrantedStill(asked, status)) this.late.giveUp(id, asked);
    if (status === SyncStatus.OK && asked.event?.case === 'lock') {
      const { begin = 0n, end = 0n, mode = 0 } = asked.event.value;
      this.held.hold(asked.owner, asked.dataspace, begin, end, lockWire.from(mode));
      const broughtWithLock = this.bringing.withLock(asked.dataspace);
      this.bringing.granted(asked.dataspace, waited);
      // Those that came with it are gone again, where others had the lock.
      if (!broughtWithLock || waited) this.bring(asked);
    }
    const { session, request } = asked;
    const answer = { request, event: { case: 'lock', value: { request, status, waited } } } as const;
    this.actions.push({ type: 'answer', session, event: answer });
  }

  /** Said twice, it may be granted after all, to nobody. */
  protected mayBeGrantedStill({ repeated }: UnderWay, status: SyncStatus): boolean {
    return repeated && status !== SyncStatus.OK;
  }

  private reclaimAnswered(id: bigint, status: SyncStatus): void {
    const reclaimed = this.late.takeReclaimed(id);
    if (reclaimed === undefined || status === SyncStatus.OK) return;
    // Somebody else has it: the process must not go on as if it had it.
    this.held.forget(reclaimed.owner, reclaimed.dataspace);
    this.lose(new Set([reclaimed.owner]));
  }

  private lateResult(id: bigint, status: SyncStatus, nowMs: number): void {
    const asked = this.late.takeGivenUp(id);
    if (asked?.event?.case !== 'lock' || status !== SyncStatus.OK) return;
    const { begin = 0n, end = 0n } = asked.event.value;
    const span = { owner: asked.owner, dataspace: asked.dataspace, begin, end };
    if (this.isForNobody(span)) this.sayUnlock(span, nowMs);
  }

  /** Unless the process got some of it by another request meanwhile. */
  protected isForNobody({ owner, dataspace, begin, end }: Span): boolean {
    return !this.held.holds(owner, dataspace, begin, end);
  }

  protected lose(owners: ReadonlySet<bigint>, desk?: number): void {
    if (owners.size > 0) this.actions.push({ type: 'lost', owners, ...(desk !== undefined && { desk }) });
  }

  private answerWait({ session, request }: UnderWay, status: SyncStatus): void {
    const event = { request, event: { case: 'wait', value: { request, status } } } as const;
    this.actions.push({ type: 'answer', session, event });
  }

  /** The directory answered a request that is under way: what was said before that was heard. */
  private heardOf(id: bigint): UnderWay | undefined {
    const asked = this.underWay.get(id);
    if (asked !== undefined) this.unlocks.heard(asked.dataspace, (unlock) => this.isBefore(unlock, id));
    return asked;
  }

  private finish(id: bigint): UnderWay | undefined {
    return this.heardOf(id) && this.underWay.remove(id);
  }

  protected isBefore({ before }: UnheardUnlock, id: bigint): boolean {
    return before <= id;
  }

  protected isConfirmed({ atMs }: Pick<UnheardUnlock, 'atMs'>, sentMs: number): boolean {
    return atMs < sentMs;
  }

  private confirmed(shards: ReadonlySet<number>, sentMs: number): void {
    for (const dataspace of this.unlocks.dataspaces())
      if (shards.has(this.homeOf(dataspace)))
        this.unlocks.heard(dataspace, (unlock) => this.isConfirmed(unlock, sentMs));
    this.withdrawals.heard((dataspace, atMs) => {
      return shards.has(this.homeOf(dataspace)) && this.isConfirmed({ atMs }, sentMs);
    });
  }

  private voided(shard: number): void {
    const owners = new Set<bigint>();
    for (const { owner, dataspace } of this.held.of((id) => this.homeOf(id) === shard)) {
      owners.add(owner);
      this.held.forget(owner, dataspace);
    }
    this.lose(owners, shard);
  }

  private rejoined(shard: number, newLeader: boolean, nowMs: number): void {
    const isHome = (dataspace: bigint) => this.homeOf(dataspace) === shard;
    for (const owner of this.ends.again(nowMs))
      this.actions.push({ type: 'say-all', event: { case: 'ownerGone', value: { owner } } });
    for (const dataspace of this.unlocks.dataspaces())
      if (isHome(dataspace)) this.unlockAgain(dataspace, newLeader);
    this.withdrawAgain(isHome, newLeader);
    if (newLeader) this.reclaim(isHome);
    this.tellBarriers(isHome, nowMs);
    for (const [id, asked] of this.underWay.all())
      if (isHome(asked.dataspace)) this.askAgain(id, asked, newLeader, nowMs);
  }

  /** A new leader knows only of locks that are held. */
  protected unlockAgain(dataspace: bigint, newLeader: boolean): void {
    if (newLeader) this.unlocks.forget(dataspace);
    else
      for (const { unlock } of this.unlocks.of(dataspace))
        this.say(dataspace, { case: 'unlock', value: unlock });
  }

  /** A new leader knows of no waits. */
  protected withdrawAgain(isHome: (dataspace: bigint) => boolean, newLeader: boolean): void {
    if (newLeader) this.withdrawals.heard(isHome);
    for (const { request, dataspace } of this.withdrawals.of(isHome))
      this.say(dataspace, { case: 'cancelWait', value: { request } });
  }

  private askAgain(id: bigint, asked: UnderWay, newLeader: boolean, nowMs: number): void {
    if (!asked.registered) {
      asked.repeated = true;
      if (asked.event?.case === 'barrier') asked.event.value.again = true;
      this.say(asked.dataspace, asked.event);
      return;
    }
    // It may have been woken, and the wake lost: it looks at its word again.
    this.underWay.remove(id);
    this.answerWait(asked, SyncStatus.OK);
    if (!newLeader) this.sayWithdrawn(id, asked.dataspace, nowMs);
  }

  /** A new leader hears of what is held. */
  protected reclaim(isHome: (dataspace: bigint) => boolean): void {
    this.late.forgetReclaims(isHome);
    for (const { owner, dataspace, ranges } of this.held.of(isHome)) {
      for (const { begin, end, mode } of ranges) {
        const request = this.next++;
        this.late.reclaim(request, { owner, dataspace });
        const value = { request, dataspace, owner, begin, end, mode: lockWire.to(mode), reclaim: true };
        this.say(dataspace, { case: 'lock', value });
      }
    }
  }

  protected tellBarriers(isHome: (dataspace: bigint) => boolean, nowMs: number): void {
    for (const word of this.barriers.words(isHome, nowMs))
      this.say(word.dataspace, { case: 'barrierWord', value: { ...word, members: [...word.members] } });
  }

  private removed(dataspace: bigint): void {
    for (const { owner } of this.held.of((id) => id === dataspace)) this.held.forget(owner, dataspace);
    this.unlocks.forget(dataspace);
    this.withdrawals.heard((id) => id === dataspace);
    for (const [id, asked] of this.underWay.all()) {
      if (asked.dataspace !== dataspace) continue;
      this.underWay.remove(id);
      this.answerRemoved(asked);
    }
  }

  private answerRemoved(asked: UnderWay): void {
    const { session, request } = asked;
    const status = SyncStatus.NOT_FOUND;
    switch (asked.event?.case) {
      case 'lock': {
        const event = { request, event: { case: 'lock', value: { request, status } } } as const;
        this.actions.push({ type: 'answer', session, event });
        return;
      }
      case 'wait':
        // It looks at its word, and hears there what became of that.
        this.answerWait(asked, SyncStatus.OK);
        return;
      case 'barrier':
        this.answerBarrier(asked, SyncStatus.BROKEN);
        return;
      default: {
        const event = { request, event: { case: 'wake', value: { request, woken: 0 } } } as const;
        this.actions.push({ type: 'answer', session, event });
      }
    }
  }

  private ownerGone(owner: bigint, nowMs: number): void {
    this.barriers.ownerGone(owner, nowMs);
    this.held.forgetOwner(owner);
    this.underWay.removeOwner(owner);
    this.ends.add(owner, nowMs);
    this.actions.push({ type: 'say-all', event: { case: 'ownerGone', value: { owner } } });
  }
}
