import { spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The C compiler for guests: Debian's and Ubuntu's own clang, lld and wasi-libc. Versions differ from release to
 * release (Debian 12 has clang 14), so any that knows wasm32 and finds its run-time library will do.
 */
const APT_COMMAND = 'apt-get install -y clang lld wasi-libc libclang-rt-dev-wasm32';

const COMPILERS = [
  'clang',
  'clang-20',
  'clang-19',
  'clang-18',
  'clang-17',
  'clang-16',
  'clang-15',
  'clang-14',
];

export interface Compiler {
  readonly command: string;
  /** First line of `--version`: part of a build's identity. */
  readonly version: string;
}

/** What a command said. Rejects when it cannot be started at all. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: systemPath() },
    });
    let output = '';
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/**
 * clang hands its result to any wasm-opt on the PATH, where npm puts the one of node_modules: guests would differ with
 * who started the build, and lose the names of their functions.
 */
export function systemPath(): string {
  const folders = (process.env.PATH ?? '').split(':');
  return folders.filter((folder) => !folder.includes('node_modules')).join(':');
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

let found: Promise<Compiler> | undefined;

/** Finds the compiler once; throws one line with the command that installs what is missing. */
export function findCompiler(): Promise<Compiler> {
  found ??= search();
  return found;
}

async function search(): Promise<Compiler> {
  const missing: string[] = [];
  for (const command of COMPILERS) {
    let version: string;
    try {
      version = (await run(command, ['--version'], '/')).output.split('\n')[0] ?? command;
    } catch {
      continue; // Not installed: the next one may be.
    }
    const lacks = await lackOf(command);
    if (lacks === undefined) return { command, version };
    missing.push(`${command}: ${lacks}`);
  }
  const why = missing.length === 0 ? 'no clang' : missing.join('; ');
  throw new Error(`no C compiler for guests (${why}): ${APT_COMMAND}`);
}

/** What `command` lacks to make a WASI program, or undefined. */
async function lackOf(command: string): Promise<string | undefined> {
  if (!(await exists('/usr/lib/wasm32-wasi/libc.a'))) return 'wasi-libc is missing';
  const runtime = await run(command, ['--target=wasm32-wasi', '-print-libgcc-file-name'], '/');
  if (!(await exists(runtime.output.trim()))) return 'the wasm32 run-time library (libclang-rt) is missing';
  const linker = await run(command, ['--target=wasm32-wasi', '-print-prog-name=wasm-ld'], '/');
  const path = linker.output.trim();
  if (path.startsWith('/') ? await exists(path) : await onPath(path)) return undefined;
  return 'wasm-ld (lld) is missing';
}

async function onPath(command: string): Promise<boolean> {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    if (folder !== '' && (await exists(join(folder, command)))) return true;
  }
  return false;
}
