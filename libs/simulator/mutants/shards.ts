// Several shards, each with a leader, an epoch and a lease of its own, with one thing wrong.
import type { Mutant } from './mutant.ts';

export const SHARD_MUTANTS: readonly Mutant[] = [
  {
    name: 'the epoch of one shard counts for another',
    profile: 'failover',
    seed: 1_313_605_659,
    duties: { epochOfShard: false },
  },
  { name: 'pages of a shard without a lease stay', profile: 'partition', duties: { takeLapsed: false } },
  {
    name: 'pages under locks without a lease',
    profile: 'partition',
    seed: 2_054_698_388,
    duties: { heedHome: false },
  },
  { name: 'locks at any shard', profile: 'calm', duties: { lockAtHome: false } },
];
