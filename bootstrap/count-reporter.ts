// Writes the plain closing lines of a test run: each failure with its reason in a line, then "N passed, N failed",
// where bootstrap/test.sh prints them last.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule } from 'vitest/node';

/** Of the failures, as many are named. */
const NAMED = 40;
const REASON_CHARS = 300;

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly { message: string }[]): void {
    const file = process.env.ODONATA_COUNT_FILE;
    assert(file, 'ODONATA_COUNT_FILE names the file for the count');
    const failures = errors.map(({ message }) => failure('outside of a test', message));
    const count = { passed: 0, skipped: 0 };
    for (const module of modules) {
      const path = relative(process.cwd(), module.moduleId);
      // A file that fails to load has no tests that could fail.
      for (const { message } of module.errors()) failures.push(failure(path, message));
      for (const test of module.children.allTests()) {
        const { state, errors: reasons } = test.result();
        if (state === 'passed' || state === 'skipped') count[state] += 1;
        else failures.push(failure(`${path} > ${test.fullName}`, reasons?.[0]?.message ?? 'never finished'));
      }
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    const lines = failures.slice(0, NAMED);
    if (failures.length > NAMED) lines.push(`failed: and ${failures.length - NAMED} more`);
    lines.push(`${count.passed} passed, ${failures.length} failed${skipped}`);
    writeFileSync(file, `${lines.join('\n')}\n`);
  }
}

/** One line, whatever the reason's length. */
const failure = (where: string, reason: string): string =>
  `failed: ${where}: ${stripVTControlCharacters(reason).replace(/\s+/g, ' ').slice(0, REASON_CHARS)}`;
