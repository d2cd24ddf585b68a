/**
 * Runs a guest program alone, under plain `node:wasi`: what Odonata's results are compared with.
 *
 *   node test/guests/run-alone.ts [--dir HOST:GUEST]… [-e K=V]… PROGRAM.wasm [ARGUMENT]…
 *
 * Standard input, output and error are this process's. Its exit code is the program's; a trap is 134, with one line on
 * stderr. The functions of the import module `odonata` are there but trap when called: alone there is no cluster.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { WASI } from './quiet-wasi.ts';

export interface AloneOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Guest folder -> host folder. */
  readonly dirs?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Of its Node. */
  readonly nodeFlags?: readonly string[];
  /** What runs it, instead of this file. */
  readonly host?: string;
  /** Killed after so long (exit code 134); default 5 minutes. */
  readonly timeoutMs?: number;
}

export interface AloneResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const TRAP_CODE = 134;

/** Runs `wasmPath` in a child process of its own. Rejects only when that cannot be started or is aborted. */
export function runAlone(wasmPath: string, options: AloneOptions = {}): Promise<AloneResult> {
  const flags = [
    ...Object.entries(options.dirs ?? {}).flatMap(([guest, host]) => ['--dir', `${host}:${guest}`]),
    ...Object.entries(options.env ?? {}).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        ...(options.nodeFlags ?? []),
        options.host ?? import.meta.filename,
        ...flags,
        wasmPath,
        ...(options.args ?? []),
      ],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: options.timeoutMs ?? 300_000,
        killSignal: 'SIGKILL',
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
    );
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? TRAP_CODE, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) });
    });
    // A program that ends without reading its input closes the pipe: nothing is lost by that.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

interface CommandLine {
  wasmPath: string;
  args: string[];
  env: Record<string, string>;
  dirs: Record<string, string>;
}

function parseCommandLine(argv: readonly string[]): CommandLine {
  const env: Record<string, string> = {};
  const dirs: Record<string, string> = {};
  let at = 0;
  for (; at < argv.length && argv[at]!.startsWith('-'); at += 2) {
    const [flag, value = ''] = [argv[at]!, argv[at + 1]];
    const separator = flag === '--dir' ? value.lastIndexOf(':') : value.indexOf('=');
    if ((flag !== '--dir' && flag !== '-e') || separator < 1) throw new Error(`bad option ${flag} ${value}`);
    const [left, right] = [value.slice(0, separator), value.slice(separator + 1)];
    if (flag === '--dir') dirs[right] = left;
    else env[left] = right;
  }
  const wasmPath = argv[at];
  if (wasmPath === undefined) {
    throw new Error('usage: run-alone.ts [--dir HOST:GUEST]… [-e K=V]… PROGRAM.wasm [ARGUMENT]…');
  }
  return { wasmPath, args: [basename(wasmPath, '.wasm'), ...argv.slice(at + 1)], env, dirs };
}

/** Stand-ins for every function that `module` wants of `odonata`. */
function trappingImports(module: WebAssembly.Module): Record<string, () => never> {
  const imports: Record<string, () => never> = {};
  for (const wanted of WebAssembly.Module.imports(module)) {
    if (wanted.module !== 'odonata') continue;
    imports[wanted.name] = () => {
      throw new Error(`odonata.${wanted.name} was called, but the program runs alone`);
    };
  }
  return imports;
}

async function start(argv: readonly string[]): Promise<number> {
  const { wasmPath, args, env, dirs } = parseCommandLine(argv);
  const module = await WebAssembly.compile(await readFile(wasmPath));
  const wasi = new WASI({ version: 'preview1', args, env, preopens: dirs, returnOnExit: true });
  const imports = { ...wasi.getImportObject(), odonata: trappingImports(module) } as WebAssembly.Imports;
  return wasi.start(await WebAssembly.instantiate(module, imports));
}

/** Runs a program in this very process, as its command line (above) says; sets this process's exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  try {
    process.exitCode = await start(argv);
  } catch (error) {
    const trapped = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    console.error(trapped ? `trap: ${error.message}` : (error as Error).message);
    process.exitCode = trapped ? TRAP_CODE : 2;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runCommandLine(process.argv.slice(2));
}
