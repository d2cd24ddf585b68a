// Programs of a checkout as few files instead of some hundreds, which more than halves what the start of one costs.
// `vkctl up` and `make setup` make the bundle (services/vkctl/bundle); images have none.
//
// A bundle counts only while every file that went into it is what it was: asked at each start of a program, by size and
// times of each file. Else programs run from their sources, so an edited source never runs as its old self. A file that
// is written gets a new ctime, which nobody can set.
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const BUNDLES = fileURLToPath(new URL('../../build/bundle', import.meta.url));
export const BUNDLE_RECORD = `${BUNDLES}/current.json`;

/** Path, size, mtime, ctime, inode. */
export type FileStamp = readonly [path: string, ...stamp: number[]];

export interface BundleRecord {
  /** Where its files are; never written again once it is there. */
  readonly folder: string;
  /** File of the bundle by source. */
  readonly programs: Readonly<Record<string, string>>;
  readonly files: readonly FileStamp[];
  /** Those of them that vkctl's snapshot is made of; absent: it was made before there was one. */
  readonly snapshot?: readonly string[];
}

const MAY_LACK = { throwIfNoEntry: false } as const;

let seen: { record: BundleRecord | undefined } | undefined;

/** What to run instead of a program's source: its file in the bundle, or the source itself. */
export function bundled(source: string): string {
  return currentBundle()?.programs[source] ?? source;
}

/** The bundle, where there is one that is made of the files as they are now. */
export function currentBundle(): BundleRecord | undefined {
  // Once a turn: the programs of a cluster are started in one.
  if (seen === undefined) {
    seen = { record: readCurrent() };
    setImmediate(() => {
      seen = undefined;
    }).unref();
  }
  return seen.record;
}

function readCurrent(): BundleRecord | undefined {
  if (process.env.ODONATA_BUNDLE === 'off') return undefined;
  try {
    const record = JSON.parse(readFileSync(BUNDLE_RECORD, 'utf8')) as BundleRecord;
    const isThere = Object.values(record.programs).every((file) => statSync(file, MAY_LACK));
    return isThere && record.files.every(isUnchanged) ? record : undefined;
  } catch {
    // None was made, or by another version.
    return undefined;
  }
}

/** Of hundreds at each start, in code that V8 has not run before: an array for each of them would double what that takes. */
export function isUnchanged(stamp: FileStamp): boolean {
  const now = statSync(stamp[0], MAY_LACK);
  if (now === undefined) return false;
  return (
    now.size === stamp[1] && now.mtimeMs === stamp[2] && now.ctimeMs === stamp[3] && now.ino === stamp[4]
  );
}

/** Undefined where there is no such file. */
export function stampOf(path: string): number[] | undefined {
  const stats = statSync(path, MAY_LACK);
  return stats && [stats.size, stats.mtimeMs, stats.ctimeMs, stats.ino];
}
