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

export interface Options {
  only: PartName[];
  quick: boolean;
  /** Of faults and of the sequential read: where their time goes. */
  profile: boolean;
  /** The walls that the part `walls` does without. */
  without: readonly LayerName[];
  /** Where the JSON goes; undefined: nowhere. */
  json: string | undefined;
  /** Where the page goes; undefined: nowhere. */
  html: string | undefined;
}

export const HELP = `Measures Odonata on this machine; the figures hold for this machine in this state.

Usage: npm run bench -- [--only PART[,PART]] [--quick] [--profile] [--without LAYER[,LAYER]] [--json FILE] [--html FILE]

  --only     bulk, busy, calls, compute, directory, faults, handover, identity, locks, paging, parallel, peers,
             processes, sequential, sharing, snapshots, start, syslink, vmspaces, walls;
             all where it is missing
  --quick    one short run of each: shows that the bench works, its figures mean little
  --profile  of faults and the sequential read: where their time goes, by process and function; the services run from their sources
  --without  of walls: leaves out these walls only, of ${LAYERS.join(', ')}
  --json     writes everything that was measured to FILE
  --html     the same as a page with charts, to FILE
  --help     this text

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
    quick: flag,
    profile: flag,
    help: { ...flag, short: 'h' },
  } as const;
  const { values } = orUsage(() => parseArgs({ args: argv, options, strict: true }));
  if (values.help) return 'help';
  const only = values.only?.split(',').map(partName) ?? [...PART_NAMES];
  const without = values.without?.split(',').map(layerName) ?? LAYERS;
  const { quick = false, profile = false } = values;
  if (profile && !only.includes('faults') && !only.includes('sequential'))
    throw new Failure('--profile: is of the parts faults and sequential, which --only leaves out', {
      exitCode: EXIT.usage,
    });
  return { only, quick, profile, without, json: values.json, html: values.html };
}

function layerName(text: string): LayerName {
  const name = LAYERS.find((each) => each === text);
  if (name !== undefined) return name;
  throw new Failure(`--without: "${text}" is no wall; there are ${LAYERS.join(', ')}`, {
    exitCode: EXIT.usage,
  });
}

function partName(text: string): PartName {
  const name = PART_NAMES.find((each) => each === text);
  if (name !== undefined) return name;
  throw new Failure(`--only: "${text}" is no part; there are ${PART_NAMES.join(', ')}`, {
    exitCode: EXIT.usage,
  });
}

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
