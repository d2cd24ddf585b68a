// Each fault in the protocol is found, within so many steps of seeds that the protocol itself passes.
import { expect, test } from 'vitest';
import { MUTANTS } from './mutants/all.ts';
import { PROFILES, type ProfileName } from './profiles.ts';
import { simulate } from './simulate.ts';

const SEED = 20_060_902;
const STEPS = 600_000;
// Mutants say where broadcasts tell all: those that break something of broadcasts show there only.

/** Within how many steps those of a profile were found. */
const foundIn = new Map<ProfileName, number>();

for (const { name, ...mutant } of MUTANTS.filter(({ seldom }) => !seldom)) {
  test(`found: ${name}`, { timeout: 120_000 }, () => {
    const { failure, counts } = simulate({ seed: SEED, steps: STEPS, few: 0, renewals: 3, ...mutant });
    expect(failure, `${counts.steps} steps`).toBeDefined();
    foundIn.set(mutant.profile, Math.max(foundIn.get(mutant.profile) ?? 0, counts.steps));
    const { seed, machines: _, duties: __, ...cluster } = mutant;
    if (seed !== undefined)
      expect(simulate({ few: 0, renewals: 3, ...cluster, seed, steps: 1 }).failure).toBeUndefined();
  });
}

for (const profile of Object.keys(PROFILES) as ProfileName[])
  test(`the protocol passes the steps in which they were found (${profile})`, { timeout: 120_000 }, () => {
    const steps = foundIn.get(profile) ?? 0;
    expect(simulate({ seed: SEED, steps, profile, few: 0 }).failure).toBeUndefined();
  });
