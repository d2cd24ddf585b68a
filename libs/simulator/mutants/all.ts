import { DIRECTORY_MUTANTS } from './directory.ts';
import { HOLDER_MUTANTS } from './holder.ts';
import { DUTY_MUTANTS, LEASE_MUTANTS } from './leases-and-locks.ts';
import type { Mutant } from './mutant.ts';

export const MUTANTS: readonly Mutant[] = [
  ...DIRECTORY_MUTANTS,
  ...HOLDER_MUTANTS,
  ...LEASE_MUTANTS,
  ...DUTY_MUTANTS,
];
