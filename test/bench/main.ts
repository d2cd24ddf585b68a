// `npm run bench`: measures, judges, and leaves nothing behind. README.md says what and how.
import { writeFile } from 'node:fs/promises';
import { withCluster } from './cluster.ts';
import { runCommand } from './command.ts';
import { compute } from './compute.ts';
import { directory } from './directory.ts';
import { faults } from './faults.ts';
import { handover } from './handover.ts';
import { identity } from './identity.ts';
import { locks } from './locks.ts';
import { HELP, type Options, type PartName, parseOptions } from './options.ts';
import type { Part, PartResult } from './part.ts';
import { Progress } from './progress.ts';
import { machine, summary, tableText } from './report.ts';
import { sequential } from './sequential.ts';
import { sharing } from './sharing.ts';
import { start } from './start.ts';
import { memoryNote } from './supplied-memory.ts';
import { walls } from './walls.ts';

const PARTS: Record<PartName, Part> = {
  compute,
  directory,
  faults,
  handover,
  identity,
  locks,
  sequential,
  sharing,
  start,
  walls,
};

async function measure({ only, quick, json }: Options, signal: AbortSignal, folder: string): Promise<void> {
  const progress = new Progress();
  const startedAt = new Date().toISOString();
  const before = machine();
  const results: Partial<Record<PartName, PartResult>> = {};
  for (const name of only) {
    const part = PARTS[name];
    const show = (doing: string): void => progress.show(`${name}: ${doing}`);
    const result = await withCluster({ nodes: part.nodes(quick), signal, progress: show }, (to) =>
      part.run({ to, quick, folder, signal, progress: show }),
    );
    results[name] = result;
    progress.clear();
    for (const table of result.tables) console.log(tableText(table));
  }
  console.log(`\n${memoryNote({ quick })}`);
  const figures = Object.values(results).flatMap((result) => result.figures);
  if (json !== undefined) {
    const parts = Object.entries(results).map(([name, { measured }]) => [name, measured]);
    const machines = { ...before, loadAverageAfter: machine().loadAverage };
    const report = { startedAt, quick, machine: machines, figures, parts: Object.fromEntries(parts) };
    await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  }
  console.log(summary(Object.values(results)));
}

process.exit(await runCommand({ name: 'bench', help: HELP, parse: parseOptions, run: measure }));
