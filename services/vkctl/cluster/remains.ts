// Clears what a cluster leaves behind when its supervisor could not: processes, sockets, memory files, state.
// Only under the cluster's lock.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Identity, identify, isAlive, signalIdentity } from './identity.ts';
import { besideStore, holdsPages } from './kept-store.ts';
import type { ClusterPaths } from './paths.ts';

/** In the environment of every process that the supervisor starts: finds it again whoever its parent is. */
export const MARK = 'ODONATA_RUNTIME_DIR';

/**
 * Processes of the cluster. A service carries the mark; a virtual kernel, whose environment is its own
 * supervisor's choice, the path of its control socket in the same folder.
 */
export function clusterProcesses(paths: Pick<ClusterPaths, 'runtimeDir'>): Identity[] {
  const uid = process.getuid!();
  const found: Identity[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid !== uid) continue;
    const identity = environOf(pid).some((variable) => belongs(variable, paths.runtimeDir)) && identify(pid);
    if (identity && isAlive(identity)) found.push(identity);
  }
  return found;
}

function belongs(variable: string, runtimeDir: string): boolean {
  if (variable === `${MARK}=${runtimeDir}`) return true;
  return variable.startsWith(`ODONATA_VKERNEL_CONTROL=unix:${runtimeDir}/`);
}

function environOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // It ended, or is not ours to read: then it is not ours to end either.
  }
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
      throw new Error(`processes ${alive.map((p) => p.pid).join(', ')} outlive SIGKILL`);
    }
    for (const identity of alive) {
      if (Date.now() >= killMs) signalIdentity(identity, 'SIGKILL');
      else if (!seen.has(identity.pid)) signalIdentity(identity, 'SIGINT');
      seen.add(identity.pid);
    }
    await sleep(25);
  }
}

/** Removes the cluster's folders, but for a store that is to be kept. True when there was anything else. */
export function removeFolders(paths: ClusterPaths, keepStore = false): boolean {
  const kept = keepStore && holdsPages(paths);
  const ofState = kept ? besideStore(paths) : [paths.stateDir];
  const folders = [paths.memoryDir, paths.runtimeDir, ...ofState].filter((path) => existsSync(path));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  return folders.length > 0;
}

/** @param keepStore what durable dataspaces have in it, for the next `up` to find */
export async function clearRemains(
  paths: ClusterPaths,
  { graceMs = 4000, keepStore = false } = {},
): Promise<boolean> {
  const ended = await endProcesses(paths, graceMs);
  return removeFolders(paths, keepStore) || ended > 0;
}
