/**
 * Source packages of Debian, fetched by apt into build/sources, once: programs that nobody here wrote. Where there is no
 * apt, or it cannot reach its archive, there is none of them, and a test that wants one says so and is skipped.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SOURCES = join(import.meta.dirname, '../../build/sources');
const ARCHIVE = 'deb-src http://deb.debian.org/debian bookworm main\n';
const FETCH_MS = 60_000;

/** The folder of the unpacked upstream source, or the reason why there is none. */
export async function debianSource(name: string): Promise<{ folder: string } | { missing: string }> {
  const folder = join(SOURCES, name);
  const there = () => access(folder).then(...yesNo);
  if (await there()) return { folder };
  const work = join(SOURCES, `.${name}-${process.pid}`);
  try {
    await mkdir(join(work, 'lists/partial'), { recursive: true });
    await writeFile(join(work, 'sources.list'), ARCHIVE);
    const apt = (...args: string[]) =>
      run('apt-get', [...options(work), ...args], { cwd: work, timeout: FETCH_MS });
    await apt('update');
    // What Debian adds to it is not used: upstream's own archive is enough, should that alone be there.
    await apt('--download-only', 'source', name).catch(() => {});
    const archive = (await readdir(work)).find((file) => /\.orig\.tar\.\w+$/.test(file));
    if (archive === undefined) return { missing: `Debian's source package ${name} cannot be had` };
    await mkdir(join(work, 'source'));
    await run('tar', ['xf', archive, '-C', 'source', '--strip-components=1'], { cwd: work });
    // Who fetched the same at the same time was first, or not.
    await rename(join(work, 'source'), folder).catch(async (error) => {
      if (!(await there())) throw error;
    });
    return { folder };
  } catch (error) {
    return {
      missing: `Debian's source package ${name} cannot be had: ${(error as Error).message.split('\n')[0]}`,
    };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const yesNo = [() => true, () => false] as const;

const options = (work: string): string[] =>
  [
    `Dir::Etc::sourcelist=${work}/sources.list`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::lists=${work}/lists`,
    `Dir::Cache=${work}`,
    // All of it is in a folder of ours.
    'APT::Sandbox::User=',
  ].flatMap((option) => ['-o', option]);
