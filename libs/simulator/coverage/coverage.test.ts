// What the simulator runs of the machines that ship: an adapter that decided instead of them would show here.
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { FileCoverage } from './reporter.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = join(ROOT, 'libs/simulator/README.md');
/** Of the branches of all these files. */
const TAKEN_MIN = 0.9;
const [BEGIN, END] = ['<!-- profiles of files -->', '<!-- end -->'];

/** The shipped machines; messages decide nothing. */
const FILES = globSync('libs/coherency/**/*.ts', { cwd: ROOT })
  .filter((file) => !/\.test\.ts$|\/testdata\/|-messages\.ts$/.test(file))
  .sort();

function node(...args: string[]): string {
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  return execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', env, timeout: 240_000 });
}

test('nine of ten branches are taken', { timeout: 250_000 }, () => {
  const out = node(
    ...['--test', '--experimental-test-coverage', '--test-coverage-include=libs/coherency/**/*.ts'],
    ...['--test-reporter=./libs/simulator/coverage/reporter.ts', 'libs/simulator/coverage/all-profiles.ts'],
  );
  const files = JSON.parse(out) as FileCoverage[];
  const sum = (of: (file: FileCoverage) => number) => files.reduce((all, file) => all + of(file), 0);
  const share = sum(({ taken }) => taken) / sum(({ branches }) => branches);
  const worst = [...files].sort((a, b) => a.taken / a.branches - b.taken / b.branches).slice(0, 8);
  const list = worst.map(({ file, taken, branches }) => `${file} ${taken} of ${branches}`).join(', ');
  console.log(`the simulator takes ${(100 * share).toFixed(1)} % of the branches; fewest: ${list}`);
  expect(share, list).toBeGreaterThanOrEqual(TAKEN_MIN);
});

function table(found: Record<string, string[]>): string {
  const profiles = Object.keys(found);
  const rows = FILES.map((file) => {
    const by = profiles.filter((profile) => found[profile]!.includes(file));
    const missing = profiles.filter((profile) => !by.includes(profile));
    if (missing.length === 0) return [file, 'all'];
    if (by.length === 0) return [file, 'none'];
    return [file, missing.length <= 2 ? `all but ${missing.join(', ')}` : by.join(', ')];
  });
  const lines = [['shipped file', 'run by profile'], ...rows].map(([file, by]) => {
    return [file!.replace('libs/coherency/', ''), by!] as const;
  });
  const width = Math.max(...lines.map(([file]) => file.length));
  const last = Math.max(...lines.map(([, by]) => by.length));
  const [head, ...body] = lines.map(([file, by]) => `| ${file.padEnd(width)} | ${by.padEnd(last)} |`);
  return [head, `| ${'-'.repeat(width)} | ${'-'.repeat(last)} |`, ...body].join('\n');
}

test('the README says which profile runs which file', { timeout: 120_000 }, () => {
  const found = JSON.parse(node('libs/simulator/coverage/profiles-of-files.ts')) as Record<string, string[]>;
  const text = readFileSync(README, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  const now = `\n\n${table(found)}\n\n`;
  if (process.env.REWRITE === '1') writeFileSync(README, text.slice(0, begin) + now + text.slice(end));
  else expect(text.slice(begin, end), 'REWRITE=1 writes the table anew').toBe(now);
});
