// `npm run bench`: measures, judges, and leaves nothing behind. README.md says what and how.
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, explain, Failure } from '../../services/vkctl/failure.ts';
import { withCluster } from './cluster.ts';
import { compute } from './compute.ts';
import { directory } from './directory.ts';
import { faults } from './faults.ts';
import { HELP, type Options, type PartName, parseOptions } from './options.ts';
import type { Part, PartResult } from './part.ts';
import { Progress } from './progress.ts';
import { machine, summary, tableText } from './report.ts';
import { sequential } from './sequential.ts';
import { start } from './start.ts';
import { memoryNote } from './supplied-memory.ts';

const PARTS: Record<PartName, Part> = { compute, directory, faults, sequential, start };

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

async function main(): Promise<number> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) return; // The first one counts; taking the cluster down takes its seconds.
      process.stderr.write('\ninterrupted, taking the cluster down ...\n');
      abort.abort(new Failure('interrupted', { exitCode: 130 }));
    });
  }
  // A terminal that went away must not keep us from clearing up.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  let folder: string | undefined;
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options === 'help') {
      console.log(HELP);
      return EXIT.ok;
    }
    folder = mkdtempSync(join(tmpdir(), 'odonata-bench-'));
    process.env.ODONATA_HOME = folder;
    await measure(options, abort.signal, folder);
    return EXIT.ok;
  } catch (error) {
    if (abort.signal.aborted) return 130;
    process.stderr.write(`\nbench: ${explain(error)}\n`);
    return error instanceof Failure ? error.exitCode : EXIT.failed;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

process.exit(await main());
