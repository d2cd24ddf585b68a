// Snapshots of programs: vkctl snapshot PID NAME, ls, rm. What is started from one: vkctl run --from NAME.
import type { Snapshot } from '@odonata/client/snapshots/snapshots.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { plural, print, printNames, say, showProgress } from '../output.ts';
import { formatSize } from '../size.ts';
import { type Column, table } from '../table.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
  wholeNumber,
} from './options.ts';
import { parsePid } from './pid.ts';
import { removeEach } from './remove-each.ts';

interface SnapshotOptions extends ClusterOption, QuietOption {
  json?: boolean;
  /** Seconds. */
  timeout?: number;
}

const TIMEOUT_S = 30;
const TIMEOUT_MAX_S = 600;

export function addSnapshot(program: Command): void {
  const snapshot = program
    .command('snapshot')
    .summary('snapshots of programs: PID NAME, ls, rm')
    .usage('<pid> <name> | ls | rm <name...>')
    .description(
      'Takes snapshots of programs that export odonata_resume (docs/snapshots.md): "vkctl run --from" starts such a program there, on any node.',
    )
    .enablePositionalOptions();
  examples(snapshot, [
    ['vkctl snapshot 100001 warm', 'at the next point where that can be'],
    ['vkctl run --from warm', 'from there on, as often as one likes'],
    ['vkctl snapshot ls', 'what there is'],
  ]);
  const taking = common(
    snapshot
      .command('take <pid> <name>', { isDefault: true })
      .summary('take one of a process (the word "take" may be left out)')
      .description(
        'Holds the process at its next point, odonata_snapshot() or a call that waits for input, a lock or a barrier; reads its memory; and stores both as a durable dataspace of yours. The process goes on.',
      )
      .option(
        '--timeout <seconds>',
        'how long it may take to come to such a point',
        wholeNumber(1, TIMEOUT_MAX_S),
        TIMEOUT_S,
      ),
  ).action(take);
  examples(taking, [
    ['vkctl snapshot 100001 warm', 'from now on: vkctl run --from warm'],
    ['vkctl snapshot 100001 warm --timeout 300', 'of one that initialises for long'],
    ['vkctl snapshot take 100001 ls', 'one by the name of a subcommand'],
  ]);
  const listing = common(
    snapshot
      .command('ls')
      .summary('list them')
      .description('Lists the snapshots that you may read. They are dataspaces, too: vkctl ds ls has them.'),
    'print names only',
  ).action(ls);
  examples(listing, [
    ['vkctl snapshot ls', 'with the program, and how much it had in memory'],
    ["vkctl snapshot ls --json | jq -r '.[].name'", 'for a program'],
  ]);
  const removing = common(
    snapshot
      .command('rm <name...>')
      .summary('remove some')
      .description('Removes snapshots. What was started from them goes on.'),
  ).action(rm);
  examples(removing, [['vkctl snapshot rm warm', 'gone; vkctl ds rm would do, too']]);
}

const common = (command: Command, quiet?: string): Command =>
  command.addOption(clusterOption()).addOption(jsonOption()).addOption(quietOption(quiet));

async function take(
  pid: string,
  name: string,
  { timeout = TIMEOUT_S, ...options }: SnapshotOptions,
): Promise<void> {
  const of = parsePid(pid);
  await withCluster(options, async ({ snapshots }) => {
    const onProgress = (doing: string): void => showProgress(`${pid}: ${doing}`);
    const { heldMs, ...taken } = await snapshots.take(of, name, { timeoutMs: timeout * 1_000, onProgress });
    if (options.json) return printJson({ ...taken, heldMs });
    const { program, pages, memoryBytes } = taken;
    say(
      `${name}: ${program || 'a program'}, ${plural(pages, 'page')} of ${formatSize(memoryBytes)}, held for ${heldMs} ms`,
    );
  });
}

async function ls(options: SnapshotOptions): Promise<void> {
  await withCluster(options, async ({ snapshots }) => {
    const all = await snapshots.list();
    if (options.json) return printJson(all);
    if (options.quiet) return printNames(all.map(({ name }) => name));
    print(table(COLUMNS, all.map(row)));
  });
}

const COLUMNS: Column[] = [
  ...['NAME', 'OWNER', 'PROGRAM', 'TAKEN'].map((head) => ({ head })),
  ...['PAGES', 'MEMORY', 'STORED'].map((head) => ({ head, align: 'right' as const })),
];

const row = ({ name, owner, program, takenAtMs, pages, memoryBytes, moduleBytes }: Snapshot) => [
  ...[name, owner, program || '-', new Date(takenAtMs).toISOString().slice(0, 19)],
  ...[pages, formatSize(memoryBytes), formatSize(moduleBytes)],
];

async function rm(names: string[], options: SnapshotOptions): Promise<void> {
  await withCluster(options, ({ snapshots }) => removeEach(names, options, (name) => snapshots.remove(name)));
}
