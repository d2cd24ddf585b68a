// The command line of the scaling run.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EXIT, explain, Failure } from '../../services/vkctl/failure.ts';
import { type Assumptions, assume, assumptionLines } from './projection/assumptions.ts';
import { COST_NAMES, type Costs } from './projection/costs.ts';
import { SERVICE_NAMES, type ServiceName } from './scaled-service.ts';

const REPLICAS_DEFAULT = '1,2,4';
/** More do not fit a machine that also runs the neighbours. */
const REPLICAS_MOST = 16;

export interface Options {
  services: ServiceName[];
  /** Rising. */
  replicas: number[];
  quick: boolean;
  /** Where the JSON goes; '-': standard output; undefined: nowhere. */
  json: string | undefined;
  /** Where the page goes; undefined: nowhere. */
  html: string | undefined;
  /** Where the picture goes; undefined: build/scale/SERVICE.svg */
  svg: string | undefined;
  kubernetes: boolean;
  assumptions: Assumptions;
  /** Of an earlier run, for what this one does not measure. */
  costs: Partial<Costs>;
}

export const HELP = `Scales each service by itself under the same load, and projects the costs to a large cluster.

Usage: npm run scale -- [--service NAME[,NAME]] [--replicas N,N] [--quick] [--json FILE] [--html FILE] [--svg FILE]

  --service     cohd, pmapd, syslinkd, vkerneld; all where it is missing
  --replicas    numbers of replicas, each 1 to ${REPLICAS_MOST}; ${REPLICAS_DEFAULT} where it is missing
  --quick       one short round of each: shows that it works, its figures mean little
  --json        writes everything that was measured to FILE; - writes it to standard output, instead of tables
  --html        writes tables and pictures as a page to FILE
  --svg         writes the picture of the one service to FILE; else they go to build/scale/SERVICE.svg
  --kubernetes  on the cluster of KUBECONFIG, by kubectl scale (cohd, vkerneld)
  --costs       a JSON file of an earlier run: the projection takes from it what this run does not measure
  --assume      NAME=VALUE, repeatable: what the projection assumes
  --help        this text

The projection assumes:
${assumptionLines()}

Examples:
  npm run scale -- --service cohd --replicas 1,2,4
  npm run scale -- --json build/scale/all.json
  npm run scale -- --service syslinkd --costs build/scale/all.json --assume nodes=200 --assume vkernels=20000
  KUBECONFIG=~/.kube/config npm run scale -- --service cohd --replicas 1,2,4 --kubernetes

Exit codes: 0 measured (whether targets are met or not), 1 something broke, 2 usage, 130 interrupted
`;

/** 'help', or what was asked for. @throws Failure with the usage code */
export function parseOptions(argv: string[]): Options | 'help' {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    ...{ service: text, replicas: text, json: text, html: text, svg: text, costs: text },
    ...{ quick: flag, kubernetes: flag, help: { ...flag, short: 'h' } },
    assume: { type: 'string', multiple: true },
  } as const;
  const { values } = orUsage(() => parseArgs({ args: argv, options, strict: true }));
  if (values.help) return 'help';
  const { json, html, svg, quick = false, kubernetes = false } = values;
  const services = [...new Set(values.service?.split(',').map(serviceName) ?? SERVICE_NAMES)];
  if (svg !== undefined && services.length !== 1)
    throw usage(
      `--svg FILE takes one picture, and ${services.length} services have one each; give --service NAME`,
    );
  return {
    ...{ services, json, html, svg, quick, kubernetes },
    replicas: replicasOf(values.replicas ?? REPLICAS_DEFAULT),
    assumptions: assume(values.assume ?? []),
    costs: values.costs === undefined ? {} : costsIn(values.costs),
  };
}

function serviceName(text: string): ServiceName {
  const name = SERVICE_NAMES.find((each) => each === text);
  if (name !== undefined) return name;
  throw usage(`--service: "${text}" is no service; there are ${SERVICE_NAMES.join(', ')}`);
}

function replicasOf(text: string): number[] {
  const counts = text.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN));
  if (counts.some((count) => !(count >= 1 && count <= REPLICAS_MOST)))
    throw usage(
      `--replicas: "${text}" is no list of numbers from 1 to ${REPLICAS_MOST}, as ${REPLICAS_DEFAULT}`,
    );
  return [...new Set(counts)].sort((a, b) => a - b);
}

function costsIn(file: string): Partial<Costs> {
  let report: { costs?: Partial<Costs> };
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw usage(`--costs: ${cause instanceof Error ? cause.message : explain(cause)}`);
  }
  const found = COST_NAMES.filter((name) => typeof report?.costs?.[name] === 'number');
  if (found.length === 0) throw usage(`--costs: "${file}" is no JSON of npm run scale -- --json FILE`);
  return Object.fromEntries(found.map((name) => [name, report.costs![name]]));
}

const usage = (problem: string): Failure => new Failure(problem, { exitCode: EXIT.usage });

function orUsage<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : explain(cause));
  }
}
