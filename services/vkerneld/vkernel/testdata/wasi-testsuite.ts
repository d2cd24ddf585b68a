// The tests of wasi-testsuite for preview 1, where ODONATA_WASI_TESTSUITE says where a checkout with modules is.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TestMachine } from './run-process.ts';

interface Wanted {
  /** A folder beside the module, at "/". */
  readonly root?: string;
  readonly args?: string[];
  readonly env?: Record<string, string>;
  readonly exit_code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

export interface SuiteTest {
  readonly name: string;
  readonly wanted: Wanted;
  readonly module: () => Uint8Array<ArrayBuffer>;
  /** Of the host. Undefined: it wants none. */
  readonly root: string | undefined;
}

/** Undefined: it is not here. */
export const suite = process.env.ODONATA_WASI_TESTSUITE;

export const suiteTests: readonly SuiteTest[] = ['c', 'rust', 'assemblyscript'].flatMap((language) => {
  const modules = join(suite ?? '/nowhere', 'tests', language, 'testsuite/wasm32-wasip1');
  const names = existsSync(modules) ? readdirSync(modules).filter((name) => name.endsWith('.wasm')) : [];
  return names.map((name): SuiteTest => {
    const path = join(modules, name);
    const described = path.replace(/wasm$/, 'json');
    const wanted: Wanted = existsSync(described) ? JSON.parse(readFileSync(described, 'utf8')) : {};
    return {
      name: name.replace('.wasm', ''),
      wanted,
      module: () => new Uint8Array(readFileSync(path)),
      root: wanted.root && join(modules, wanted.root),
    };
  });
});

/** What the suite itself leaves out of a folder. */
export const isOfSuite = (path: string): boolean => !path.endsWith('.cleanup');

/** Runs one to its end, and sees that it came to what its description says. */
export async function runSuiteTest(
  machine: TestMachine,
  { wanted, module }: SuiteTest,
  place: Pick<Parameters<TestMachine['run']>[1] & object, 'mounts' | 'bare'>,
): Promise<void> {
  const run = machine.run(module(), {
    args: wanted.args ?? [],
    env: Object.entries(wanted.env ?? {}).map(([name, value]) => `${name}=${value}`),
    ...place,
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
}
