// Barriers that do one thing wrong.
import {
  type Arrival,
  type BarrierAnswer,
  Barriers,
  type BarrierWord,
} from '@odonata/coherency/locks/barriers.ts';
import { PassedBarriers } from '@odonata/coherency/node/relay/passed-barriers.ts';
import { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { Mutant } from './mutant.ts';

class PassesOneEarly extends Barriers {
  override arrive(holder: number, arrival: Arrival, nowMs: number): BarrierAnswer[] {
    return super.arrive(holder, { ...arrival, count: arrival.count - 1 }, nowMs);
  }
}

class KeepsTheDead extends Barriers {
  override ownerGone(): BarrierAnswer[] {
    return [];
  }

  override holderGone(): BarrierAnswer[] {
    return [];
  }
}

/** Nothing stays of a barrier when the nodes of its last members are taken for dead. */
class ForgetsWhoMayReturn extends Barriers {
  protected override mayBeAsked(): boolean {
    return false;
  }
}

class ForgetsGenerations extends PassedBarriers {
  override words(): [] {
    return [];
  }
}

class ForgetsWhoDiedWaiting extends PassedBarriers {
  override words(isWanted: (dataspace: bigint) => boolean, nowMs: number): BarrierWord[] {
    return super.words(isWanted, nowMs).filter(({ diedWaiting, passed }) => !diedWaiting || passed > 0n);
  }
}

class RelayWithoutMourning extends Relay {
  protected override readonly barriers = new ForgetsWhoDiedWaiting();
}

class ForgetfulRelay extends Relay {
  protected override readonly barriers = new ForgetsGenerations();
}

export const BARRIER_MUTANTS: readonly Mutant[] = [
  {
    name: 'barrier passed before all came',
    profile: 'calm',
    machines: { barriers: () => new PassesOneEarly() },
  },
  { name: 'barrier waits for the dead', profile: 'faulty', machines: { barriers: () => new KeepsTheDead() } },
  {
    name: 'a new leader is told of no generation that is over',
    profile: 'succession',
    seed: 2_573_473_745,
    machines: { relay: (shards) => new ForgetfulRelay(shards) },
  },
  {
    name: 'a new leader is not told of a member that died while it waited',
    profile: 'upgrade',
    seed: 724_186_819,
    machines: { relay: (shards) => new RelayWithoutMourning(shards) },
  },
  {
    name: 'a barrier that was passed is forgotten with a node that comes back',
    profile: 'faulty',
    seed: 3_765_971_209,
    renewals: 6,
    machines: { barriers: () => new ForgetsWhoMayReturn() },
  },
];
