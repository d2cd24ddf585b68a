// Leases, locks and waits that do one thing wrong.
import { HolderLease, LeaseTable } from '@odonata/coherency/lease.ts';
import { type LockAnswer, type LockRequest, RangeLocks } from '@odonata/coherency/locks/range-lock.ts';
import type { SyncAnswer } from '@odonata/coherency/locks/sync-desk.ts';
import { type Waiter, Waiters } from '@odonata/coherency/locks/waiters.ts';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import { deskMachines } from '../world/machines.ts';
import { WatchedDesk } from '../world/watched-desk.ts';
import type { Mutant } from './mutant.ts';

class EndlessLease extends HolderLease {
  private begun = false;

  override begin(leaseMs: number, sentMs: number): void {
    super.begin(leaseMs, sentMs);
    this.begun = true;
  }

  override valid(): boolean {
    return this.begun;
  }

  override get endMs(): number {
    return this.begun ? Number.MAX_SAFE_INTEGER : Number.NEGATIVE_INFINITY;
  }
}

class BuriesEarly extends LeaseTable {
  constructor(leaseMs: number) {
    super(leaseMs / 3);
  }
}

class GrantsHeldLocks extends RangeLocks {
  override lock(request: LockRequest, nowMs: number): LockAnswer[] {
    const answers = super.lock(request, nowMs);
    return answers.length > 0 ? answers : [{ request: request.request, owner: request.owner, outcome: 'OK' }];
  }
}

class LosesWakes extends Waiters {
  override wake(dataspace: bigint, offset: bigint, count: number): Waiter[] {
    super.wake(dataspace, offset, count);
    return [];
  }
}

class KeepsLocksOfTheDead extends RangeLocks {
  override release(): LockAnswer[] {
    return [];
  }
}

class HoldsForever extends Lines {
  protected override makeLease(): HolderLease {
    return new EndlessLease();
  }
}

class HeedsLateUnlocks extends WatchedDesk {
  override unlock(dataspace: bigint, owner: bigint, begin: bigint, end: bigint): SyncAnswer[] {
    return super.unlock(dataspace, owner, begin, end, 0n);
  }
}

export const LEASE_MUTANTS: readonly Mutant[] = [
  {
    name: 'no lease check at the holder',
    profile: 'partition',
    machines: { lines: (options, inherited) => new HoldsForever(options, inherited) },
  },
  {
    name: 'directory buries too early',
    profile: 'partition',
    machines: { leases: (ms) => new BuriesEarly(ms) },
  },
  { name: 'lock granted while held', profile: 'calm', machines: { locks: () => new GrantsHeldLocks() } },
  { name: 'wake lost', profile: 'calm', machines: { waiters: () => new LosesWakes() } },
  { name: 'locks of the dead stay', profile: 'faulty', machines: { locks: () => new KeepsLocksOfTheDead() } },
  {
    name: 'late unlocks undo locks',
    profile: 'succession',
    seed: 2_821_331_887,
    ...{ nodes: 2, pages: 1, shards: 1 },
    machines: {
      desk(watch) {
        return new HeedsLateUnlocks(deskMachines(this), watch);
      },
    },
  },
];

export const DUTY_MUTANTS: readonly Mutant[] = [
  { name: 'no watch in virtual kernels', profile: 'partition', duties: { watchDeadline: false } },
  { name: 'leftovers are not emptied', profile: 'faulty', duties: { emptyLeftovers: false } },
];
