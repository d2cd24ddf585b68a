// node test/wasi/main.ts SUITE: wasi-testsuite's tests of preview 1 on the cluster that vkctl means, a line each.
// The cluster has to allow the folder of temporary files: vkctl up --allow-dir /tmp
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTests, takeTests } from './suite.ts';

const suite = process.argv[2];
if (suite === undefined) {
  console.error(
    'usage: node test/wasi/main.ts SUITE   (a checkout of wasi-testsuite; branch prod/testsuite-base has modules)',
  );
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'odonata-wasi-testsuite-'));
let passed = 0;
let failed = 0;
try {
  for (const tests of await takeTests(suite, folder)) {
    for await (const { name, failures } of runTests(tests, process.env)) {
      console.log(
        `${failures.length === 0 ? 'passed' : 'FAILED'}  ${name}${failures.map((each) => `\n        ${each}`).join('')}`,
      );
      if (failures.length === 0) passed++;
      else failed++;
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
