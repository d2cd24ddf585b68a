// For who waits for a cluster of this machine to come back: it does not where its supervisor is gone.
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../failure.ts';
import { isAlive } from './identity.ts';
import { clusterPaths } from './paths.ts';
import { readRecord } from './record.ts';

const LOOK_MS = 300;
/** What was under way when it ended is heard first. */
const LAST_WORDS_MS = 1_000;

/** @throws Failure when the cluster has ended. Resolves when it is told to stop looking; at once, where it is elsewhere */
export async function endOfCluster(cluster: string, signal: AbortSignal): Promise<void> {
  const supervisor = readRecord(clusterPaths(cluster).clusterFile)?.supervisor;
  if (supervisor === undefined) return;
  const pause = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    if (!isAlive(supervisor)) {
      await pause(LAST_WORDS_MS);
      if (!signal.aborted) throw new Failure(`cluster "${cluster}" has ended, and the program with it`);
    }
    await pause(LOOK_MS);
  }
}
