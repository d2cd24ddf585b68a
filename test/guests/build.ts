/**
 * Builds guest programs, each once: the result is cached in build/guests under the hash of everything that it is made
 * from, so tests may ask for it as often as they like, side by side.
 *
 *   import { buildGuest } from '../guests/build.ts';
 *   const wasmPath = await buildGuest('wordcount');
 *
 * By hand: `node test/guests/build.ts [name…]` builds those (or all), one line each.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { waitForLock } from '../../services/vkctl/cluster/lock.ts';
import { type GuestSource, guests } from './catalogue.ts';
import { findCompiler, run } from './toolchain.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'build/guests');

/** wasm-ld: the stack first, so that overrunning it traps instead of writing over data; 1 MiB of it. */
const LINK_FLAGS = ['-Wl,--stack-first', '-Wl,-z,stack-size=1048576'];
const LIBRARIES = ['-lwasi-emulated-signal', '-lwasi-emulated-getpid', '-lwasi-emulated-process-clocks'];

/** As docs/parked.md has them. */
const PARKABLE_CALLS = [
  ...['poll_oneoff', 'fd_read'].map((call) => `wasi_snapshot_preview1.${call}`),
  ...['lock', 'barrier', 'wait'].map((call) => `odonata.${call}`),
];
const PARKABLE_FLAGS = [
  ...['--all-features', '--asyncify', `--pass-arg=asyncify-imports@${PARKABLE_CALLS.join(',')}`],
  ...['-O2', '--strip-debug'],
];

const BUILD_MS = 120_000;

const building = new Map<string, Promise<string>>();

/** The path of the guest's .wasm, built if need be. Throws with the compiler's own words when it does not build. */
export function buildGuest(name: string): Promise<string> {
  const source = guests[name];
  if (source === undefined) {
    throw new Error(`no guest '${name}'; there are: ${Object.keys(guests).join(', ')}`);
  }
  let path = building.get(name);
  if (path === undefined) {
    path = build(name, source);
    building.set(name, path);
  }
  return path;
}

async function build(name: string, source: GuestSource): Promise<string> {
  await requireSources(name, source);
  const tool = source.language === 'c' ? await findCompiler() : await assemblyScript();
  const target = join(CACHE, `${name}-${await contentHash(source, tool.version)}.wasm`);
  if (await touch(target)) return target;
  await mkdir(CACHE, { recursive: true });
  await alone(target, async () => {
    // Built aside and moved into place: what is there is whole.
    const unfinished = join(CACHE, `.${name}-${process.pid}-${Math.random().toString(36).slice(2)}.wasm`);
    try {
      const args =
        source.language === 'c' ? cArguments(source, unfinished) : ascArguments(source, unfinished);
      const result = await run(tool.command, args, ROOT);
      if (result.code !== 0) throw new Error(`guest ${name} does not build:\n${result.output.trim()}`);
      if (source.parkable) await makeParkable(name, unfinished);
      await rename(unfinished, target);
    } finally {
      await rm(unfinished, { force: true });
    }
  });
  await forgetOld(name, target);
  return target;
}

/** One builds, and whoever else wants the same waits: the largest keeps a processor busy for half a minute. */
async function alone(target: string, make: () => Promise<void>): Promise<void> {
  const lock = await waitForLock(`${target}.lock`, BUILD_MS);
  try {
    if (!(await touch(target))) await make();
  } finally {
    lock?.release();
  }
}

async function makeParkable(name: string, path: string): Promise<void> {
  const opt = join(ROOT, 'node_modules/binaryen/bin/wasm-opt');
  const result = await run(process.execPath, [opt, ...PARKABLE_FLAGS, path, '-o', path], ROOT);
  if (result.code !== 0)
    throw new Error(`guest ${name} does not go through wasm-opt:\n${result.output.trim()}`);
}

function cArguments(source: GuestSource, out: string): string[] {
  const includes = source.includes.flatMap((folder) => ['-I', folder]);
  return [
    '--target=wasm32-wasi',
    ...source.flags,
    ...includes,
    ...source.sources,
    '-o',
    out,
    ...LINK_FLAGS,
    ...LIBRARIES,
  ];
}

function ascArguments(source: GuestSource, out: string): string[] {
  return [
    join(ROOT, 'node_modules/assemblyscript/bin/asc.js'),
    source.sources[0]!,
    ...source.flags,
    '--outFile',
    out,
  ];
}

async function assemblyScript(): Promise<{ command: string; version: string }> {
  const manifest = JSON.parse(await readFile(join(ROOT, 'node_modules/assemblyscript/package.json'), 'utf8'));
  return { command: process.execPath, version: `asc ${manifest.version}` };
}

async function requireSources(name: string, source: GuestSource): Promise<void> {
  for (const file of source.sources) {
    try {
      await stat(join(ROOT, file));
    } catch {
      const fix = file.startsWith('node_modules/') ? ': npm install' : '';
      throw new Error(`guest ${name}: ${file} is missing${fix}`);
    }
  }
}

/** Over the sources, every header they might include, the flags and the compiler. */
async function contentHash(source: GuestSource, toolVersion: string): Promise<string> {
  const headers: string[] = [];
  for (const folder of new Set([...source.includes, ...source.sources.map((file) => join(file, '..'))])) {
    const names = await readdir(join(ROOT, folder));
    headers.push(...names.filter((file) => file.endsWith('.h')).map((file) => join(folder, file)));
  }
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([
      source.parkable ? PARKABLE_FLAGS : 'no wasm-opt',
      toolVersion,
      source.flags,
      LINK_FLAGS,
      LIBRARIES,
    ]),
  );
  for (const file of [...source.sources, ...[...new Set(headers)].sort()]) {
    hash.update(`\n${file}\n`).update(await readFile(join(ROOT, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Marks a cached file as used; false when it is not there. */
async function touch(path: string): Promise<boolean> {
  try {
    const now = new Date();
    await utimes(path, now, now);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Drops builds of the same guest that nobody asked for in a day; another test may still use a younger one. */
async function forgetOld(name: string, kept: string): Promise<void> {
  const pattern = new RegExp(`^\\.?${name}-[0-9a-z-]+\\.wasm$`);
  for (const file of await readdir(CACHE)) {
    const path = join(CACHE, file);
    if (path === kept || !pattern.test(file)) continue;
    const age = await stat(path).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0, // Gone meanwhile.
    );
    if (age > 86_400_000) await rm(path, { force: true });
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(guests);
  for (const name of names) {
    const startMs = performance.now();
    try {
      const path = await buildGuest(name);
      const bytes = (await stat(path)).size;
      console.log(
        `${name.padEnd(16)} ${String(bytes).padStart(8)} bytes  ${path.slice(ROOT.length + 1)}  ${Math.round(performance.now() - startMs)} ms`,
      );
    } catch (error) {
      console.error((error as Error).message);
      process.exitCode = 1;
    }
  }
}
