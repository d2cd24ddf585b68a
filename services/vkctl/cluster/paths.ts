// Where a cluster of this machine keeps what it has:
//
//   $ODONATA_HOME/<cluster>/          cluster.json, logs/, nats/       (state; default ~/.local/state/odonata)
//   $XDG_RUNTIME_DIR/odonata-<cluster>/ or /tmp/odonata-<uid>-<cluster>/   unix sockets, a folder a node
//   /dev/shm/odonata-<uid>-<cluster>/ memory files, a folder a node
//   /dev/shm/odonata-<uid>-<cluster>.lock  held by whoever runs or clears the cluster: beside what two of one
//                                     name would share, whatever their ODONATA_HOME
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { EXIT, Failure } from '../failure.ts';

/** `sun_path` holds 108 bytes, the last one a NUL. */
const SOCKET_PATH_BYTES = 107;
/** The longest name that a service puts in its socket folder, with the longest node name. */
const LONGEST_SOCKET = 'node99/userfault.sock';

export const MAX_NODES = 64;
export const MAX_DIRECTORIES = 16;
export const MAX_ROUTERS = 16;

export interface ClusterPaths {
  cluster: string;
  stateDir: string;
  clusterFile: string;
  lockFile: string;
  logDir: string;
  natsDir: string;
  runtimeDir: string;
  memoryDir: string;
}

/** The name of the cluster that a command means: the flag, else ODONATA_CLUSTER, else `default`. */
export function clusterName(flag: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const name = flag ?? (env.ODONATA_CLUSTER || 'default');
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) {
    const where = flag === undefined ? 'ODONATA_CLUSTER' : '--cluster';
    throw new Failure(`${where}: "${name}" is not a cluster name`, {
      fix: 'Use 1 to 31 of a-z, 0-9 and -, not starting with -.',
      exitCode: EXIT.usage,
    });
  }
  return name;
}

export function clusterPaths(cluster: string, env: NodeJS.ProcessEnv = process.env): ClusterPaths {
  const home = resolve(
    env.ODONATA_HOME || join(env.XDG_STATE_HOME || join(env.HOME || homeOfUser(), '.local/state'), 'odonata'),
  );
  const uid = process.getuid!();
  const stateDir = join(home, cluster);
  const inTmp = `/tmp/odonata-${uid}-${cluster}`;
  const inRuntimeDir = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, `odonata-${cluster}`) : inTmp;
  const fits = Buffer.byteLength(join(inRuntimeDir, LONGEST_SOCKET)) <= SOCKET_PATH_BYTES;
  return {
    cluster,
    stateDir,
    clusterFile: join(stateDir, 'cluster.json'),
    lockFile: `/dev/shm/odonata-${uid}-${cluster}.lock`,
    logDir: join(stateDir, 'logs'),
    natsDir: join(stateDir, 'nats'),
    runtimeDir: fits ? inRuntimeDir : inTmp,
    memoryDir: `/dev/shm/odonata-${uid}-${cluster}`,
  };
}

function homeOfUser(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new Failure(`user ${process.getuid!()} has no home folder, and HOME is not set`, {
      fix: 'Set ODONATA_HOME to a folder that can be written.',
      cause,
    });
  }
}

export const nodeName = (index: number): string => `node${index}`;
