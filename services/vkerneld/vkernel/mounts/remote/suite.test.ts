// wasi-testsuite on a folder of another node, where ODONATA_WASI_TESTSUITE says where a checkout with modules is: each test of preview 1
// that wants a folder has one at "/" whose files are reached by messages alone.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FolderLoopback } from '../../testdata/folder-loopback.ts';
import { TestMachine } from '../../testdata/run-process.ts';
import { isOfSuite, runSuiteTest, suite, suiteTests } from '../../testdata/wasi-testsuite.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-remote-suite-'));
const machine = new TestMachine();
afterAll(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});

test.skipIf(suite !== undefined)('wasi-testsuite is not here', () => {});

test.each(suiteTests.filter(({ root }) => root !== undefined))('$name', async (test) => {
  const root = join(folder, test.name);
  cpSync(test.root!, root, { recursive: true, filter: isOfSuite });
  const loopback = new FolderLoopback(root);
  await runSuiteTest(machine, test, { mounts: new Map([['', loopback.mount().top]]) });
  expect(loopback.troubles).toEqual([]);
  loopback.close();
});
