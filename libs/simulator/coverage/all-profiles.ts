// What Node's own test runner is run on, to measure which branches of the shipped machines the simulator takes.
import { test } from 'node:test';
import { MANY_PAGES } from '../parts/mapping.ts';
import { PROFILES, type ProfileName } from '../profiles.ts';
import { failureText, simulate } from '../simulate.ts';

const SEED = 20_060_902;
const STEPS = 100_000;

for (const profile of Object.keys(PROFILES) as ProfileName[])
  test(profile, () => {
    const { failure } = simulate({ seed: SEED, steps: STEPS, profile });
    if (failure !== undefined) throw new Error(failureText(failure));
    const met = simulate({ seed: SEED, steps: STEPS / 2, profile, barriers: true }).failure;
    if (met !== undefined) throw new Error(failureText(met));
    const many = simulate({ seed: SEED, steps: STEPS / 5, profile, pages: MANY_PAGES }).failure;
    if (many !== undefined) throw new Error(failureText(many));
  });
