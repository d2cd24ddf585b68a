// The command line of the chaos run.
import { parseArgs } from 'node:util';
import { EXIT, Failure } from '../../services/vkctl/failure.ts';

export interface Options {
  minutes: number;
  seed: number;
  nodes: number;
  directories: number;
  leaseMs: number;
  json: boolean;
  /** Where the page goes; undefined: nowhere. */
  html: string | undefined;
  keep: boolean;
}

export const HELP = `Breaks a cluster at random while programs share its memory, and checks that no result is wrong.

Usage: npm run chaos -- [--minutes M] [--seed S] [--nodes N] [--directories N] [--lease-ms L] [--json] [--html FILE]

  --minutes      how long things are broken; 1 where it is missing
  --seed         which things, when; a fresh one where it is missing, and always printed
  --nodes        nodes of the cluster; 3
  --directories  replicas of the directory; 3
  --lease-ms     lease of permissions; 1500
  --json         the report as JSON
  --html         the report as a page, to FILE: what was broken when
  --keep         keep the histories and the services' logs when something is wrong, and say where
  --help         this text

As root it runs in a network namespace of its own, where links between processes can be cut.

Exit codes: 0 nothing wrong, 1 a violation or no progress, 2 usage, 130 interrupted

Examples:
  npm run chaos                              one minute, a fresh seed
  npm run chaos -- --minutes 10 --seed 7     the same faults again
`;

/** 'help', or what was asked for. @throws Failure with the usage code */
export function parseOptions(argv: readonly string[]): Options | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    ...{ minutes: text, seed: text, nodes: text, directories: text, 'lease-ms': text, html: text },
    ...{ json: flag, keep: flag, help: { ...flag, short: 'h' } },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...argv], options, strict: true }));
  } catch (cause) {
    throw new Failure(cause instanceof Error ? cause.message : String(cause), {
      exitCode: EXIT.usage,
      cause,
    });
  }
  if (values.help) return 'help';
  return {
    minutes: amount('--minutes', values.minutes ?? '1', 0.05, 10_000),
    seed: whole('--seed', values.seed ?? String(Math.floor(Math.random() * 2 ** 32)), 0, 2 ** 32 - 1),
    nodes: whole('--nodes', values.nodes ?? '3', 2, 16),
    directories: whole('--directories', values.directories ?? '3', 1, 9),
    leaseMs: whole('--lease-ms', values['lease-ms'] ?? '1500', 500, 60_000),
    json: values.json ?? false,
    html: values.html,
    keep: values.keep ?? false,
  };
}

function amount(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new Failure(`${flag}: "${text}" is not a number from ${least} to ${most}`, { exitCode: EXIT.usage });
}

function whole(flag: string, text: string, least: number, most: number): number {
  const value = amount(flag, text, least, most);
  if (Number.isInteger(value)) return value;
  throw new Failure(`${flag}: "${text}" is not a whole number`, { exitCode: EXIT.usage });
}
