// Barriers that do one thing wrong.
import { type Arrival, type BarrierAnswer, Barriers } from '@odonata/coherency/locks/barriers.ts';
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

class ForgetsGenerations extends PassedBarriers {
  override words(): [] {
    return [];
  }
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
    seed: 1_399_505_306,
    machines: { relay: (shards) => new ForgetfulRelay(shards) },
  },
];
