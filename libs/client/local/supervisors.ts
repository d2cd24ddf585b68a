// Supervisors of this machine, found by the mark in their environment: also where the cluster's folder, with the record
// that names its supervisor, is gone, not there yet, or another ODONATA_HOME's.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { type Identity, identify, isAlive } from './process-identity.ts';
import type { RunningRecord } from './record.ts';
import type { StateFolder } from './state-folder.ts';

/** In a supervisor's environment, and in nobody else's: `<cluster>:<its state folder>`. */
export const SUPERVISOR_MARK = 'ODONATA_SUPERVISOR_OF';

export interface FoundSupervisor {
  identity: Identity;
  stateDir: string;
}

/** Those of a cluster of this name, whichever state folder they have. */
export function markedSupervisors(cluster: string): FoundSupervisor[] {
  const found: FoundSupervisor[] = [];
  const begin = `${SUPERVISOR_MARK}=${cluster}:`;
  for (const { pid, environ } of ownProcesses()) {
    const mark = environ.find((variable) => variable.startsWith(begin));
    const identity = mark === undefined ? undefined : identify(pid);
    if (mark && identity && isAlive(identity)) found.push({ identity, stateDir: mark.slice(begin.length) });
  }
  return found;
}

/** The supervisor that runs this cluster, by its record or by its mark, and the record where there is one. */
export function supervisorOf<R extends RunningRecord>(
  folder: StateFolder,
  read: (file: string) => R | undefined,
): { identity: Identity; record?: R } | undefined {
  const record = read(folder.clusterFile);
  if (record && isAlive(record.supervisor)) return { identity: record.supervisor, record };
  const marked = markedSupervisors(folder.cluster).find(({ stateDir }) => stateDir === folder.stateDir);
  return marked && { identity: marked.identity };
}

const isOwn = (uid: number): boolean => uid === process.getuid!();

/** Processes of this user (or of whoever is meant) but ourselves, with their environment. */
export function* ownProcesses(isMeant = isOwn): Generator<{ pid: number; environ: string[] }> {
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
    if (uid !== undefined && isMeant(uid)) yield { pid, environ: environOf(pid) };
  }
}

function environOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return []; // It ended, or is not ours to read: then it is not ours to end either.
  }
}
