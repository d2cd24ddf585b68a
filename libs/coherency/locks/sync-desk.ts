// Range locks, waiters and barriers of all dataspaces: which holder gets which answer. Pure.
import { type Arrival, type BarrierAnswer, Barriers, type BarrierWord } from './barriers.ts';
import { type LockAnswer, type LockMode, type LockOutcome, RangeLocks } from './range-lock.ts';
import { Waiters } from './waiters.ts';

export type SyncAnswer =
  /** `waited`: not answered in the step in which it was asked. */
  | { type: 'lock'; holder: number; request: bigint; outcome: LockOutcome; waited: boolean }
  | {
      type: 'wait';
      holder: number;
      request: bigint;
      outcome: 'REGISTERED' | 'OK' | 'TIMED_OUT' | 'EXHAUSTED';
    }
  | { type: 'wake'; holder: number; request: bigint; woken: number }
  | BarrierAnswer;

/** An answer to a lock. */
export type LockAnswered = Extract<SyncAnswer, { type: 'lock' }>;

export interface LockAsk {
  request: bigint;
  dataspace: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
  owner: bigint;
  /** Negative: without end. */
  timeoutMs: number;
  /** Held already under an earlier directory. */
  reclaim: boolean;
}

/** Processes of one holder that may have asked for locks or waits: as many as a node has pids. */
export const OWNERS_MAX = 100_000;
/** Dataspaces in which ranges are held, or were. */
export const LOCKED_MAX = 100_000;

interface Owner {
  /** Where it lives. */
  holder: number;
  /** Dataspaces of which it asked for locks. */
  dataspaces: Set<bigint>;
  /** The number of the last lock that it asked for. */
  lastLock: bigint;
}

/** The machines that a desk stands on. */
export interface SyncMachines {
  locks(): RangeLocks;
  waiters(): Waiters;
  barriers(): Barriers;
}

const REAL_MACHINES: SyncMachines = {
  locks: () => new RangeLocks(),
  waiters: () => new Waiters(),
  barriers: () => new Barriers(),
};

export class SyncDesk {
  private readonly machines: SyncMachines;
  private readonly locks = new Map<bigint, RangeLocks>();
  /** Dataspaces in which requests wait: only these have deadlines. */
  private readonly contended = new Set<bigint>();
  private readonly waiters: Waiters;
  private readonly barriers: Barriers;
  private readonly owners = new Map<bigint, Owner>();
  private readonly ownersOf = new Map<number, Set<bigint>>();

  constructor(machines = REAL_MACHINES) {
    this.machines = machines;
    this.waiters = machines.waiters();
    this.barriers = machines.barriers();
  }

  lock(holder: number, ask: LockAsk, nowMs: number): SyncAnswer[] {
    let locks = this.locks.get(ask.dataspace);
    const isFull = (locks === undefined && this.locks.size >= LOCKED_MAX) || this.isFull(holder, ask.owner);
    if (isFull) return [lockAnswer(holder, ask.request, 'EXHAUSTED')];
    if (locks === undefined) {
      locks = this.machines.locks();
      this.locks.set(ask.dataspace, locks);
    }
    const asker = this.owner(holder, ask.owner);
    asker.dataspaces.add(ask.dataspace);
    if (ask.request > asker.lastLock) asker.lastLock = ask.request;
    const deadlineMs = ask.timeoutMs < 0 ? Number.POSITIVE_INFINITY : nowMs + ask.timeoutMs;
    const request = {
      request: ask.request,
      owner: ask.owner,
      begin: ask.begin,
      end: ask.end,
      mode: ask.mode,
      deadlineMs,
    };
    if (ask.reclaim) {
      // Who came too late to say that it held it does not hold it.
      return locks.reclaim(request) ? [] : [lockAnswer(holder, ask.request, 'NOT_FOUND')];
    }
    const atOnce = locks.lock(request, nowMs);
    return this.answers(ask.dataspace, locks, atOnce).map((answer) => {
      return answer.holder === holder && answer.request === ask.request
        ? { ...answer, waited: false }
        : answer;
    });
  }

  /** @param request orders it among the owner's requests; 0n: it is heard once and in order */
  unlock(dataspace: bigint, owner: bigint, begin: bigint, end: bigint, request = 0n): SyncAnswer[] {
    // The echo of one that was heard: a later lock must not be undone by it.
    if (request !== 0n && request < (this.owners.get(owner)?.lastLock ?? 0n)) return [];
    const locks = this.locks.get(dataspace);
    if (locks === undefined) return [];
    return this.answers(dataspace, locks, locks.unlock(owner, begin, end) ?? []);
  }

  wait(
    holder: number,
    ask: { request: bigint; dataspace: bigint; offset: bigint; owner: bigint; timeoutMs: number },
    nowMs: number,
  ): SyncAnswer[] {
    if (this.isFull(holder, ask.owner))
      return [{ type: 'wait', holder, request: ask.request, outcome: 'EXHAUSTED' }];
    const deadlineMs = ask.timeoutMs < 0 ? Number.POSITIVE_INFINITY : nowMs + ask.timeoutMs;
    this.owner(holder, ask.owner);
    const added = this.waiters.add(ask.dataspace, ask.offset, {
      request: ask.request,
      owner: ask.owner,
      holder,
      deadlineMs,
    });
    return [{ type: 'wait', holder, request: ask.request, outcome: added ? 'REGISTERED' : 'EXHAUSTED' }];
  }

  cancelWait(holder: number, request: bigint): void {
    this.waiters.cancel(holder, request);
  }

  wake(
    holder: number,
    ask: { request: bigint; dataspace: bigint; offset: bigint; count: number },
  ): SyncAnswer[] {
    const woken = this.waiters.wake(ask.dataspace, ask.offset, ask.count);
    const answers: SyncAnswer[] = woken.map((w) => ({
      type: 'wait',
      holder: w.holder,
      request: w.request,
      outcome: 'OK',
    }));
    return [...answers, { type: 'wake', holder, request: ask.request, woken: woken.length }];
  }

  arrive(holder: number, arrival: Arrival, nowMs: number): SyncAnswer[] {
    if (this.isFull(holder, arrival.owner))
      return [{ type: 'barrier', holder, request: arrival.request, outcome: 'EXHAUSTED', members: [] }];
    this.owner(holder, arrival.owner);
    return this.barriers.arrive(holder, arrival, nowMs);
  }

  /** What a process that passed a barrier under another leader knows of it. */
  hear(holder: number, word: BarrierWord, nowMs: number): SyncAnswer[] {
    return this.barriers.hear(holder, word, nowMs);
  }

  ownerGone(gone: bigint): SyncAnswer[] {
    return [...this.release(gone), ...this.barriers.ownerGone(gone)];
  }

  protected release(gone: bigint): SyncAnswer[] {
    this.waiters.removeOwner(gone);
    const owner = this.owners.get(gone);
    if (owner === undefined) return [];
    this.owners.delete(gone);
    this.ownersOf.get(owner.holder)?.delete(gone);
    return [...owner.dataspaces].flatMap((dataspace) => {
      const locks = this.locks.get(dataspace);
      if (locks === undefined) return [];
      const answers = this.answers(dataspace, locks, locks.release(gone));
      // Whatever number somebody asks for locks of: nothing of it stays.
      if (locks.isIdle) this.locks.delete(dataspace);
      return answers;
    });
  }

  /** @param died with its processes; else it says anew what they have */
  holderGone(holder: number, died = false): SyncAnswer[] {
    const owners = [...(this.ownersOf.get(holder) ?? [])];
    this.ownersOf.delete(holder);
    const released = owners.flatMap((owner) => this.release(owner));
    return [...released, ...this.barriers.holderGone(holder, died)];
  }

  removeDataspace(dataspace: bigint): void {
    this.locks.delete(dataspace);
    this.contended.delete(dataspace);
    this.barriers.removeDataspace(dataspace);
  }

  lockCount(dataspace: bigint): number {
    return this.locks.get(dataspace)?.heldCount ?? 0;
  }

  /** Nobody waits whose time may end, and no barrier is looked at by the clock. */
  get isQuiet(): boolean {
    return this.contended.size === 0 && !this.waiters.anyTimed && !this.barriers.anyTimed;
  }

  tick(nowMs: number): SyncAnswer[] {
    const locks = [...this.contended].flatMap((dataspace) => {
      const contended = this.locks.get(dataspace)!;
      return this.answers(dataspace, contended, contended.tick(nowMs));
    });
    const late = this.waiters.tick(nowMs);
    return [
      ...locks,
      ...this.barriers.tick(nowMs),
      ...late.map((w) => ({
        type: 'wait' as const,
        holder: w.holder,
        request: w.request,
        outcome: 'TIMED_OUT' as const,
      })),
    ];
  }

  private isFull(holder: number, owner: bigint): boolean {
    return !this.owners.has(owner) && (this.ownersOf.get(holder)?.size ?? 0) >= OWNERS_MAX;
  }

  private owner(holder: number, id: bigint): Owner {
    let owner = this.owners.get(id);
    if (owner === undefined || owner.holder !== holder) {
      // A node that joined anew has another number.
      if (owner !== undefined) this.ownersOf.get(owner.holder)?.delete(id);
      owner = { holder, dataspaces: owner?.dataspaces ?? new Set(), lastLock: owner?.lastLock ?? 0n };
      this.owners.set(id, owner);
      const ofHolder = this.ownersOf.get(holder) ?? new Set();
      this.ownersOf.set(holder, ofHolder.add(id));
    }
    return owner;
  }

  protected answers(dataspace: bigint, locks: RangeLocks, answers: LockAnswer[]): LockAnswered[] {
    if (locks.waitingCount > 0) this.contended.add(dataspace);
    else this.contended.delete(dataspace);
    return answers.flatMap(({ request, owner, outcome }) => {
      const holder = this.owners.get(owner)?.holder;
      return holder === undefined ? [] : [lockAnswer(holder, request, outcome, true)];
    });
  }
}

function lockAnswer(holder: number, request: bigint, outcome: LockOutcome, waited = false): LockAnswered {
  return { type: 'lock', holder, request, outcome, waited };
}
