/**
 * Counts a file's words with the wordcount guest alone, under plain node:wasi:
 *
 *   node test/guests/wordcount/run-alone.ts WORDCOUNT.wasm FILE [--dump]
 *
 * The guest is granted FILE's folder and nothing else. Output and exit code are the guest's.
 */
import { basename, dirname, resolve } from 'node:path';
import { runCommandLine } from '../run-alone.ts';

const [program, file, ...flags] = process.argv.slice(2);
if (program === undefined || file === undefined) {
  console.error('usage: run-alone.ts WORDCOUNT.wasm FILE [--dump]');
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
}
