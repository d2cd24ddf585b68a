// Prints the closing lines of `make test`: each failure with its reason in a line, then "N passed, N failed, N skipped".
//   closing.ts again COUNT         the files that are worth another run, by themselves, one a line
//   closing.ts lines COUNT [SECOND]  the lines; the exit code is 0 only where nothing failed, or all of it passed in the second run
import { readFileSync } from 'node:fs';
import type { Count } from './count-reporter.ts';

/** Of the failures, as many are named. */
const NAMED = 40;
/** Where more files fail it is no matter of how busy the machine was. */
const AGAIN_MAX = 3;

const read = (path: string): Count => JSON.parse(readFileSync(path, 'utf8'));

const [what, first = '', second] = process.argv.slice(2);
const count = read(first);
const files = new Set(count.failures.map(({ file }) => file));
if (what === 'again') {
  if (files.size <= AGAIN_MAX && !files.has(undefined)) for (const file of files) console.log(file);
} else {
  const then = second === undefined ? undefined : read(second);
  const failed = then === undefined ? count.failures : then.failures;
  const lines = failed.slice(0, NAMED).map(({ line }) => `failed: ${line}`);
  if (failed.length > NAMED) lines.push(`failed: and ${failed.length - NAMED} more`);
  // Never silent: a test that only passes by itself is to be mended.
  if (then !== undefined)
    for (const { line } of count.failures)
      lines.push(`failed at first, and was run again by itself: ${line}`);
  const passed = count.passed + count.failures.length - (then === undefined ? count.failures : failed).length;
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
  console.log([...lines, `${passed} passed, ${failed.length} failed${skipped}`].join('\n'));
  process.exitCode = failed.length === 0 ? 0 : 1;
}
