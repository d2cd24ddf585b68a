// Relays of range locks, waits and wakes that do one thing wrong.
import { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { SyncSnapshotInit } from '@odonata/coherency/node/relay/relay-snapshot.ts';
import type { Mutant } from './mutant.ts';

class UnlocksOnce extends Relay {
  protected override unlockAgain(dataspace: bigint, newLeader: boolean): void {
    if (newLeader) super.unlockAgain(dataspace, newLeader);
  }
}

/** Takes any renewal for proof that an unlock was heard. */
class ConfirmsEarly extends Relay {
  protected override isConfirmed(): boolean {
    return true;
  }
}

class TellsNoNewLeader extends Relay {
  protected override reclaim(): void {}
}

/** Forgets a lock that may be granted still, to nobody. */
class GivesUpForGood extends Relay {
  protected override mayBeGrantedStill(): boolean {
    return false;
  }
}

class BelievesFormerLeaders extends Relay {
  protected override isByLeader(): boolean {
    return true;
  }
}

class HandsNoLocksOver extends Relay {
  override snapshot(sessions: readonly number[]): SyncSnapshotInit {
    return { ...super.snapshot(sessions), held: [] };
  }
}

export const RELAY_MUTANTS: readonly Mutant[] = [
  { name: 'unlock said once', profile: 'faulty', machines: { relay: (shards) => new UnlocksOnce(shards) } },
  {
    name: 'an unlock is taken for heard too early',
    profile: 'faulty',
    seed: 3_822_392_888,
    ...{ nodes: 3, pages: 2, shards: 2 },
    machines: { relay: (shards) => new ConfirmsEarly(shards) },
  },
  {
    name: 'a new leader is not told of locks',
    profile: 'failover',
    machines: { relay: (shards) => new TellsNoNewLeader(shards) },
  },
  {
    name: 'a lock is granted to nobody',
    seldom: true,
    profile: 'failover',
    machines: { relay: (shards) => new GivesUpForGood(shards) },
  },
  {
    name: 'a former leader grants a lock',
    profile: 'failover',
    seed: 2_425_439_326,
    machines: { relay: (shards) => new BelievesFormerLeaders(shards) },
  },
  {
    name: 'goes on without its locks',
    profile: 'replacement',
    machines: { relay: (shards) => new HandsNoLocksOver(shards) },
  },
];
