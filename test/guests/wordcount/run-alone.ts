/**
 * Counts a file's words with the wordcount guest alone, under plain node:wasi:
 *
 *   node test/guests/wordcount/run-alone.ts [--cpu] WORDCOUNT.wasm FILE [--dump]
 *
 * The guest is granted FILE's folder and nothing else. Output and exit code are the guest's; `--cpu` adds a line on
 * standard error, `cpu_ms=1234`: processor time of all, Node included.
 */
import { basename, dirname, resolve } from 'node:path';
import { runCommandLine } from '../run-alone.ts';

const [cpu, program, file, ...flags] = argumentsOf(process.argv.slice(2));
if (program === undefined || file === undefined) {
  console.error('usage: run-alone.ts [--cpu] WORDCOUNT.wasm FILE [--dump]');
  process.exitCode = 2;
} else {
  const path = resolve(file);
  await runCommandLine([
    '--dir',
    `${dirname(path)}:/in`,
    program,
    '--file',
    `/in/${basename(path)}`,
    ...flags,
  ]);
  if (cpu) {
    const { user, system } = process.cpuUsage();
    console.error(`cpu_ms=${Math.round((user + system) / 1e3)}`);
  }
}

function argumentsOf(argv: string[]): [boolean, ...string[]] {
  return argv[0] === '--cpu' ? [true, ...argv.slice(1)] : [false, ...argv];
}
