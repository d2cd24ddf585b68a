// A command that measures: its signals, its temporary folder, its errors and its exit codes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT, explain, Failure } from '../../services/vkctl/failure.ts';

export interface MeasuringCommand<O> {
  /** Before its errors, and in the name of its folder. */
  name: string;
  help: string;
  /** @throws Failure for wrong use */
  parse(argv: string[]): O | 'help';
  /** `folder` is where clusters keep their state, and goes with the command. */
  run(options: O, signal: AbortSignal, folder: string): Promise<void>;
}

/** @returns the exit code */
export async function runCommand<O>({ name, help, parse, run }: MeasuringCommand<O>): Promise<number> {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) return; // The first one counts; taking everything down takes its seconds.
      process.stderr.write('\ninterrupted, taking everything down ...\n');
      abort.abort(new Failure('interrupted', { exitCode: 130 }));
    });
  }
  // A terminal that went away must not keep us from clearing up.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

  let folder: string | undefined;
  try {
    const options = parse(process.argv.slice(2));
    if (options === 'help') {
      console.log(help);
      return EXIT.ok;
    }
    folder = mkdtempSync(join(tmpdir(), `odonata-${name}-`));
    process.env.ODONATA_HOME = folder;
    await run(options, abort.signal, folder);
    return EXIT.ok;
  } catch (error) {
    if (abort.signal.aborted) return 130;
    process.stderr.write(`\n${name}: ${explain(error)}\n`);
    return error instanceof Failure ? error.exitCode : EXIT.failed;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
