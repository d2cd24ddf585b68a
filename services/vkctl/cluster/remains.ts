// Clears what a cluster leaves behind when its supervisor could not: processes, sockets, memory files, state.
// Only under the cluster's lock.
import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isVkernelUid } from '@odonata/rpc/vkernel-uids.ts';
import { cgroupsThere, removeCgroups } from '@odonata/userfault/sandbox/cgroup.ts';
import { removeClusterCgroup } from '@odonata/userfault/sandbox/cluster-cgroup.ts';
import { Failure } from '../failure.ts';
import { lodgersHere } from '../lodger/lodgers-file.ts';
import { isMember } from '../machine/membership.ts';
import { type Identity, identify, isAlive, signalIdentity } from './identity.ts';
import { besideStore, holdsHomes, holdsPages } from './kept-store.ts';
import { tryLock } from './lock.ts';
import { hasMembers } from './nodes-file.ts';
import { type ClusterPaths, clusterPaths, INDEX_MAX, nodeName } from './paths.ts';
import { letsIn } from './people.ts';
import { ownProcesses } from './supervisors.ts';

/** In the environment of every process that the supervisor starts: finds it again whoever its parent is. */
export const MARK = 'ODONATA_RUNTIME_DIR';

/**
 * Processes of the cluster. A service carries the mark; a virtual kernel, whose environment is its own
 * supervisor's choice, the path of its control socket in the same folder.
 */
export function clusterProcesses(paths: Pick<ClusterPaths, 'runtimeDir'>): Identity[] {
  const found: Identity[] = [];
  for (const { pid, environ } of ownProcesses(isOurs)) {
    const identity = environ.some((variable) => belongs(variable, paths.runtimeDir)) && identify(pid);
    if (identity && isAlive(identity)) found.push(identity);
  }
  return found;
}

/** Virtual kernels of root have uids of their own. */
function isOurs(uid: number): boolean {
  const own = process.getuid!();
  return uid === own || (own === 0 && isVkernelUid(uid));
}

function belongs(variable: string, runtimeDir: string): boolean {
  if (variable === `${MARK}=${runtimeDir}`) return true;
  return variable.startsWith(`ODONATA_VKERNEL_CONTROL=unix:${runtimeDir}/`);
}

/** Ends every process of the cluster: SIGINT, then SIGKILL after `graceMs`. Returns how many there were. */
export async function endProcesses(paths: ClusterPaths, graceMs: number): Promise<number> {
  const seen = new Set<number>();
  const endMs = Date.now() + graceMs + 5000;
  const killMs = Date.now() + graceMs;
  for (;;) {
    const alive = clusterProcesses(paths);
    if (alive.length === 0) return seen.size;
    if (Date.now() > endMs) {
      throw new Failure(`processes ${alive.map((p) => p.pid).join(', ')} outlive SIGKILL`);
    }
    for (const identity of alive) {
      if (Date.now() >= killMs) signalIdentity(identity, 'SIGKILL');
      else if (!seen.has(identity.pid)) signalIdentity(identity, 'SIGINT');
      seen.add(identity.pid);
    }
    await sleep(25);
  }
}

/**
 * Removes the cluster's folders, but for a store that is to be kept, and for the authority where somebody was let in by it.
 * True when there was anything else.
 */
export function removeFolders(paths: ClusterPaths, keepStore = false): boolean {
  const keptStore = keepStore && holdsPages(paths);
  const kept =
    keptStore ||
    (keepStore &&
      (letsIn(paths) ||
        hasMembers(paths) ||
        isMember(paths) ||
        lodgersHere(paths).length > 0 ||
        holdsHomes(paths)));
  const store = keptStore || !existsSync(paths.natsDir) ? [] : [paths.natsDir];
  const ofState = kept ? [...besideStore(paths), ...store] : [paths.stateDir];
  return [paths.memoryDir, paths.runtimeDir, ...ofState].map(removeTree).includes(true);
}

/**
 * A folder that somebody mounted a disk on, or that stands where nothing may be removed, stays: what is in it goes.
 * @returns false: there was nothing
 */
function removeTree(path: string): boolean {
  if (!existsSync(path)) return false;
  if (!lstatSync(path).isDirectory()) {
    rmSync(path, { force: true });
    return true;
  }
  // lost+found of a disk of its own is the file system's.
  const entries = readdirSync(path).filter((entry) => entry !== 'lost+found');
  for (const entry of entries) rmSync(join(path, entry), { recursive: true, force: true, maxRetries: 3 });
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (!MAY_STAY.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return entries.length > 0;
  }
}

const MAY_STAY = new Set(['EBUSY', 'EACCES', 'EPERM', 'EROFS', 'ENOTEMPTY']);

/** What clusters that lodged here have left running, where nobody looks after them; who they are stays. */
async function clearLodgers(paths: ClusterPaths, graceMs: number): Promise<void> {
  for (const { cluster } of lodgersHere(paths)) {
    const theirs = clusterPaths(cluster);
    const lock = theirs.stateDir === paths.stateDir ? undefined : tryLock(theirs.lockFile);
    if (lock === undefined) continue;
    await clearRemains(theirs, { graceMs, keepStore: true }).finally(() => lock.release());
  }
}

/** @param keepStore what durable dataspaces have in it, for the next `up` to find */
export async function clearRemains(
  paths: ClusterPaths,
  { graceMs = 4000, keepStore = false } = {},
): Promise<boolean> {
  await clearLodgers(paths, graceMs);
  const ended = await endProcesses(paths, graceMs);
  const there = cgroupsThere();
  for (let node = 1; node <= INDEX_MAX; node++) removeCgroups(join(paths.runtimeDir, nodeName(node)), there);
  await removeClusterCgroup(paths.runtimeDir);
  return removeFolders(paths, keepStore) || ended > 0;
}
