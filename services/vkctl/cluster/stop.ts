// Ends a local cluster, or clears what one left that could not end by itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import { type Identity, isAlive, signalIdentity } from './identity.ts';
import { waitForLock } from './lock.ts';
import type { ClusterPaths } from './paths.ts';
import { readRecord } from './record.ts';
import { clearRemains } from './remains.ts';

/** Longer than all its services may take in sequence. */
const SUPERVISOR_MS = 40_000;

/** stopped: it ran; cleared: it was dead and left something; nothing: there was none. */
export type StopOutcome = 'stopped' | 'cleared' | 'nothing';

/** `supervisor`: where the caller knows it better than the record, which may not be written yet. */
export async function stopCluster(
  paths: ClusterPaths,
  supervisor?: Identity,
  keepStore = false,
): Promise<StopOutcome> {
  const owner = supervisor ?? readRecord(paths.clusterFile)?.supervisor;
  const ran = owner !== undefined && signalIdentity(owner, 'SIGTERM');
  if (ran) {
    const endMs = Date.now() + SUPERVISOR_MS;
    while (isAlive(owner)) {
      if (Date.now() > endMs) signalIdentity(owner, 'SIGKILL');
      await sleep(20);
    }
  }
  const lock = await waitForLock(paths.lockFile, 20_000);
  if (!lock) {
    throw new Failure(`cluster "${paths.cluster}" is held by another process (${paths.lockFile})`, {
      fix: 'Another vkctl starts or clears it, or it was started with another ODONATA_HOME: try there.',
    });
  }
  try {
    const cleared = await clearRemains(paths, { keepStore });
    if (ran) return 'stopped';
    return cleared ? 'cleared' : 'nothing';
  } finally {
    lock.release();
  }
}
