// Counts a run of tests for bootstrap/test.sh, which prints that last (closing.ts).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestModule } from 'vitest/node';

/** Of a run of tests: what failed, in a line each, and in which file; undefined: outside of any. */
export interface Count {
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly { readonly file?: string; readonly line: string }[];
}

const REASON_CHARS = 300;

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly { message: string }[]): void {
    const to = process.env.ODONATA_COUNT_FILE;
    assert(to, 'ODONATA_COUNT_FILE names the file for the count');
    const failures: Count['failures'][number][] = errors.map(({ message }) => ({
      line: lineOf('outside of a test', message),
    }));
    const count = { passed: 0, skipped: 0 };
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      // A file that fails to load has no tests that could fail.
      for (const { message } of module.errors()) failures.push({ file, line: lineOf(file, message) });
      for (const test of module.children.allTests()) {
        const { state, errors: reasons } = test.result();
        if (state === 'passed' || state === 'skipped') count[state] += 1;
        else {
          const reason = reasons?.[0]?.message ?? 'never finished';
          failures.push({ file, line: lineOf(`${file} > ${test.fullName}`, reason) });
        }
      }
    }
    writeFileSync(to, JSON.stringify({ ...count, failures } satisfies Count));
  }
}

/** One line, whatever the reason's length. */
const lineOf = (where: string, reason: string): string =>
  `${where}: ${stripVTControlCharacters(reason).replace(/\s+/g, ' ').slice(0, REASON_CHARS)}`;
