// A short run of chaos with a fresh seed; what it prints on failure names the seed.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Report } from './report.ts';

const MAIN = join(import.meta.dirname, 'main.ts');

// A start of two minutes, what is asked for, and as long as all may take to go on: each is bounded by itself.
function chaos(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { timeout: 290_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** Nothing that programs see is wrong. */
async function rightAll(minutes: number): Promise<Report> {
  const { code, stdout, stderr } = await chaos('--minutes', String(minutes), '--json', '--keep');
  expect(code, `${stderr}\n${stdout}`).toBe(0);
  const report = JSON.parse(stdout) as Report;
  expect(report.violations).toEqual([]);
  return report;
}

const saysSomething = ({ faults, amidFaults, made }: Report): boolean =>
  faults.length > 2 && amidFaults > 0 && (made.whole ?? 0) > 0;

test('nothing that programs see is wrong while everything is broken, and all goes on afterwards', async () => {
  let report = await rightAll(0.4);
  // How much is done in the time is the machine's matter; that something is done, also while things are broken, is not.
  if (!saysSomething(report)) report = await rightAll(2);
  expect(report.faults.length).toBeGreaterThan(2);
  expect(report.amidFaults).toBeGreaterThan(0);
  expect(report.operations).toBeGreaterThan(report.amidFaults);
  expect(report.made.whole, JSON.stringify(report.made)).toBeGreaterThan(0);
}, 600_000);

test('wrong use is told in one line', async () => {
  const { code, stderr } = await chaos('--minutes', 'many');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^\nchaos: --minutes: "many" is not a number from 0.05 to 10000\n$/);
});
