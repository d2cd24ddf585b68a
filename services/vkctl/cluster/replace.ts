// A request to the supervisor to replace a service by another process of it: a file with its name, and SIGUSR2.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { signalIdentity } from './identity.ts';
import type { ClusterPaths } from './paths.ts';
import type { ClusterRecord } from './record.ts';

const fileOf = (runtimeDir: string): string => join(runtimeDir, 'replace');

/** Services that can hand over to another process on their machine. */
export const canBeReplaced = (name: string, { replaces }: ClusterRecord): boolean =>
  replaces === true && /\/pmapd$/.test(name);

/** Asks; the record tells when it is done. @returns false: the supervisor does not run */
export function askToReplace(name: string, { plan, supervisor }: ClusterRecord): boolean {
  writeFileSync(fileOf(plan.runtimeDir), name, { mode: 0o600 });
  return signalIdentity(supervisor, 'SIGUSR2');
}

/** What was asked last; undefined: nothing since then. */
export function takeReplaceRequest({ runtimeDir }: Pick<ClusterPaths, 'runtimeDir'>): string | undefined {
  const file = fileOf(runtimeDir);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    rmSync(file, { force: true });
  }
}
