// Episodes until so many steps are done, or a property does not hold.
import { type Counts, type EpisodeOptions, type Failure, runEpisode } from './episode.ts';
import { PROFILES, type ProfileName } from './profiles.ts';
import { Random } from './random.ts';

export interface SimulateOptions extends Omit<EpisodeOptions, 'profile'> {
  steps: number;
  /** Undefined: all of them in turn. */
  profile?: ProfileName | undefined;
  progress?: ((steps: number) => void) | undefined;
}

export interface Result {
  counts: Counts;
  episodes: number;
  failure: (Failure & { profile: ProfileName; replay: string }) | undefined;
}

const NAMES = Object.keys(PROFILES) as ProfileName[];

/** The first episode has the seed itself, so the seed of a later one replays it as the first. */
export function simulate(options: SimulateOptions): Result {
  const seeds = new Random(options.seed);
  const counts: Counts = {
    steps: 0,
    simulatedMs: 0,
    reads: 0,
    writes: 0,
    locks: 0,
    syncs: 0,
    barriers: 0,
    broken: 0,
    restored: 0,
    lost: 0,
    directories: 0,
  };
  let seed = options.seed;
  let episodes = 0;
  while (counts.steps < options.steps) {
    const profile = options.profile ?? NAMES[episodes % NAMES.length]!;
    const run = runEpisode({ ...options, seed, profile: PROFILES[profile] });
    episodes++;
    for (const key of Object.keys(counts) as (keyof Counts)[]) counts[key] += run.counts[key];
    if (run.failure !== undefined) {
      const failure = { ...run.failure, profile, replay: replayOf(options, seed, profile, run.failure.step) };
      return { counts, episodes, failure };
    }
    options.progress?.(counts.steps);
    seed = seeds.next();
  }
  return { counts, episodes, failure: undefined };
}

function replayOf(
  { nodes, pages, shards, few, renewals, barriers }: SimulateOptions,
  seed: number,
  profile: ProfileName,
  steps: number,
): string {
  const sizes = Object.entries({ nodes, pages, shards, few, renewals }).flatMap(([name, value]) =>
    value === undefined ? [] : [` --${name} ${value}`],
  );
  return `npm run sim -- --seed ${seed} --steps ${steps} --profile ${profile}${sizes.join('')}${barriers ? ' --barriers' : ''}`;
}

/** What a person reads of a failure. */
export function failureText(failure: NonNullable<Result['failure']>): string {
  const { seed, step, profile, property, message, lastEvents, replay } = failure;
  return [
    `FAILED seed=${seed} step=${step} profile=${profile}`,
    `property: ${property}`,
    message,
    'last events (step, time, who, what):',
    ...lastEvents.map((line) => `  ${line}`),
    `replay: ${replay}`,
  ].join('\n');
}
