// Several shards, each with a leader, an epoch and a lease of its own, with one thing wrong.
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import { NodeRoutes, type RoutedAction, type RoutedEvent } from '@odonata/coherency/node/lines/routes.ts';
import { Relay } from '@odonata/coherency/node/relay/relay.ts';
import type { Mutant } from './mutant.ts';

class MixesEpochs extends Lines {
  protected override isOfEpoch(_: unknown, epoch: bigint): boolean {
    return this.byShard.some((shard) => shard.epoch <= epoch);
  }
}

/** Leaves pages of a shard without a lease mapped. */
class KeepsLapsed extends NodeRoutes {
  override of(action: RoutedAction): RoutedEvent[] {
    return action.type === 'suspend' ? [] : super.of(action);
  }
}

/** Uses pages under locks whose leader cannot be trusted any more. */
class ForgetsHome extends NodeRoutes {
  override usable(lines: Lines, dataspace: bigint, page: number, nowMs: number): boolean {
    return lines.usable(dataspace, page, nowMs);
  }

  protected override suspended(shard: number): RoutedEvent[] {
    return [{ part: 'memory', event: { type: 'suspend', shard } }];
  }
}

class AsksAnyShard extends Relay {
  private asks = 0;

  protected override homeOf(dataspace: bigint): number {
    return (super.homeOf(dataspace) + (this.asks++ % 2)) % this.shards;
  }
}

export const SHARD_MUTANTS: readonly Mutant[] = [
  {
    name: 'the epoch of one shard counts for another',
    profile: 'failover',
    machines: { lines: (options, inherited) => new MixesEpochs(options, inherited) },
  },
  {
    name: 'pages of a shard without a lease stay',
    profile: 'partition',
    machines: { routes: (options) => new KeepsLapsed(options) },
  },
  {
    name: 'pages under locks without a lease',
    profile: 'partition',
    seed: 2_626_440_161,
    renewals: 6,
    ...{ nodes: 3, pages: 2, shards: 2 },
    machines: { routes: (options) => new ForgetsHome(options) },
  },
  { name: 'locks at any shard', profile: 'calm', machines: { relay: (shards) => new AsksAnyShard(shards) } },
];
