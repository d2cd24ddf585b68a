// Range locks and waiters of all dataspaces: which holder gets which answer.
import type { LockAnswer, LockMode, LockOutcome } from '@odonata/coherency/range-lock.ts';
import { RangeLocks } from '@odonata/coherency/range-lock.ts';
import { Waiters } from '@odonata/coherency/waiters.ts';

export type SyncAnswer =
  | { type: 'lock'; holder: number; request: bigint; outcome: LockOutcome }
  | {
      type: 'wait';
      holder: number;
      request: bigint;
      outcome: 'REGISTERED' | 'OK' | 'TIMED_OUT' | 'EXHAUSTED';
    }
  | { type: 'wake'; holder: number; request: bigint; woken: number };

export interface LockAsk {
  request: bigint;
  dataspace: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
  owner: bigint;
  timeoutMs: number;
  /** Held already under an earlier directory. */
  reclaim: boolean;
}

export class SyncDesk {
  private readonly locks = new Map<bigint, RangeLocks>();
  private readonly waiters = new Waiters();
  /** Where the owners live. */
  private readonly holderOf = new Map<bigint, number>();

  lock(holder: number, ask: LockAsk, nowMs: number): SyncAnswer[] {
    const locks = this.locks.get(ask.dataspace) ?? new RangeLocks();
    this.locks.set(ask.dataspace, locks);
    this.holderOf.set(ask.owner, holder);
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
      locks.reclaim(request);
      return [];
    }
    return this.answers(locks.lock(request, nowMs));
  }

  unlock(dataspace: bigint, owner: bigint, begin: bigint, end: bigint): SyncAnswer[] {
    return this.answers(this.locks.get(dataspace)?.unlock(owner, begin, end) ?? []);
  }

  wait(
    holder: number,
    ask: { request: bigint; dataspace: bigint; offset: bigint; owner: bigint; timeoutMs: number },
    nowMs: number,
  ): SyncAnswer[] {
    const deadlineMs = ask.timeoutMs < 0 ? Number.POSITIVE_INFINITY : nowMs + ask.timeoutMs;
    const added = this.waiters.add(ask.dataspace, ask.offset, {
      request: ask.request,
      owner: ask.owner,
      holder,
      deadlineMs,
    });
    return [{ type: 'wait', holder, request: ask.request, outcome: added ? 'REGISTERED' : 'EXHAUSTED' }];
  }

  cancelWait(holder: number, request: bigint): void {
    this.waiters.remove((w) => w.holder === holder && w.request === request);
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

  ownerGone(owner: bigint): SyncAnswer[] {
    this.waiters.remove((w) => w.owner === owner);
    this.holderOf.delete(owner);
    return [...this.locks.values()].flatMap((locks) => this.answers(locks.release(owner)));
  }

  holderGone(holder: number): SyncAnswer[] {
    const owners = [...this.holderOf].filter(([, at]) => at === holder).map(([owner]) => owner);
    this.waiters.remove((w) => w.holder === holder);
    return owners.flatMap((owner) => this.ownerGone(owner));
  }

  removeDataspace(dataspace: bigint): void {
    this.locks.delete(dataspace);
  }

  lockCount(dataspace: bigint): number {
    return this.locks.get(dataspace)?.heldCount ?? 0;
  }

  tick(nowMs: number): SyncAnswer[] {
    const locks = [...this.locks.values()].flatMap((l) => this.answers(l.tick(nowMs)));
    const late = this.waiters.remove((w) => w.deadlineMs <= nowMs);
    return [
      ...locks,
      ...late.map((w) => ({
        type: 'wait' as const,
        holder: w.holder,
        request: w.request,
        outcome: 'TIMED_OUT' as const,
      })),
    ];
  }

  private answers(answers: LockAnswer[]): SyncAnswer[] {
    return answers.flatMap(({ request, owner, outcome }) => {
      const holder = this.holderOf.get(owner);
      return holder === undefined ? [] : [{ type: 'lock', holder, request, outcome }];
    });
  }
}
