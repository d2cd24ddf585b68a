// cohd's desk of range locks and waiters, fed with the simulated messages, and watched by the checker of locks.
import type { HolderId } from '@odonata/coherency/page.ts';
import type { LockAnswer, RangeLocks } from '@odonata/coherency/range-lock.ts';
import { type SyncAnswer as DeskAnswer, type LockAsk, SyncDesk } from '@odonata/coherency/sync-desk.ts';
import type { SyncAnswer, SyncAsk } from '../messages.ts';
import type { World } from '../world.ts';

export class LockDesk extends SyncDesk {
  private readonly world: World;
  private readonly shard: number;
  private readonly epoch: number;

  constructor(world: World, { shard, epoch }: { shard: number; epoch: number }) {
    super(world.machines);
    this.world = world;
    this.shard = shard;
    this.epoch = epoch;
    world.locks.newDirectory(shard);
  }

  apply(holder: HolderId, ask: SyncAsk, nowMs: number): SyncAnswer[] {
    this.note('hears', ask);
    switch (ask.type) {
      case 'lock':
        return this.lock(holder, { ...ask.ask, reclaim: ask.reclaim }, nowMs);
      case 'unlock': {
        const { dataspace, owner, begin, end, request } = ask;
        const order = this.world.duties.dropLateUnlocks ? request : 0n;
        return [...this.unlock(dataspace, owner, begin, end, order), { type: 'done', holder, request }];
      }
      case 'wait':
        return this.wait(holder, { ...ask, timeoutMs: -1 }, nowMs);
      case 'cancelWait':
        this.cancelWait(holder, ask.request);
        return [];
      case 'wake':
        return this.wake(holder, ask);
      case 'ownerGone':
        return [...this.ownerGone(ask.owner), { type: 'done', holder, request: ask.request }];
    }
  }

  // Of an old directory that goes on, the order does not count.
  private get newest(): boolean {
    return this.epoch === this.world.leaderOf(this.shard).epoch;
  }

  private note(what: string, about: object): void {
    this.world.history.note(this.world, 'locks', what, undefined, about);
  }

  override lock(holder: HolderId, ask: LockAsk, nowMs: number): DeskAnswer[] {
    if (!ask.reclaim && this.newest) this.world.locks.asked(ask);
    return super.lock(holder, ask, nowMs);
  }

  override ownerGone(owner: bigint): DeskAnswer[] {
    if (this.newest) this.world.locks.ownerGone(owner, this.shard);
    return super.ownerGone(owner);
  }

  protected override answers(dataspace: bigint, locks: RangeLocks, answers: LockAnswer[]): DeskAnswer[] {
    for (const { request, owner, outcome } of answers) {
      this.note('answers', { request, owner, outcome });
      if (this.newest) this.world.locks.answered(dataspace, request, owner, outcome);
    }
    return super.answers(dataspace, locks, answers);
  }
}
