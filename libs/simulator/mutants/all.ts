import { DIRECTORY_MUTANTS } from './directory.ts';
import { DURABLE_MUTANTS } from './durable.ts';
import { FAULT_MUTANTS } from './faults.ts';
import { HOLDER_MUTANTS } from './holder.ts';
import { DUTY_MUTANTS, LEASE_MUTANTS } from './leases-and-locks.ts';
import { LEAVING_MUTANTS } from './leaving.ts';
import { LINE_MUTANTS } from './lines.ts';
import type { Mutant } from './mutant.ts';
import { POOL_MUTANTS } from './pool.ts';
import { RELAY_MUTANTS } from './relay.ts';
import { REPLACED_MUTANTS } from './replaced.ts';
import { REPLICA_MUTANTS } from './replica.ts';
import { SHARD_MUTANTS } from './shards.ts';

export const MUTANTS: readonly Mutant[] = [
  ...DIRECTORY_MUTANTS,
  ...HOLDER_MUTANTS,
  ...FAULT_MUTANTS,
  ...LEASE_MUTANTS,
  ...DUTY_MUTANTS,
  ...DURABLE_MUTANTS,
  ...SHARD_MUTANTS,
  ...LEAVING_MUTANTS,
  ...REPLACED_MUTANTS,
  ...LINE_MUTANTS,
  ...RELAY_MUTANTS,
  ...REPLICA_MUTANTS,
  ...POOL_MUTANTS,
];
