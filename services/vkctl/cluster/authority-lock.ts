// What stands beside the authority of a cluster is changed by one at a time (people.lock): of two at once one change would be
// forgotten, and nobody could be put out whom the lists do not have.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Failure, reasonOf } from '../failure.ts';
import { authorityDir } from './certificates.ts';
import { waitForLock } from './lock.ts';
import type { ClusterPlan } from './record.ts';

const LOCK_MS = 30_000;

export type AuthorityPlace = Pick<ClusterPlan, 'stateDir' | 'cluster'>;

/** @throws Failure where somebody else does not come to an end */
export async function alone<T>(plan: AuthorityPlace, change: () => T | Promise<T>): Promise<T> {
  const file = join(authorityDir(plan), 'people.lock');
  const lock = await waitForLock(file, LOCK_MS);
  if (lock === undefined)
    throw new Failure(`another vkctl is changing who may come into cluster "${plan.cluster}"`, {
      fix: `Try again; "fuser ${file}" shows whose process that is.`,
    });
  try {
    return await change();
  } finally {
    lock.release();
  }
}

/**
 * Whoever reads meanwhile finds the old or the new text.
 * @param lasting also whoever reads after a fall of the machine finds the new one
 * @throws Failure
 */
export function replaceFile(file: string, text: string, { lasting = false } = {}): void {
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600, flush: lasting });
    renameSync(`${file}.new`, file);
    if (lasting) settle(dirname(file));
  } catch (cause) {
    rmSync(`${file}.new`, { recursive: true, force: true });
    throw new Failure(`cannot write ${file}: ${reasonOf(cause)}`, {
      fix: 'Mend that, and do this again: until then services may differ in who is let in.',
      cause,
    });
  }
}

/** The name is on the disk, too. */
function settle(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
