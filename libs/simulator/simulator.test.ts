// The protocol under fresh seeds; a failure prints its seed and how to replay it.
import { randomInt } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { runEpisode } from './episode.ts';
import { PROFILES, type ProfileName } from './profiles.ts';
import { failureText, simulate } from './simulate.ts';

const STEPS_EACH: Record<ProfileName, number> = {
  calm: 100_000,
  faulty: 400_000,
  partition: 300_000,
  failover: 300_000,
  succession: 300_000,
  upgrade: 300_000,
  replacement: 300_000,
  shortage: 300_000,
};

describe('fresh seeds', () => {
  for (const [name, steps] of Object.entries(STEPS_EACH)) {
    test(`${name}: ${steps} steps`, { timeout: 90_000 }, () => {
      const { failure, counts } = simulate({ seed: randomInt(2 ** 32), steps, profile: name as ProfileName });
      if (failure !== undefined) throw new Error(failureText(failure));
      expect(counts.steps).toBeGreaterThanOrEqual(steps);
      // Nothing is proved by processes that do nothing.
      expect(counts.reads).toBeGreaterThan(steps / 100);
      expect(counts.locks).toBeGreaterThan(steps / 1_000);
    });
  }
});

test('the same seed gives the same events', () => {
  const run = (): string[] => {
    const lines: string[] = [];
    runEpisode({ seed: 42, profile: PROFILES.faulty, trace: (line) => lines.push(line) });
    return lines;
  };
  const first = run();
  expect(first.length).toBeGreaterThan(1_000);
  expect(run()).toEqual(first);
});

test('without faults nothing is lost', () => {
  const { counts } = simulate({ seed: 1, steps: 50_000, profile: 'calm' });
  expect(counts.lost).toBe(0);
});

describe('pages that come late are not taken', () => {
  test('by a node that said goodbye', () => {
    expect(simulate({ seed: 3_108_706_979, steps: 1, profile: 'upgrade', few: 0 }).failure).toBeUndefined();
  });

  test('by a node that one shard let go, and another did not yet', () => {
    const sizes = { nodes: 4, pages: 6, shards: 2 };
    expect(
      simulate({ seed: 1_824_016_653, steps: 1, profile: 'succession', few: 0, ...sizes }).failure,
    ).toBeUndefined();
  });
});

test('what a replica noted before it was started anew, and comes late, is not kept', () => {
  const sizes = { nodes: 3, pages: 2, shards: 2 };
  expect(
    simulate({ seed: 3_103_561_215, steps: 1, profile: 'failover', few: 0, ...sizes }).failure,
  ).toBeUndefined();
});
