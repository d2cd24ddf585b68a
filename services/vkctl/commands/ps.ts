import { timestampDate } from '@bufbuild/protobuf/wkt';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { FaultWait } from '@odonata/proto/pmap/v1/pmap';
import { type Process, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { explain, oneLine } from '../failure.ts';
import { printJson } from '../json.ts';
import { plainText, print, printError, printNames } from '../output.ts';
import { formatSize, formatSpan } from '../size.ts';
import { type Column, table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';

interface PsOptions extends ClusterOption, QuietOption, WatchOption {
  all?: boolean;
  tree?: boolean;
}

export function addPs(program: Command): void {
  const command = program
    .command('ps')
    .summary('list processes')
    .description('Lists the processes of all nodes.')
    .option('-a, --all', 'also those that ended')
    .option('--tree', 'each below its parent')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print pids only'))
    .action((options: PsOptions) => watched(options, () => ps(options)));
  watchable(command);
  examples(command, [
    ['vkctl ps', 'what runs'],
    ['vkctl ps --watch 5', 'again every 5 s'],
    ['vkctl ps --tree', 'who started whom'],
    ['vkctl kill $(vkctl ps -q)', 'all that runs'],
    ['vkctl ps -a', 'also what ended, and how; with USER where they are of several people'],
    ["vkctl ps --json | jq '.[].pid'", 'for a program'],
  ]);
}

async function ps(options: PsOptions): Promise<void> {
  const [listed, found] = await withCluster(options, ({ programs }) =>
    Promise.all([programs.list(), programs.vmspaces()]),
  );
  const { processes } = listed;
  const silent = listed.silent.map(
    ({ node, error }) => `the processes of ${node} are missing: ${explain(error)}`,
  );
  const memory = new Map(found.vmspaces.map((vmspace) => [vmspace.pid, vmspace]));
  const unknown = new Map(found.silent.map(({ node, error }) => [node, explain(error)]));
  const shown = options.all ? processes : processes.filter((p) => p.state !== ProcessState.EXITED);
  if (options.json) {
    printJson(
      shown.map((process) => {
        // Where nobody knows, nothing is said.
        if (unknown.has(process.node)) return plain(process);
        const { waits = [], sharedPages = 0n } = memory.get(process.pid) ?? {};
        return { ...plain(process), sharedPages, waits };
      }),
    );
  } else if (options.quiet) printNames(shown.map(({ pid }) => pid));
  else {
    // A column that is empty as long as all is well is not shown then.
    const waiting = shown.some(({ pid }) => (memory.get(pid)?.waits.length ?? 0) > 0);
    // Nor whose they are, where all are one person's.
    const several = ofSeveral(shown);
    const columns = [
      ...COLUMNS.slice(0, 1),
      ...(several ? [{ head: 'USER' }] : []),
      ...COLUMNS.slice(1, -1),
      ...(waiting ? [{ head: 'WAITS', flex: true }] : []),
      ...COLUMNS.slice(-1),
    ];
    const ordered = options.tree ? asTree(shown) : shown.map((process) => ({ process, depth: 0 }));
    const rows = ordered.map(({ process, depth }) => {
      const cells = row(process);
      if (depth > 0) cells.push(`${'  '.repeat(depth - 1)}└ ${cells.pop()}`);
      return [
        ...cells.slice(0, 1),
        ...(several ? [userText(process)] : []),
        ...cells.slice(1, -1),
        ...(waiting ? [waitText(memory.get(process.pid)?.waits)] : []),
        ...cells.slice(-1),
      ];
    });
    print(table(columns, rows));
  }
  for (const node of new Set(shown.map((process) => process.node)))
    if (unknown.has(node)) silent.push(`what processes of ${node} wait for is missing: ${unknown.get(node)}`);
  for (const line of silent) printError(`vkctl: ${line}`);
  // A table that lacks a node is no whole answer.
  if (silent.length > 0) process.exitCode = 1;
}

/** Each after its parent, with how deep it is; who has none that is shown begins a tree. */
export function asTree<P extends { pid: bigint; parent: bigint }>(
  processes: readonly P[],
): { process: P; depth: number }[] {
  const shown = new Set(processes.map(({ pid }) => pid));
  const below = (parent: bigint, depth: number): { process: P; depth: number }[] =>
    processes
      .filter((process) => process.parent === parent && process.pid !== parent)
      .flatMap((process) => [{ process, depth }, ...below(process.pid, depth + 1)]);
  return processes
    .filter(({ parent }) => !shown.has(parent))
    .flatMap((process) => [{ process, depth: 0 }, ...below(process.pid, 1)]);
}

/** Whether things are of more than one person. */
export const ofSeveral = (things: readonly { user: string }[]): boolean =>
  new Set(things.map(({ user }) => user)).size > 1;

/** Nobody's: of a cluster without identities. */
export const userText = ({ user }: { user: string }): string => (user === '' ? '-' : oneLine(user));

/** `12s for page 7 of dataspace x: the directory does not answer` */
function waitText(waits: readonly FaultWait[] = []): string {
  const [first] = waits;
  if (first === undefined) return '-';
  return `${formatSpan(Number(first.waitedMs))} for ${first.what}: ${first.reason}`;
}

const COLUMNS: Column[] = [
  { head: 'PID' },
  { head: 'NODE' },
  { head: 'VKERNEL' },
  { head: 'STATE' },
  { head: 'AGE' },
  { head: 'CPU', align: 'right' },
  { head: 'THREADS', align: 'right' },
  { head: 'PRIVATE', align: 'right' },
  { head: 'COMMAND', flex: true },
];

const stateName = (state: ProcessState): string => (ProcessState[state] ?? 'unspecified').toLowerCase();

const shownState = ({ state, parked }: Process): string =>
  parked && state === ProcessState.RUNNING ? 'parked' : stateName(state);

const COMMAND_CHARS = 120;

/** In one line, whatever its words hold; what is cut here is in --json. */
export function shownCommand(command: readonly string[]): string {
  // What a shell of a login tells the shells that it starts comes after what they do.
  const own = command.findIndex((word) => /^--from=[-\d]+(,[-\d]+){3}$/.test(word));
  const line = plainText((own > 0 ? command.slice(0, own) : command).join(' '));
  return line.length > COMMAND_CHARS ? `${line.slice(0, COMMAND_CHARS)}…` : line;
}

function row(process: Process): string[] {
  const { exit } = process;
  const how = exit?.signal || `exit ${exit?.code}`;
  const ended = process.state === ProcessState.EXITED;
  const startedMs = process.startedAt ? timestampDate(process.startedAt).getTime() : Date.now();
  return [
    String(process.pid),
    process.node,
    process.vkernel,
    ended ? how : shownState(process),
    formatSpan(Date.now() - startedMs),
    process.cpuMs === 0n ? '-' : formatSpan(Number(process.cpuMs)),
    process.threads === 0 ? '-' : String(process.threads),
    ended ? '-' : formatSize(process.residentPages * BigInt(PAGE_BYTES)),
    `${shownCommand(process.command)}${ended && exit?.reason ? `  (${exit.reason})` : ''}`,
  ];
}

function plain(process: Process): object {
  // What each descriptor is open to stands in /proc/PID/fd.
  const { state, exit, descriptors: _, ...rest } = process;
  return {
    ...rest,
    state: stateName(state),
    exit: state === ProcessState.EXITED ? exit : undefined,
  };
}
