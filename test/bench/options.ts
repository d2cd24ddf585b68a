// The command line of the bench.
import { parseArgs } from 'node:util';
import { LAYERS, type LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import { EXIT, explain, Failure } from '../../services/vkctl/failure.ts';

export const PART_NAMES = [
  'bulk',
  'busy',
  'calls',
  'compute',
  'directory',
  'faults',
  'handover',
  'identity',
  'locks',
  'paging',
  'parallel',
  'peers',
  'processes',
  'sequential',
  'sharing',
  'snapshots',
  'start',
  'syslink',
  'vmspaces',
  'walls',
] as const;
export type PartName = (typeof PART_NAMES)[number];

/** Of `test/guests/parallel`. */
export const PROGRAM_NAMES = ['matrix', 'tsp', 'kmeans', 'jacobi', 'quicksort', 'words'] as const;
export type ProgramName = (typeof PROGRAM_NAMES)[number];

export interface Options {
  only: PartName[];
  quick: boolean;
  /** Of faults and of the sequential read: where their time goes. */
  profile: boolean;
  /** The walls that the part `walls` does without. */
  without: readonly LayerName[];
  /** What the part `parallel` runs. */
  programs: readonly ProgramName[];
  /** Where the JSON goes; undefined: nowhere. */
  json: string | undefined;
  /** Where the page goes; undefined: nowhere. */
  html: string | undefined;
}

export const HELP = `Measures Odonata on this machine; the figures hold for this machine in this state.

Usage: npm run bench -- [--only PART[,PART]] [--quick] [--profile] [--without LAYER[,LAYER]] [--program NAME]
                        [--json FILE] [--html FILE]

  --only     bulk, busy, calls, compute, directory, faults, handover, identity, locks, paging, parallel, peers,
             processes, sequential, sharing, snapshots, start, syslink, vmspaces, walls;
             all where it is missing
  --quick    one short run of each: shows that the bench works, its figures mean little
  --profile  of faults and the sequential read: where their time goes, by process and function; the services run from their sources
  --without  of walls: leaves out these walls only, of ${LAYERS.join(', ')}
  --program  of parallel: this program only, repeatable, of ${PROGRAM_NAMES.join(', ')}
  --json     writes everything that was measured to FILE
  --html     the same as a page with charts, to FILE
  --help     this text

An option that is of other parts than --only names is refused.

Exit codes: 0 measured (whether targets are met or not), 1 something broke, 2 usage, 130 interrupted
`;

/** 'help', or what was asked for. @throws Failure with the usage code */
export function parseOptions(argv: string[]): Options | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    only: text,
    json: text,
    html: text,
    without: text,
    program: { ...text, multiple: true },
    quick: flag,
    profile: flag,
    help: { ...flag, short: 'h' },
  } as const;
  const { values } = orUsage(() => parseArgs({ args: argv, options, strict: true }));
  if (values.help) return 'help';
  const only = [...new Set(values.only?.split(',').map(partName) ?? PART_NAMES)];
  for (const [option, parts] of OF_PARTS)
    if (values[option] !== undefined && !parts.some((part) => only.includes(part)))
      throw usage(
        `--${option}: is of the ${parts.length === 1 ? 'part' : 'parts'} ${parts.join(' and ')}, which --only leaves out`,
      );
  const without = values.without?.split(',').map(layerName) ?? LAYERS;
  const programs = values.program?.map(programName) ?? PROGRAM_NAMES;
  const { quick = false, profile = false } = values;
  return { only, quick, profile, without, programs, json: values.json, html: values.html };
}

/** Options that say nothing to any other part. */
const OF_PARTS = [
  ['profile', ['faults', 'sequential']],
  ['without', ['walls']],
  ['program', ['parallel']],
] as const satisfies [string, PartName[]][];

function layerName(text: string): LayerName {
  const name = LAYERS.find((each) => each === text);
  if (name !== undefined) return name;
  throw usage(`--without: "${text}" is no wall; there are ${LAYERS.join(', ')}`);
}

function programName(text: string): ProgramName {
  const name = PROGRAM_NAMES.find((each) => each === text);
  if (name !== undefined) return name;
  throw usage(`--program: "${text}" is no program; there are ${PROGRAM_NAMES.join(', ')}`);
}

function partName(text: string): PartName {
  const name = PART_NAMES.find((each) => each === text);
  if (name !== undefined) return name;
  throw usage(`--only: "${text}" is no part; there are ${PART_NAMES.join(', ')}`);
}

const usage = (problem: string): Failure => new Failure(problem, { exitCode: EXIT.usage });

function orUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new Failure(cause instanceof Error ? cause.message : explain(cause), {
      exitCode: EXIT.usage,
      cause,
    });
  }
}
