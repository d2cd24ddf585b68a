// `npm run bench`: measures, judges, and leaves nothing behind. README.md says what and how.
import { writeFile } from 'node:fs/promises';
import { plural } from '../../services/vkctl/output.ts';
import { bulk } from './bulk.ts';
import { busy } from './busy.ts';
import { calls } from './calls.ts';
import { withCluster } from './cluster.ts';
import { runCommand } from './command.ts';
import { compute } from './compute.ts';
import { directory } from './directory.ts';
import { faults } from './faults.ts';
import { handover } from './handover.ts';
import { benchHtml } from './html.ts';
import { identity } from './identity.ts';
import { locks } from './locks.ts';
import { HELP, type Options, type PartName, parseOptions } from './options.ts';
import { mustBeWritable } from './output-file.ts';
import { paging } from './paging.ts';
import { parallel } from './parallel.ts';
import type { Part, PartResult } from './part.ts';
import { peers } from './peers.ts';
import { processes } from './processes.ts';
import { Progress } from './progress.ts';
import { machine, summary, tableText } from './report.ts';
import { sequential } from './sequential.ts';
import { sharing } from './sharing.ts';
import { snapshots } from './snapshots.ts';
import { start } from './start.ts';
import { memoryNote } from './supplied-memory.ts';
import { syslink } from './syslink.ts';
import { vmspaces } from './vmspaces.ts';
import { walls } from './walls.ts';

const PARTS: Record<PartName, Part> = {
  bulk,
  busy,
  calls,
  compute,
  directory,
  faults,
  handover,
  identity,
  locks,
  paging,
  parallel,
  peers,
  processes,
  sequential,
  sharing,
  snapshots,
  start,
  syslink,
  vmspaces,
  walls,
};

async function measure(
  { only, quick, profile, without, programs, json, html }: Options,
  signal: AbortSignal,
  folder: string,
): Promise<void> {
  for (const [option, file] of Object.entries({ '--json': json, '--html': html }))
    if (file !== undefined) mustBeWritable(option, file);
  // Functions of a bundle do not say whose they are.
  if (profile) process.env.ODONATA_BUNDLE = 'off';
  const progress = new Progress();
  const startedAt = new Date().toISOString();
  const before = machine();
  const results: Partial<Record<PartName, PartResult>> = {};
  for (const name of only) {
    const part = PARTS[name];
    const show = (doing: string): void => progress.show(`${name}: ${doing}`);
    const result = await withCluster(
      { nodes: part.nodes(quick), nodeVmspaces: part.nodeVmspaces, signal, progress: show },
      (to) => part.run({ to, quick, profile, without, programs, folder, signal, progress: show }),
    );
    results[name] = result;
    progress.clear();
    for (const table of result.tables) console.log(tableText(table));
  }
  const load = (averages: number[]): string => averages[0]!.toFixed(1);
  console.log(`\n${memoryNote({ quick })}`);
  console.log(
    `Load of the machine: ${load(before.loadAverage)} before, ${load(machine().loadAverage)} after, on ${plural(before.cores, 'core')}.${quick ? ' A quick run: its figures mean little.' : ''}`,
  );
  const figures = Object.values(results).flatMap((result) => result.figures);
  if (json !== undefined) {
    const parts = Object.entries(results).map(([name, { measured }]) => [name, measured]);
    const machines = { ...before, loadAverageAfter: machine().loadAverage };
    const report = { startedAt, quick, machine: machines, figures, parts: Object.fromEntries(parts) };
    await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (html !== undefined) {
    const loadAverageAfter = machine().loadAverage;
    const run = { startedAt, quick, machine: before, loadAverageAfter, results: Object.values(results) };
    await writeFile(html, await benchHtml(run));
  }
  console.log(summary(Object.values(results)));
}

process.exit(await runCommand({ name: 'bench', help: HELP, parse: parseOptions, run: measure }));
