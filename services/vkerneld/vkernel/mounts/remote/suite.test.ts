// wasi-testsuite on a folder of another node, where ODONATA_WASI_TESTSUITE says where a checkout with modules is: each test of preview 1
// that wants a folder has one at "/" whose files are reached by messages alone.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FolderLoopback } from '../../testdata/folder-loopback.ts';
import { TestMachine } from '../../testdata/run-process.ts';

const suite = process.env.ODONATA_WASI_TESTSUITE;
const folder = mkdtempSync(join(tmpdir(), 'odonata-remote-suite-'));
const machine = new TestMachine();
afterAll(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});

const tests = ['c', 'rust', 'assemblyscript'].flatMap((language) => {
  const modules = join(suite ?? '/nowhere', 'tests', language, 'testsuite/wasm32-wasip1');
  const names = existsSync(modules) ? readdirSync(modules).filter((name) => name.endsWith('.wasm')) : [];
  return names.map((name) => ({ name: name.replace('.wasm', ''), path: join(modules, name), modules }));
});

test.skipIf(suite !== undefined)('wasi-testsuite is not here', () => {});

test.each(tests)('$name', async ({ path, modules, name }) => {
  const described = path.replace(/wasm$/, 'json');
  const wanted = existsSync(described) ? JSON.parse(readFileSync(described, 'utf8')) : {};
  if (wanted.root === undefined) return;
  const root = join(folder, name);
  cpSync(join(modules, wanted.root), root, { recursive: true, filter: (each) => !each.endsWith('.cleanup') });
  const loopback = new FolderLoopback(root);
  const run = machine.run(new Uint8Array(readFileSync(path)), {
    args: wanted.args ?? [],
    env: Object.entries(wanted.env ?? {}).map(([name, value]) => `${name}=${value}`),
    mounts: new Map([['', loopback.mount().top]]),
    stdin: '',
  });
  const { code, reason } = await run.exited;
  expect({ code, reason, stderr: run.stderr() }).toEqual({
    code: wanted.exit_code ?? 0,
    reason: expect.anything(),
    stderr: wanted.stderr ?? expect.anything(),
  });
  if (wanted.stdout !== undefined) expect(run.stdout()).toBe(wanted.stdout);
  expect([...run.troubles, ...loopback.troubles]).toEqual([]);
  loopback.close();
});
