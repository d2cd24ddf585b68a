// Writes the plain closing line of a test run, "N passed, N failed", where bootstrap/test.sh prints it last.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const file = process.env.ODONATA_COUNT_FILE;
    assert(file, 'ODONATA_COUNT_FILE names the file for the count');
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      // A file that fails to load has no tests that could fail.
      count.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed' || state === 'failed' || state === 'skipped') count[state] += 1;
        else count.failed += 1; // Never finished.
      }
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    writeFileSync(file, `${count.passed} passed, ${count.failed} failed${skipped}\n`);
  }
}
