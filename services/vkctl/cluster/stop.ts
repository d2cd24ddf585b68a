// Ends a local cluster, or clears what one left that could not end by itself.
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import { type Identity, isAlive, signalIdentity } from './identity.ts';
import { type Lock, tryLock } from './lock.ts';
import type { ClusterPaths } from './paths.ts';
import { clearRemains } from './remains.ts';
import { markedSupervisors, runningSupervisor } from './supervisors.ts';

/** Longer than all its services may take in sequence. */
const SUPERVISOR_MS = 40_000;
/** An `up` that was killed, or a janitor, lets go of the lock within this. */
const LOCK_MS = 20_000;

/** stopped: it ran; cleared: it was dead and left something; nothing: there was none. */
export type StopOutcome = 'stopped' | 'cleared' | 'nothing';

/** `supervisor`: where the caller knows it better than the record, which may not be written yet. */
export async function stopCluster(
  paths: ClusterPaths,
  supervisor?: Identity,
  keepStore = false,
): Promise<StopOutcome> {
  const told = new Map<number, number>();
  const endMs = Date.now() + SUPERVISOR_MS + LOCK_MS;
  for (;;) {
    // Looked for each time: an `up` that holds the lock has it soon.
    const owner = supervisor && isAlive(supervisor) ? supervisor : runningSupervisor(paths)?.identity;
    if (owner === undefined) {
      const lock = tryLock(paths.lockFile);
      if (lock) return await clear(paths, lock, { ran: told.size > 0, keepStore });
      expectOurs(paths);
    } else {
      const toldMs = told.get(owner.pid);
      if (toldMs === undefined && signalIdentity(owner, 'SIGTERM')) told.set(owner.pid, Date.now());
      if (toldMs !== undefined && Date.now() > toldMs + SUPERVISOR_MS) signalIdentity(owner, 'SIGKILL');
    }
    if (Date.now() > endMs) {
      throw new Failure(`cluster "${paths.cluster}" is held by another process (${paths.lockFile})`, {
        fix: 'Another vkctl starts or clears it: try again.',
      });
    }
    await sleep(20);
  }
}

/** @throws Failure where a supervisor has the lock that another ODONATA_HOME started */
function expectOurs(paths: ClusterPaths): void {
  const [other] = markedSupervisors(paths.cluster).filter(({ stateDir }) => stateDir !== paths.stateDir);
  if (other === undefined) return;
  const { stateDir, identity } = other;
  throw new Failure(
    `cluster "${paths.cluster}" runs with its folder in ${stateDir} (supervisor ${identity.pid})`,
    {
      fix: `End it with ODONATA_HOME=${dirname(stateDir)}`,
    },
  );
}

async function clear(
  paths: ClusterPaths,
  lock: Lock,
  { ran, keepStore }: { ran: boolean; keepStore: boolean },
): Promise<StopOutcome> {
  try {
    const cleared = await clearRemains(paths, { keepStore });
    if (ran) return 'stopped';
    return cleared ? 'cleared' : 'nothing';
  } finally {
    lock.release();
  }
}
