// Makes the bundle of libs/rpc/bundle.ts, with rolldown. Its folder is named after what is in it, appears whole or not at
// all, and is never changed: several may make one at a time, and clusters run from it. The record is put in its place last.
import { createHash, randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BUNDLE_RECORD,
  BUNDLES,
  type BundleRecord,
  currentBundle,
  type FileStamp,
  stampOf,
} from '@odonata/rpc/bundle.ts';
import type { InputOptions, OutputChunk, OutputOptions } from 'rolldown';
import { LATE_BANNER, lateModules } from '../snapshot/late-modules.ts';
import { SNAPSHOT_CODE } from '../snapshot/make.ts';
import { stayInPlace } from './stay-in-place.ts';

const SERVICES = fileURLToPath(new URL('../..', import.meta.url));

/** By the name of their files; those of a group share code. What a thread or a small process loads is not shared. */
const GROUPS: readonly Readonly<Record<string, string>>[] = [
  {
    vkctl: 'vkctl/main.ts',
    supervisor: 'vkctl/supervisor/main.ts',
    door: 'vkctl/door/main.ts',
    syslinkd: 'syslinkd/main.ts',
    cohd: 'cohd/main.ts',
    pmapd: 'pmapd/main.ts',
    vkerneld: 'vkerneld/main.ts',
    vkernel: 'vkerneld/vkernel/main.ts',
    confined: 'vkerneld/vkernel/confined.ts',
  },
  { launch: 'vkctl/bundle/launch.ts' },
  { 'janitor-main': 'vkctl/supervisor/janitor-main.ts' },
  { 'fault-thread': '../libs/pmap/fault-thread.ts' },
  { 'guest-thread': 'vkerneld/vkernel/guest-thread.ts' },
];

/** By source: what is loaded by its URL, from a file of the same bundle. */
const THREADS = new Map(
  ['../libs/pmap/fault-thread', 'vkerneld/vkernel/guest-thread'].map((thread) => [
    join(SERVICES, `${thread}.ts`),
    `./${basename(thread)}.mjs`,
  ]),
);

/**
 * Native code, a package that reads files of its own, what makes bundles, what ink loads for its developers only, and what
 * traces: it asks whether the credentials that it makes are of the same copy of grpc-js.
 */
const EXTERNAL = [
  ...['koffi', '@grpc/proto-loader', 'rolldown', 'rolldown/utils', 'react-devtools-core'],
  ...['exporter-trace-otlp-grpc', 'resources', 'sdk-trace'].map((name) => `@opentelemetry/${name}`),
];
/** Clocks of files are coarse, by some milliseconds. */
const CLOCK_MS = 50;
/** Node looks for one from a module's folder upwards: those above are no business of a virtual kernel, which may not read them. */
const PACKAGE = JSON.stringify({ type: 'module' });
/** So many are kept beside those that processes run from. */
const KEPT = 8;

/** Makes a bundle unless the one that is there is made of the files as they are now. @returns false: it could not, for files changed meanwhile */
export async function makeBundle(): Promise<boolean> {
  if (process.env.ODONATA_BUNDLE === 'off' || currentBundle() !== undefined) return true;
  // Twice: who edits, and runs at once, has a file that is as young as the bundle.
  return (await tryMake()) || (await tryMake());
}

async function tryMake(): Promise<boolean> {
  // Before the work: a checkout of somebody else's is told apart at once.
  mkdirSync(BUNDLES, { recursive: true });
  accessSync(BUNDLES, constants.W_OK);
  const startedMs = Date.now();
  const snapshot = await snapshotOf();
  const chunks = [...(await Promise.all(GROUPS.map(chunksOf))).flat(), snapshot];
  const files = stampsOf(chunks.flatMap((chunk) => chunk.moduleIds));
  // It may have been read before that change.
  if (files.some(([, , , ctimeMs]) => ctimeMs! > startedMs - CLOCK_MS)) return false;
  const folder = place(chunks);
  const programs = GROUPS.flatMap((group) => Object.entries(group)).map(
    ([name, source]) => [join(SERVICES, source), join(folder, `${name}.mjs`)] as const,
  );
  const record: BundleRecord = {
    folder,
    programs: Object.fromEntries(programs),
    files,
    snapshot: stampsOf(snapshot.moduleIds).map(([path]) => path),
  };
  const temporary = join(newFolder(), 'record');
  writeFileSync(temporary, JSON.stringify(record));
  renameSync(temporary, BUNDLE_RECORD);
  rmSync(dirname(temporary), { recursive: true });
  removeOld();
  return true;
}

async function chunksOf(group: Readonly<Record<string, string>>): Promise<OutputChunk[]> {
  const input = Object.entries(group).map(([name, source]) => [name, join(SERVICES, source)]);
  return await chunksBy(
    {
      input: Object.fromEntries(input),
      external: EXTERNAL,
      plugins: [stayInPlace(THREADS)],
    },
    {
      format: 'esm',
      keepNames: true,
      entryFileNames: '[name].mjs',
      chunkFileNames: '[name]-[hash].mjs',
    },
  );
}

/** One script, and small: each byte of it is read at each start. */
async function snapshotOf(): Promise<OutputChunk> {
  const [chunk] = await chunksBy(
    {
      input: join(SERVICES, 'vkctl/snapshot/main.ts'),
      plugins: [lateModules(EXTERNAL, SERVICES), stayInPlace(THREADS)],
    },
    {
      format: 'cjs',
      minify: { mangle: { keepNames: true }, compress: true, codegen: true },
      keepNames: true,
      codeSplitting: false,
      entryFileNames: SNAPSHOT_CODE,
      banner: LATE_BANNER,
    },
  );
  // One character that is not Latin-1 would have V8 keep two bytes for each of them.
  const code = chunk!.code.replace(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return { ...chunk!, code };
}

async function chunksBy(input: InputOptions, output: OutputOptions): Promise<OutputChunk[]> {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({ platform: 'node', tsconfig: false, ...input });
  try {
    return (await bundle.generate(output)).output.filter((chunk) => chunk.type === 'chunk');
  } finally {
    await bundle.close();
  }
}

/** Of each module, and of the package.json that says how it is found and read. */
function stampsOf(modules: readonly string[]): FileStamp[] {
  const sources = modules.filter((path) => path.startsWith('/'));
  const paths = new Set([...sources, ...sources.map((path) => packageOf(dirname(path)))]);
  return [...paths].map((path) => [path, ...(stampOf(path) ?? [])]);
}

function packageOf(folder: string): string {
  const file = join(folder, 'package.json');
  return existsSync(file) || folder === '/' ? file : packageOf(dirname(folder));
}

function place(chunks: readonly OutputChunk[]): string {
  const files = [
    ...chunks.map(({ fileName, code }) => [fileName, code] as const),
    ['package.json', PACKAGE] as const,
  ];
  const hash = createHash('sha256');
  for (const [fileName, code] of files) hash.update(`${fileName}\0${code}\0`);
  const folder = join(BUNDLES, hash.digest('hex').slice(0, 16));
  if (existsSync(folder)) return folder;
  const made = newFolder();
  for (const [fileName, code] of files) writeFileSync(join(made, fileName), code);
  try {
    renameSync(made, folder);
  } catch (error) {
    rmSync(made, { recursive: true });
    if (!existsSync(folder)) throw error; // Else another one made it meanwhile.
  }
  return folder;
}

/** As the umask says: who may read the sources may run their bundle. */
function newFolder(): string {
  const folder = join(BUNDLES, `new-${randomUUID()}`);
  mkdirSync(folder);
  return folder;
}

/** All but the youngest, and those that a process was started from. */
function removeOld(): void {
  const folders = readdirSync(BUNDLES, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(BUNDLES, name))
    .map((path) => ({ path, ms: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.ms - a.ms)
    .slice(KEPT);
  if (folders.length === 0) return;
  const commands = commandLines();
  for (const { path } of folders)
    if (!commands.some((command) => command.includes(path))) rmSync(path, { recursive: true, force: true });
}

function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return ''; // It ended.
      }
    });
}
