import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Cluster } from '@odonata/client/cluster.ts';
import { type Event, Severity } from '@odonata/proto/event/v1/event';
import { Code } from '@odonata/rpc/error.ts';
import { EVENT_KINDS } from '@odonata/rpc/events.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, explain, Failure, hasCode } from '../failure.ts';
import { printJson, printJsonLine } from '../json.ts';
import { isOutputRead, plainText, print, printError, printNames } from '../output.ts';
import { type Column, table } from '../table.ts';
import {
  type ClusterOption,
  clusterOption,
  collect,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  wholeNumber,
} from './options.ts';

interface EventsOptions extends ClusterOption, QuietOption {
  since?: number;
  count?: number;
  kind?: string[];
  service?: string[];
  node?: string[];
  severity?: string;
  match?: RegExp;
  security?: true;
  follow?: boolean;
  json?: boolean;
}

const SPAN_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHOWN = 100;
const SHOWN_BEFORE = 10;
const SEVERITIES = ['info', 'warning', 'error'];

export function addEvents(program: Command): void {
  const command = program
    .command('events')
    .summary('what happened: faults that wait, memory refused, nodes lost')
    .description(
      `Shows what happened in the services, oldest first. Each keeps its last thousand events, also over a restart.\n\nKinds: ${Object.keys(EVENT_KINDS).join(', ')}`,
    )
    .option('-f, --follow', 'and what comes, a line each, until Ctrl-C')
    .option(
      '--since <when>',
      'only later ones: a span (90s, 10m, 2h, 1d) or a time (2026-01-31T12:00)',
      sinceMs,
    )
    .option(
      '-n, --count <count>',
      `the last so many (default: ${SHOWN}; with -f ${SHOWN_BEFORE}, or all since --since)`,
      wholeNumber(0, 100_000),
    )
    .option('--kind <kind>', 'only of this kind (repeatable)', kinds)
    .option('--service <name>', 'only of this service, as node1/pmapd or pmapd (repeatable)', collect)
    .option('--node <name>', 'only what is about this node (repeatable)', collect)
    .addOption(new Option('--severity <least>', 'only as bad as this, or worse').choices(SEVERITIES))
    .option('--match <regex>', 'only those whose text it matches', regularExpression)
    .option('--security', 'what was tried that nobody tries who behaves, and refused; as --kind security')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print texts only'))
    .action(events);
  examples(command, [
    ['vkctl events', `the last ${SHOWN}`],
    ['vkctl events -f --severity warning', 'what goes wrong, as it happens'],
    ['vkctl events --since 10m --kind fault-waits', 'which programs had to wait, and for what'],
    ['vkctl events --security --since 1d', 'who tried what they may not'],
    ["vkctl events --json | jq '.[].text'", 'for a program; with -f each is a line of JSON'],
  ]);
}

/** Milliseconds since 1970. */
export function sinceMs(text: string, nowMs = Date.now()): number {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (unit !== undefined) return nowMs - Number(number) * SPAN_MS[unit]!;
  const atMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(atMs)) return atMs;
  throw new InvalidArgumentError('Give a span as 90s, 10m, 2h, 1d, or a time as 2026-01-31T12:00.');
}

// A later version of a service may know more kinds, but a word that nobody knows is a mistake.
function kinds(kind: string, before?: string[]): string[] {
  if (kind in EVENT_KINDS) return collect(kind, before);
  throw new InvalidArgumentError(`There are: ${Object.keys(EVENT_KINDS).join(', ')}.`);
}

function regularExpression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** What a service of a node tells is about that node where it names none. */
const nodeOf = ({ node, subject, service }: Event): string =>
  node || subject.node || subject.holder || (service.includes('/') ? service.split('/')[0]! : '');

/** What the services cannot be asked for is left out here. */
export function isWanted(event: Event, { service, node, severity, match }: Partial<EventsOptions>): boolean {
  const kindOfService = event.service.slice(event.service.indexOf('/') + 1);
  if (service !== undefined && !service.includes(event.service) && !service.includes(kindOfService))
    return false;
  if (node !== undefined && !node.includes(nodeOf(event))) return false;
  if (severity !== undefined && SEVERITIES.indexOf(severityOf(event)) < SEVERITIES.indexOf(severity))
    return false;
  return match === undefined || match.test(event.text);
}

async function events(options: EventsOptions): Promise<void> {
  const { kind = [], security } = options;
  const wanted = security === undefined ? kind : [...kind, 'security'];
  await withCluster(options, async (cluster) => {
    const found = await cluster.events.list({ sinceMs: options.since, kinds: wanted });
    // Who may not ask is told so by every service: once is enough.
    const denied = found.silent.find(({ error }) => hasCode(error, Code.PermissionDenied));
    if (denied !== undefined && found.silent.every(({ error }) => hasCode(error, Code.PermissionDenied)))
      throw denied.error;
    expectNames(found, options);
    const all = found.events.filter((event) => isWanted(event, options));
    const shown = lastOf(all, options);
    if (options.follow) {
      for (const event of shown) printOne(event, options);
    } else if (options.json) printJson(shown.map(plain));
    else if (options.quiet) printNames(shown.map(({ text }) => text));
    else print(table(COLUMNS, shown.map(row)));
    for (const { service, error } of found.silent)
      printError(`vkctl: the events of ${service} are missing: ${explain(error)}`);
    if (found.silent.length > 0) process.exitCode = 1;
    if (options.follow) await follow(cluster, found.events, wanted, options);
  });
}

/** A word that names nothing is a mistake, and no quiet cluster. @throws Failure that says which names there are */
function expectNames(
  { events, services }: { events: Event[]; services: readonly string[] },
  { service = [], node = [] }: EventsOptions,
): void {
  const kindOf = (name: string) => name.slice(name.indexOf('/') + 1);
  const nodes = [...services.filter((name) => name.includes('/')).map((name) => name.split('/')[0]!)];
  expectOneOf(
    '--service',
    service,
    [...services, ...services.map(kindOf), ...events.map((e) => e.service)],
    services,
  );
  expectOneOf('--node', node, [...nodes, ...events.map(nodeOf)], nodes);
}

function expectOneOf(
  flag: string,
  given: readonly string[],
  known: readonly string[],
  shown: readonly string[],
): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const names = [...new Set(shown)].sort().join(', ') || 'none';
  throw new Failure(`${flag}: there is no "${unknown}"`, {
    fix: `There are: ${names}.`,
    exitCode: EXIT.usage,
  });
}

function lastOf(all: Event[], { count, follow, since }: EventsOptions): Event[] {
  const most = count ?? (!follow ? SHOWN : since === undefined ? SHOWN_BEFORE : all.length);
  return most === 0 ? [] : all.slice(-most);
}

/** So far back a clock may be behind the one of whoever follows. */
const CLOCKS_MS = 60_000;

/** What was listed is known: of the rest nothing that happened meanwhile is missed. */
async function follow(
  cluster: Cluster,
  listed: readonly Event[],
  wanted: readonly string[],
  options: EventsOptions,
): Promise<void> {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  const { signal } = abort;
  const known = new Set(listed.map(nameOf));
  try {
    const fromMs = Date.now() - CLOCKS_MS;
    const filter = { sinceMs: Math.max(options.since ?? 0, fromMs), kinds: wanted, signal };
    for await (const event of cluster.events.follow(filter)) {
      if (known.has(nameOf(event)) || !isWanted(event, options)) continue;
      printOne(event, options);
      if (!isOutputRead()) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = 130;
  }
}

/** Ids begin anew with each life of a service. */
const nameOf = (event: Event): string => `${event.service} ${event.id} ${timeText(event)}`;

function printOne(event: Event, { json, quiet }: EventsOptions): void {
  if (json) printJsonLine(plain(event));
  else if (quiet) printNames([event.text]);
  else {
    const [time, service, severity, kind, text] = row(event) as [string, string, string, string, string];
    const line = `${time} ${service.padEnd(14)} ${severity.padEnd(7)} ${kind.padEnd(14)} ${text}`;
    print(plainText(line));
  }
}

const COLUMNS: Column[] = [
  { head: 'TIME' },
  { head: 'SERVICE' },
  { head: 'SEVERITY' },
  { head: 'KIND' },
  { head: 'TEXT', flex: true },
];

const severityOf = ({ severity }: Event): string => (Severity[severity] ?? 'unspecified').toLowerCase();

const timeText = ({ time }: Event): string => (time === undefined ? '-' : timestampDate(time).toISOString());

const row = (event: Event): string[] => [
  timeText(event),
  event.service,
  severityOf(event),
  event.kind,
  event.text,
];

const plain = (event: Event): object => ({ ...event, severity: severityOf(event) });
