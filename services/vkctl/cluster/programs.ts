// The programs of a login: built once from sources of this repository and of toybox, and copied into the folder of each cluster.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { explain, Failure } from '../failure.ts';
import { programsDir } from './kept-store.ts';
import { waitForLock } from './lock.ts';
import type { ClusterPaths } from './paths.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BUILT = join(ROOT, 'build/programs');
const TOYBOX = 'toybox_0.8.9+dfsg.orig.tar.xz';
/** Of Debian; what it once had, its archive of snapshots has for good. */
const TOYBOX_URLS = [
  `http://deb.debian.org/debian/pool/main/t/toybox/${TOYBOX}`,
  `http://snapshot.debian.org/archive/debian/20230201T000000Z/pool/main/t/toybox/${TOYBOX}`,
];
const TOYBOX_SHA256 = '16fb5967531e88ca33b8c9142376987617ebe52e34e2b3f3a779603674b7d07c';
const FETCH_MS = 60_000;
const BUILD_MS = 300_000;
const FOLDERS = ['programs', 'libs/guest/posix', 'libs/guest/odonata.h'];

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

let found: Promise<string> | undefined;

/** Where the programs are, or would be, made of the sources as they are when this is asked first. */
function builtFolder(): Promise<string> {
  found ??= lookForFolder();
  return found;
}

async function lookForFolder(): Promise<string> {
  const hash = createHash('sha256').update(TOYBOX_SHA256);
  for (const path of (await Promise.all(FOLDERS.map((folder) => filesOf(join(ROOT, folder))))).flat())
    hash.update(`\n${path.slice(ROOT.length)}\n`).update(await readFile(path));
  return join(BUILT, hash.digest('hex').slice(0, 16));
}

async function filesOf(path: string): Promise<string[]> {
  if (!(await lstat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => !name.endsWith('.md')).sort();
  return (await Promise.all(names.map((name) => filesOf(join(path, name))))).flat();
}

/** Whether this is a checkout, which has their sources. */
const hasSources = (): Promise<boolean> => isThere(join(ROOT, 'programs/build.sh'));

/** Builds them where they are not there yet. @throws Failure */
export async function buildPrograms(onNote: (line: string) => void = () => {}): Promise<string> {
  if (!(await hasSources()))
    throw new Failure('the programs of a login are built in a checkout of the repository, and this is none', {
      fix: 'Log in to a cluster that was started from one.',
    });
  const folder = await builtFolder();
  if (await isThere(folder)) return folder;
  await mkdir(BUILT, { recursive: true });
  // Whoever else wants them now waits: what one makes is there for all.
  const lock = await waitForLock(`${folder}.lock`, BUILD_MS);
  const work = `${folder}.${process.pid}`;
  try {
    if (await isThere(folder)) return folder;
    onNote('building the programs, once: that takes up to a minute');
    const source = await toyboxSource();
    const linker = await run('clang', ['--target=wasm32-wasi', '-print-prog-name=wasm-ld']);
    // clang would hand its result to a wasm-opt of npm.
    const path = (process.env.PATH ?? '').split(':').filter((each) => !each.includes('node_modules'));
    const env = { ...process.env, PATH: path.join(':'), WASM_LD: linker.stdout.trim() };
    await run('sh', [join(ROOT, 'programs/build.sh'), source, work], {
      env,
      timeout: BUILD_MS,
      maxBuffer: 1 << 26,
    });
    // Who built the same at the same time was first, or not.
    await rename(work, folder).catch(async (error) => {
      if (!(await isThere(folder))) throw error;
    });
    return folder;
  } catch (error) {
    if (error instanceof Failure) throw error;
    const lines = String((error as { stderr?: string }).stderr ?? '')
      .trim()
      .split('\n');
    // Of a compiler; what it draws below says nothing in one line.
    const errors = lines.filter((line) => line.includes('error:'));
    const said = (errors.length > 0 ? errors : lines.slice(-5)).slice(0, 3).join('; ');
    throw new Failure(`the programs do not build: ${said || explain(error)}`, {
      fix: 'Run make setup, which installs what they are built with.',
      cause: error,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
    lock?.release();
  }
}

async function toyboxSource(): Promise<string> {
  const folder = join(ROOT, 'build/sources');
  const path = join(folder, TOYBOX);
  const kept = await readFile(path).catch(() => undefined);
  if (kept !== undefined && sha256(kept) === TOYBOX_SHA256) return path;
  const tried: string[] = [];
  for (const url of TOYBOX_URLS) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (sha256(bytes) !== TOYBOX_SHA256) throw new Error('another file than the one that is pinned');
      await mkdir(folder, { recursive: true });
      await writeFile(`${path}.${process.pid}`, bytes);
      await rename(`${path}.${process.pid}`, path);
      return path;
    } catch (error) {
      // fetch says no more than that it failed; why is in the cause.
      const { message, cause } = error as Error;
      tried.push(`${url}: ${message}${cause === undefined ? '' : ` (${explain(cause)})`}`);
    }
  }
  throw new Failure(`the sources of toybox cannot be had: ${tried.join('; ')}`, {
    fix: `Put ${TOYBOX} into ${folder}.`,
  });
}

/** Gives a cluster of this machine those that are built; true where it has some now. */
export async function fillPrograms(paths: Pick<ClusterPaths, 'stateDir'>): Promise<boolean> {
  const to = programsDir(paths);
  if (!(await hasSources())) return isThere(join(to, 'sh'));
  const from = await builtFolder();
  if (!(await isThere(from))) return isThere(join(to, 'sh'));
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    const fresh = `${target}.${process.pid}`;
    if ((await lstat(source)).isSymbolicLink()) {
      if (await isThere(target)) continue;
      await symlink(await readlink(source), fresh);
    } else {
      const [old, made] = await Promise.all([readFile(target).catch(() => undefined), readFile(source)]);
      if (old !== undefined && made.equals(old)) continue;
      await copyFile(source, fresh);
    }
    await rename(fresh, target);
  }
  return true;
}
