// Leases, locks, waits and stores that do one thing wrong.
import { HolderLease, LeaseTable } from '@odonata/coherency/lease.ts';
import { type LockAnswer, type LockRequest, RangeLocks } from '@odonata/coherency/range-lock.ts';
import { type Waiter, Waiters } from '@odonata/coherency/waiters.ts';
import { MemoryStore } from '../durable-store.ts';
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

class BelievesTornPages extends MemoryStore {
  protected override intact(): boolean {
    return true;
  }
}

export const LEASE_MUTANTS: readonly Mutant[] = [
  {
    name: 'no lease check at the holder',
    profile: 'partition',
    machines: { holderLease: () => new EndlessLease() },
  },
  {
    name: 'directory buries too early',
    profile: 'partition',
    machines: { leaseTable: (ms) => new BuriesEarly(ms) },
  },
  { name: 'lock granted while held', profile: 'calm', machines: { locks: () => new GrantsHeldLocks() } },
  { name: 'wake lost', profile: 'calm', machines: { waiters: () => new LosesWakes() } },
  { name: 'locks of the dead stay', profile: 'faulty', machines: { locks: () => new KeepsLocksOfTheDead() } },
  { name: 'torn pages believed', profile: 'faulty', machines: { store: () => new BelievesTornPages() } },
];

export const DUTY_MUTANTS: readonly Mutant[] = [
  { name: 'ignore the epoch', profile: 'failover', seed: 3_072_480, duties: { fenceEpochs: false } },
  { name: 'pages for who is no longer', profile: 'partition', duties: { nameReceiver: false } },
  { name: 'no watch in virtual kernels', profile: 'partition', duties: { watchDeadline: false } },
  { name: 'leftovers are not emptied', profile: 'faulty', duties: { emptyLeftovers: false } },
  { name: 'an old leader renews and buries', profile: 'failover', duties: { proveLeadership: false } },
  { name: 'reports of the buried are believed', profile: 'failover', duties: { refuseBuried: false } },
  { name: 'late reporters live on', profile: 'failover', duties: { buryLateReporters: false } },
  {
    name: 'lost creators are forgotten',
    profile: 'failover',
    seed: 2_031_639_622,
    duties: { noteLostCreators: false },
  },
  { name: 'sync with one copy', profile: 'faulty', duties: { awaitBothStores: false } },
  {
    name: 'late unlocks undo locks',
    profile: 'partition',
    seed: 1_935_385_051,
    duties: { dropLateUnlocks: false },
  },
  {
    name: 'forgetful holders are believed',
    profile: 'failover',
    seed: 1_631_576_464,
    duties: { nameReborn: false },
  },
  { name: 'unlock said once', profile: 'faulty', duties: { repeatUnlock: false } },
];
