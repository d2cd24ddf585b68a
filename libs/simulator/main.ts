// `npm run sim`: runs the protocol's machines under faults from a seed.
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { PROFILES, type ProfileName } from './profiles.ts';
import { failureText, simulate } from './simulate.ts';

const EXIT = { HELD: 0, VIOLATED: 1, USAGE: 2 } as const;

const HELP = `Runs the state machines of the coherency protocol in simulated clusters, and checks what they promise.

Usage: npm run sim -- [options]

  --seed S       replays exactly; without it a fresh seed is taken and printed
  --steps N      at least so many steps (default 1000000)
  --profile P    ${Object.keys(PROFILES).join(', ')}; without it all of them in turn
  --nodes N      1 to 8 (default: by the seed)
  --pages N      1 to 64 (default: by the seed)
  --shards N     1 to 8 (default: 2 to 4, by the seed)
  --few N        so many holders at most are told of an invalidation on their streams, more by a broadcast: 0 to 8
                 (default: 0 or 2, by the seed)
  --renewals N   of each lease: 1 to 12 (default: as shipped; 6: as services of before)
  --barriers     processes that meet at barriers, besides the others
  --trace        prints each event
  --json         prints the summary as JSON
  --help

Exit codes: ${EXIT.HELD} every property held, ${EXIT.VIOLATED} one did not (seed, step and last events are printed), ${EXIT.USAGE} wrong usage

Examples:
  npm run sim                                              a million steps of a fresh seed
  npm run sim -- --profile failover --steps 5000000        where the directory changes all the time
  npm run sim -- --seed 42 --profile faulty --steps 1      one cluster, again
  npm run sim -- --seed 42 --profile faulty --steps 1 --trace | less`;

class UsageError extends Error {}

function number(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new UsageError(`--${name} ${text}: a whole number from ${min} to ${max}`);
  return value;
}

function options() {
  let values: Record<string, string | boolean | undefined>;
  try {
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean' } as const;
    values = parseArgs({
      options: {
        seed: text,
        steps: text,
        profile: text,
        nodes: text,
        pages: text,
        shards: text,
        few: text,
        renewals: text,
        barriers: flag,
        trace: flag,
        json: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const string = (name: string) => values[name] as string | undefined;
  const profile = string('profile');
  if (profile !== undefined && !Object.hasOwn(PROFILES, profile))
    throw new UsageError(`--profile ${profile}: one of ${Object.keys(PROFILES).join(', ')}`);
  return {
    seed: number('seed', string('seed'), 0, 2 ** 32 - 1) ?? randomInt(2 ** 32),
    steps: number('steps', string('steps'), 1, 1e12) ?? 1_000_000,
    profile: profile as ProfileName | undefined,
    nodes: number('nodes', string('nodes'), 1, 8),
    pages: number('pages', string('pages'), 1, 64),
    shards: number('shards', string('shards'), 1, 8),
    few: number('few', string('few'), 0, 8),
    renewals: number('renewals', string('renewals'), 1, 12),
    barriers: values['barriers'] === true,
    trace: values['trace'] === true,
    json: values['json'] === true,
    help: values['help'] === true,
  };
}

function main(): number {
  const { trace, json, help, ...asked } = options();
  if (help) {
    console.log(HELP);
    return EXIT.HELD;
  }
  if (!json) console.log(`seed ${asked.seed}`);
  const startMs = performance.now();
  const { isTTY } = process.stderr;
  const clear = () => isTTY && process.stderr.write('\r\x1b[K');
  const result = simulate({
    ...asked,
    trace: trace ? (line) => console.log(line) : undefined,
    progress: isTTY ? (steps) => process.stderr.write(`\r\x1b[K${steps} of ${asked.steps} steps`) : undefined,
  });
  clear();
  const seconds = (performance.now() - startMs) / 1_000;
  const { counts, episodes, failure } = result;
  const stepsPerSecond = Math.round(counts.steps / seconds);
  if (json) console.log(JSON.stringify({ seed: asked.seed, episodes, ...counts, stepsPerSecond, failure }));
  else if (failure !== undefined) console.log(failureText(failure));
  else
    console.log(
      `held: ${counts.steps} steps of ${episodes} clusters (${stepsPerSecond} a second), ${counts.reads} reads, ` +
        `${counts.writes} writes, ${counts.locks} locks, ${counts.syncs} syncs, ${counts.restored} pages read back, ${counts.directories} directories, ` +
        `${counts.lost} accesses to lost pages`,
    );
  return failure === undefined ? EXIT.HELD : EXIT.VIOLATED;
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`sim: ${error.message}; see npm run sim -- --help`);
  process.exitCode = EXIT.USAGE;
}
