// The range locks and waiters of a directory: which holder gets which answer.
import type { HolderId } from '@odonata/coherency/page.ts';
import type { LockAnswer, RangeLocks } from '@odonata/coherency/range-lock.ts';
import type { Waiters } from '@odonata/coherency/waiters.ts';
import type { LockAsk, SyncAnswer, SyncAsk } from '../messages.ts';
import type { World } from '../world.ts';

export class LockDesk {
  private readonly world: World;
  private readonly epoch: number;
  private readonly locks = new Map<bigint, RangeLocks>();
  private readonly waiters: Waiters;
  /** By owner, its last request of a lock. */
  private readonly lastAsked = new Map<bigint, bigint>();
  /** Where the owners live. */
  private readonly holderOf = new Map<bigint, HolderId>();

  constructor(world: World, epoch: number) {
    this.world = world;
    this.epoch = epoch;
    this.waiters = world.machines.waiters();
    world.locks.newDirectory();
  }

  apply(holder: HolderId, ask: SyncAsk, nowMs: number): SyncAnswer[] {
    this.note('hears', ask);
    switch (ask.type) {
      case 'lock':
        return this.lock(holder, ask.ask, ask.reclaim, nowMs);
      case 'unlock':
        return [...this.unlock(ask), { type: 'done', holder, request: ask.request }];
      case 'wait': {
        const { request, owner } = ask;
        this.holderOf.set(owner, holder);
        const waiter = { request, owner, holder, deadlineMs: Number.POSITIVE_INFINITY };
        const added = this.waiters.add(ask.dataspace, ask.offset, waiter);
        return [{ type: 'waitResult', holder, request, outcome: added ? 'REGISTERED' : 'EXHAUSTED' }];
      }
      case 'cancelWait':
        this.waiters.cancel(holder, ask.request);
        return [];
      case 'wake': {
        const woken = this.waiters.wake(ask.dataspace, ask.offset, ask.count);
        const answers = woken.map((w): SyncAnswer => {
          return { type: 'waitResult', holder: w.holder, request: w.request, outcome: 'OK' };
        });
        return [...answers, { type: 'done', holder, request: ask.request }];
      }
      case 'ownerGone':
        return [...this.ownerGone(ask.owner), { type: 'done', holder, request: ask.request }];
    }
  }

  // Of an old directory that goes on, the order does not count.
  private get newest(): boolean {
    return this.epoch === this.world.directory.epoch;
  }

  private note(what: string, about: object): void {
    this.world.history.note(this.world, 'locks', what, undefined, about);
  }

  private lock(holder: HolderId, ask: LockAsk, reclaim: boolean, nowMs: number): SyncAnswer[] {
    let locks = this.locks.get(ask.dataspace);
    if (locks === undefined) {
      locks = this.world.machines.locks();
      this.locks.set(ask.dataspace, locks);
    }
    this.holderOf.set(ask.owner, holder);
    const deadlineMs = ask.timeoutMs < 0 ? Number.POSITIVE_INFINITY : nowMs + ask.timeoutMs;
    const { request, owner, begin, end, mode } = ask;
    if (reclaim) {
      // Who came too late to say that it held it does not hold it.
      return locks.reclaim({ request, owner, begin, end, mode, deadlineMs })
        ? []
        : [{ type: 'lockResult', holder, request, outcome: 'NOT_FOUND' }];
    }
    this.lastAsked.set(owner, request);
    if (this.newest) this.world.locks.asked(ask);
    return this.answers(ask.dataspace, locks.lock({ request, owner, begin, end, mode, deadlineMs }, nowMs));
  }

  // Before a lock that was heard all was heard that was said before: this one is said again, and would undo that lock.
  private unlock({
    request,
    dataspace,
    owner,
    begin,
    end,
  }: Extract<SyncAsk, { type: 'unlock' }>): SyncAnswer[] {
    const isEcho = request < (this.lastAsked.get(owner) ?? 0n);
    if (isEcho && this.world.duties.dropLateUnlocks) return [];
    return this.answers(dataspace, this.locks.get(dataspace)?.unlock(owner, begin, end) ?? []);
  }

  private ownerGone(owner: bigint): SyncAnswer[] {
    this.waiters.removeOwner(owner);
    this.holderOf.delete(owner);
    this.lastAsked.delete(owner);
    if (this.newest) this.world.locks.ownerGone(owner);
    return [...this.locks].flatMap(([dataspace, locks]) => this.answers(dataspace, locks.release(owner)));
  }

  holderGone(holder: HolderId): SyncAnswer[] {
    const owners = [...this.holderOf].filter(([, at]) => at === holder).map(([owner]) => owner);
    return owners.flatMap((owner) => this.ownerGone(owner));
  }

  tick(nowMs: number): SyncAnswer[] {
    const late = this.waiters.tick(nowMs);
    return [
      ...[...this.locks].flatMap(([dataspace, locks]) => this.answers(dataspace, locks.tick(nowMs))),
      ...late.map((w): SyncAnswer => {
        return { type: 'waitResult', holder: w.holder, request: w.request, outcome: 'TIMED_OUT' };
      }),
    ];
  }

  private answers(dataspace: bigint, answers: LockAnswer[]): SyncAnswer[] {
    const out: SyncAnswer[] = [];
    for (const { request, owner, outcome } of answers) {
      this.note('answers', { request, owner, outcome });
      if (this.newest) this.world.locks.answered(dataspace, request, owner, outcome);
      const holder = this.holderOf.get(owner);
      if (holder !== undefined) out.push({ type: 'lockResult', holder, request, outcome });
    }
    return out;
  }
}
