// What a policy of pageout makes of a log of uses, as a node would carry it out: the policy hears of what comes and of faults, and of no
// other use.
import { PageoutPolicy, type PageoutStep } from '@odonata/coherency/node/pageout/pageout.ts';

/** As `services/pmapd/pageout/pageout.ts` has them, of all frames. */
const LOW_PART = 1 / 16;
const HIGH_PART = 1 / 8;
const INACTIVE_PART = 1 / 8;
const SPACE = 1n;

export interface Replayed {
  /** How often pages came again that had been there. */
  readonly refaults: number;
  /** Faults of pages that were there, as samples. */
  readonly samples: number;
  /** The least and the most frames that were taken when a page came, once some had left. */
  readonly leastFrames: number;
  readonly mostFrames: number;
}

/** @param counts whether a page that comes again is counted; it takes its frame in any case */
export function replay(
  uses: readonly number[],
  frames: number,
  counts: (page: number) => boolean = () => true,
): Replayed {
  const policy = new PageoutPolicy(Math.floor(frames * INACTIVE_PART));
  policy.open(SPACE);
  const [low, high] = [Math.floor(frames * LOW_PART), Math.floor(frames * HIGH_PART)];
  const there = new Set<number>();
  const before = new Set<number>();
  let [refaults, samples, leastFrames, mostFrames] = [0, 0, frames, 0];
  const perform = (steps: readonly PageoutStep[]): void => {
    for (const { type, page } of steps) if (type === 'evict') there.delete(page);
  };
  for (const page of uses) {
    if (there.has(page)) {
      if (!policy.isInactive(SPACE, page)) continue;
      samples++;
      policy.came(SPACE, page);
      continue;
    }
    if (before.has(page) && counts(page)) refaults++;
    before.add(page);
    there.add(page);
    policy.came(SPACE, page);
    if (before.size > there.size) {
      leastFrames = Math.min(leastFrames, there.size);
      mostFrames = Math.max(mostFrames, there.size);
    }
    const free = () => frames - there.size;
    if (free() >= high) continue;
    perform(policy.age(() => 0));
    if (free() < low) perform(policy.reclaim(high - free(), () => 0));
  }
  return { refaults, samples, leastFrames, mostFrames };
}
