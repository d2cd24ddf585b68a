// Where a cluster of this machine keeps its state: $ODONATA_HOME/<cluster>/, by default in ~/.local/state/odonata.
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Code } from '@odonata/rpc/error.ts';
import { clientError } from '../client-error.ts';

export interface StateFolder {
  readonly cluster: string;
  readonly stateDir: string;
  /** What the supervisor tells about its cluster. */
  readonly clusterFile: string;
}

/**
 * The name of the cluster that is meant: the one that is given, else ODONATA_CLUSTER, else `default`.
 * @throws RpcError INVALID_ARGUMENT
 */
export function clusterNameOf(given: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const name = given ?? (env.ODONATA_CLUSTER || 'default');
  if (/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) return name;
  const from = given === undefined ? 'ODONATA_CLUSTER' : 'cluster';
  throw clientError(
    Code.InvalidArgument,
    'BAD_CLUSTER_NAME',
    { from, name },
    `${from}: "${name}" is not a cluster name; use 1 to 31 of a-z, 0-9 and -, not starting with -`,
  );
}

export function stateFolder(cluster: string, env: NodeJS.ProcessEnv = process.env): StateFolder {
  const home = resolve(
    env.ODONATA_HOME || join(env.XDG_STATE_HOME || join(env.HOME || homeOfUser(), '.local/state'), 'odonata'),
  );
  const stateDir = join(home, cluster);
  return { cluster, stateDir, clusterFile: join(stateDir, 'cluster.json') };
}

function homeOfUser(): string {
  try {
    return homedir();
  } catch (cause) {
    const uid = String(process.getuid!());
    throw clientError(
      Code.FailedPrecondition,
      'NO_HOME',
      { uid },
      `user ${uid} has no home folder, and neither HOME nor ODONATA_HOME is set`,
      { cause },
    );
  }
}
