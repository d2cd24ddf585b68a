// Supervisors of this machine: libs/client finds them by their mark; here are the environments with and without it.
import { dirname } from 'node:path';
import { SUPERVISOR_MARK, supervisorOf } from '@odonata/client/local/supervisors.ts';
import { compileCache } from './compile-cache.ts';
import type { Identity } from './identity.ts';
import type { ClusterPaths } from './paths.ts';
import { type ClusterRecord, readRecord } from './record.ts';

export {
  type FoundSupervisor,
  markedSupervisors,
  ownProcesses,
} from '@odonata/client/local/supervisors.ts';

type Owned = Pick<ClusterPaths, 'cluster' | 'stateDir'>;

/** The environment of a supervisor; it works in another folder, so what was relative is not. */
export const supervisorEnv = ({ cluster, stateDir }: Owned): NodeJS.ProcessEnv => ({
  ...process.env,
  NODE_COMPILE_CACHE: compileCache(),
  ODONATA_HOME: dirname(stateDir),
  [SUPERVISOR_MARK]: `${cluster}:${stateDir}`,
});

/** The same without the mark, for a process that the supervisor starts. */
export function unmarkedEnv(): NodeJS.ProcessEnv {
  const { [SUPERVISOR_MARK]: _, ...env } = process.env;
  return env;
}

/** The supervisor that runs this cluster, by its record or by its mark, and the record where there is one. */
export const runningSupervisor = (
  paths: ClusterPaths,
): { identity: Identity; record?: ClusterRecord } | undefined => supervisorOf(paths, readRecord);
