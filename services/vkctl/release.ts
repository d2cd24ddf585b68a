// What this is, for people: the release, the commit that it is of, and which versions of the wire it speaks.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WIRE } from '@odonata/rpc/wire-version.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Of a package, written when it was packed. */
const COMMIT_FILE = fileURLToPath(new URL('COMMIT', import.meta.url));
const SHORT = 12;

/** `0.2.0 (commit 2f9d25130411, wire 2)`; without a commit where nobody knows it. */
export function releaseLine(release: string): string {
  const commit = commitHere();
  const { oldest, newest } = WIRE;
  const wire = oldest === newest ? `wire ${newest}` : `wire ${oldest} to ${newest}`;
  return `${release} (${commit === undefined ? '' : `commit ${commit.slice(0, SHORT)}, `}${wire})`;
}

/** Read, and not asked of git: it may not be there, and takes longer than all else that --version does. */
export function commitHere(): string | undefined {
  const packed = read(COMMIT_FILE);
  if (packed !== undefined) return commitIn(packed);
  const head = read(join(ROOT, '.git/HEAD'));
  const ref = /^ref: (\S+)$/m.exec(head ?? '')?.[1];
  if (ref === undefined) return commitIn(head);
  const line = read(join(ROOT, '.git/packed-refs'))
    ?.split('\n')
    .find((each) => each.endsWith(` ${ref}`));
  return commitIn(read(join(ROOT, '.git', ref))) ?? commitIn(line);
}

const commitIn = (text: string | undefined): string | undefined => /^[0-9a-f]{40}\b/.exec(text ?? '')?.[0];

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // Of no checkout, or one whose git directory is elsewhere.
  }
}
