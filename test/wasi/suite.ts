// wasi-testsuite's tests of preview 1, by the adapter: what they are, and whether they pass. The suite itself is not here.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { startCommand } from '../cluster/command.ts';
import { findCompiler, run } from '../guests/toolchain.ts';

const ADAPTER = join(import.meta.dirname, 'adapter.py');
/** Of one test: some wait for clocks. */
const TEST_MS = 60_000;

/** As in doc/specification.md of the suite, its older form, which all tests of preview 1 have. */
interface Specification {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: string | null;
  readonly exit_code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

export interface Outcome {
  readonly name: string;
  /** Empty: it passed. */
  readonly failures: readonly string[];
}

/** The folders of a suite that hold tests of preview 1 as modules. */
function moduleFolders(suite: string): string[] {
  return ['c', 'rust', 'assemblyscript']
    .map((language) => join(suite, 'tests', language, 'testsuite/wasm32-wasip1'))
    .filter((folder) => existsSync(folder));
}

/** Copies the tests to `into`, since they write beside themselves; of a suite without modules what can be compiled here. */
export async function takeTests(suite: string, into: string): Promise<string[]> {
  const folders = moduleFolders(suite).map((from, i) => {
    const to = join(into, `${i}`);
    cpSync(from, to, { recursive: true });
    return to;
  });
  if (folders.length > 0) return folders;
  const sources = join(suite, 'tests/c/src');
  if (!existsSync(sources)) throw new Error(`${suite} holds no wasi-testsuite: no tests/c below it`);
  const to = join(into, 'c');
  cpSync(sources, to, { recursive: true });
  const { command } = await findCompiler();
  for (const file of readdirSync(to).filter((name) => name.endsWith('.c'))) {
    const out = join(to, file.replace(/c$/, 'wasm'));
    const built = await run(command, ['--target=wasm32-wasi', '-w', join(to, file), '-o', out], to);
    if (built.code !== 0) throw new Error(`${file} does not build:\n${built.output}`);
  }
  return [to];
}

/** One test after another, for they share a folder. */
export async function* runTests(folder: string, env: NodeJS.ProcessEnv): AsyncGenerator<Outcome> {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.wasm'))) {
    yield { name: basename(file, '.wasm'), failures: await failuresOf(folder, file, env) };
  }
}

async function failuresOf(folder: string, file: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const described = join(folder, file.replace(/wasm$/, 'json'));
  const wanted: Specification = existsSync(described) ? JSON.parse(readFileSync(described, 'utf8')) : {};
  const command = ['python3', ADAPTER, '--test-file', join(folder, file)];
  for (const word of wanted.args ?? []) command.push(`--arg=${word}`);
  for (const [name, value] of Object.entries(wanted.env ?? {})) command.push(`--env=${name}=${value}`);
  if (wanted.root) {
    const root = join(folder, wanted.root);
    mkdirSync(root, { recursive: true });
    for (const left of readdirSync(root).filter((name) => name.endsWith('.cleanup')))
      rmSync(join(root, left), { recursive: true });
    command.push('--dir', `${root}::/`);
  }
  const { code, stdout, stderr } = await startCommand(command, { env, timeoutMs: TEST_MS }).ended;
  const failures: string[] = [];
  if (code !== (wanted.exit_code ?? 0))
    failures.push(`exit code ${code}, not ${wanted.exit_code ?? 0}: ${stderr}`);
  if (wanted.stdout !== undefined && stdout !== wanted.stdout) failures.push(`stdout "${stdout}"`);
  if (wanted.stderr !== undefined && stderr !== wanted.stderr) failures.push(`stderr "${stderr}"`);
  return failures;
}
