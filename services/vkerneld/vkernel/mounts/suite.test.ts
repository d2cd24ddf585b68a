// wasi-testsuite on a file system in memory, where ODONATA_WASI_TESTSUITE says where a checkout with modules is: each test of preview 1
// that wants a folder has one at "/" that is no folder of the host.
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { TestMachine } from '../testdata/run-process.ts';
import { FrameStore, PlainFrames } from './frame-store.ts';
import { MemoryTree } from './memory-tree.ts';
import type { Folder } from './tree.ts';

const suite = process.env.ODONATA_WASI_TESTSUITE;
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
    if (name.endsWith('.cleanup')) continue;
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

const tests = ['c', 'rust', 'assemblyscript'].flatMap((language) => {
  const modules = join(suite ?? '/nowhere', 'tests', language, 'testsuite/wasm32-wasip1');
  const names = existsSync(modules) ? readdirSync(modules).filter((name) => name.endsWith('.wasm')) : [];
  return names.map((name) => ({ name: name.replace('.wasm', ''), path: join(modules, name), modules }));
});

test.skipIf(suite !== undefined)('wasi-testsuite is not here', () => {});

test.each(tests)('$name', async ({ path, modules }) => {
  const described = path.replace(/wasm$/, 'json');
  const wanted = existsSync(described) ? JSON.parse(readFileSync(described, 'utf8')) : {};
  const memory = openSync(join(folder, 'memory'), 'w+');
  try {
    const tree = new MemoryTree(new FrameStore(new PlainFrames(memory), 10_000), 1n);
    if (wanted.root) await copy(join(modules, wanted.root), tree.root);
    const run = machine.run(new Uint8Array(readFileSync(path)), {
      args: wanted.args ?? [],
      env: Object.entries(wanted.env ?? {}).map(([name, value]) => `${name}=${value}`),
      ...(wanted.root ? { mounts: new Map([['', tree.root]]) } : { bare: true }),
      stdin: '',
    });
    const { code, reason } = await run.exited;
    expect({ code, reason, stderr: run.stderr() }).toEqual({
      code: wanted.exit_code ?? 0,
      reason: expect.anything(),
      stderr: wanted.stderr ?? expect.anything(),
    });
    if (wanted.stdout !== undefined) expect(run.stdout()).toBe(wanted.stdout);
    expect(run.troubles).toEqual([]);
  } finally {
    closeSync(memory);
  }
});
