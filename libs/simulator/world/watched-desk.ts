// A shard's desk of range locks and waiters, which the checker of locks looks at.
import type { LockAnswer, RangeLocks } from '@odonata/coherency/locks/range-lock.ts';
import {
  type LockAnswered,
  type LockAsk,
  type SyncAnswer,
  SyncDesk,
  type SyncMachines,
} from '@odonata/coherency/locks/sync-desk.ts';
import type { LockChecker } from '../checkers/lock-order.ts';

/** Who looks at a desk. */
export interface DeskWatch {
  readonly shard: number;
  readonly locks: LockChecker;
  /** False at an old leader that goes on: there the order does not count. */
  isNewest(): boolean;
  note(what: string, about: object): void;
}

export class WatchedDesk extends SyncDesk {
  private readonly watch: DeskWatch;

  constructor(machines: SyncMachines, watch: DeskWatch) {
    super(machines);
    this.watch = watch;
    watch.locks.newDirectory(watch.shard);
  }

  override lock(holder: number, ask: LockAsk, nowMs: number): SyncAnswer[] {
    this.watch.note('hears', ask);
    if (!ask.reclaim && this.watch.isNewest()) this.watch.locks.asked(ask);
    return super.lock(holder, ask, nowMs);
  }

  protected override release(owner: bigint): SyncAnswer[] {
    if (this.watch.isNewest()) this.watch.locks.ownerGone(owner, this.watch.shard);
    return super.release(owner);
  }

  protected override answers(dataspace: bigint, locks: RangeLocks, answers: LockAnswer[]): LockAnswered[] {
    for (const { request, owner, outcome } of answers) {
      this.watch.note('answers', { request, owner, outcome });
      if (this.watch.isNewest()) this.watch.locks.answered(dataspace, request, owner, outcome);
    }
    return super.answers(dataspace, locks, answers);
  }
}
