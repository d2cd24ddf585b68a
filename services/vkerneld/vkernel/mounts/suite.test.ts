// wasi-testsuite on a file system in memory, where ODONATA_WASI_TESTSUITE says where a checkout with modules is: each test of preview 1
// that wants a folder has one at "/" that is no folder of the host.
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import { TestMachine } from '../testdata/run-process.ts';
import { isOfSuite, runSuiteTest, suite, suiteTests } from '../testdata/wasi-testsuite.ts';
import { FrameStore, PlainFrames } from './frame-store.ts';
import { MemoryTree } from './memory-tree.ts';
import type { Folder } from './tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-mounts-suite-'));
const machine = new TestMachine();
afterAll(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});
if (suite === undefined)
  console.log('wasi-testsuite in memory is skipped: ODONATA_WASI_TESTSUITE says where it is');

async function copy(from: string, to: Folder): Promise<void> {
  for (const name of readdirSync(from)) {
    if (!isOfSuite(name)) continue;
    const path = join(from, name);
    if (statSync(path).isDirectory()) {
      await to.mkdir(name);
      await copy(path, (await to.lookup(name)) as Folder);
      continue;
    }
    const file = await (await to.create(name)).open({ reads: true, writes: true, truncates: false });
    await file.write(0, readFileSync(path));
    await file.close();
  }
}

test.skipIf(suite !== undefined)('wasi-testsuite is not here', () => {});

test.each(suiteTests)('$name', async (test) => {
  const memory = openSync(join(folder, 'memory'), 'w+');
  try {
    const tree = new MemoryTree(new FrameStore(new PlainFrames(memory), 10_000), 1n);
    if (test.root !== undefined) await copy(test.root, tree.root);
    await runSuiteTest(
      machine,
      test,
      test.root === undefined ? { bare: true } : { mounts: new Map([['', tree.root]]) },
    );
  } finally {
    closeSync(memory);
  }
});
