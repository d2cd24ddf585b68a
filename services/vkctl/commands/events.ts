import { timestampDate } from '@bufbuild/protobuf/wkt';
import { type Event, Severity } from '@odonata/proto/event/v1/event';
import { Code } from '@odonata/rpc/error.ts';
import { EVENT_KINDS } from '@odonata/rpc/events.ts';
import { type Command, InvalidArgumentError } from 'commander';
import { withCluster } from '../connection.ts';
import { explain, hasCode } from '../failure.ts';
import { json, print, printError, table } from '../output.ts';
import { type ClusterOption, clusterOption, collect, examples, jsonOption, wholeNumber } from './options.ts';

interface EventsOptions extends ClusterOption {
  since?: number;
  count: number;
  kind?: string[];
  security?: true;
  json?: boolean;
}

const SPAN_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SHOWN = 100;

export function addEvents(program: Command): void {
  const command = program
    .command('events')
    .summary('what happened: faults that wait, memory refused, nodes lost')
    .description(
      `Shows what happened in the services, oldest first. Each keeps its last thousand events.\n\nKinds: ${Object.keys(EVENT_KINDS).join(', ')}`,
    )
    .option(
      '--since <when>',
      'only later ones: a span (90s, 10m, 2h, 1d) or a time (2026-01-31T12:00)',
      sinceMs,
    )
    .option('-n, --count <count>', 'the last so many', wholeNumber(1, 100_000), SHOWN)
    .option('--kind <kind>', 'only of this kind (repeatable)', kinds)
    .option('--security', 'what was tried that nobody tries who behaves, and refused; as --kind security')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .action(events);
  examples(command, [
    ['vkctl events', `the last ${SHOWN}`],
    ['vkctl events --since 10m --kind fault-waits', 'which programs had to wait, and for what'],
    ['vkctl events --security --since 1d', 'who tried what they may not'],
    ["vkctl events --json | jq '.[].text'", 'for a program'],
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

async function events({ since, kind = [], security, ...options }: EventsOptions): Promise<void> {
  const wanted = security === undefined ? kind : [...kind, 'security'];
  const found = await withCluster(options, (cluster) =>
    cluster.events.list({ sinceMs: since, kinds: wanted }),
  );
  // Who may not ask is told so by every service: once is enough.
  const denied = found.silent.find(({ error }) => hasCode(error, Code.PermissionDenied));
  if (denied !== undefined && found.silent.every(({ error }) => hasCode(error, Code.PermissionDenied)))
    throw denied.error;
  const shown = found.events.slice(-options.count);
  print(options.json ? json(shown.map(plain)) : table(COLUMNS, shown.map(row)));
  for (const { service, error } of found.silent)
    printError(`vkctl: the events of ${service} are missing: ${explain(error)}`);
  if (found.silent.length > 0) process.exitCode = 1;
}

const COLUMNS = [
  { head: 'TIME' },
  { head: 'SERVICE' },
  { head: 'SEVERITY' },
  { head: 'KIND' },
  { head: 'TEXT' },
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

const plain = (event: Event): object => ({ ...event, time: timeText(event), severity: severityOf(event) });
