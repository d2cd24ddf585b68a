// Where a cluster of this machine keeps what it has:
//
//   $ODONATA_HOME/<cluster>/          cluster.json, logs/, nats/       (state; default ~/.local/state/odonata)
//   $XDG_RUNTIME_DIR/odonata-<cluster>/ or /tmp/odonata-<uid>-<cluster>/   unix sockets, a folder a node
//   /dev/shm/odonata-<uid>-<cluster>/ memory files, a folder a node
//   /dev/shm/odonata-<uid>-<cluster>.lock  held by whoever runs or clears the cluster: beside what two of one
//                                     name would share, whatever their ODONATA_HOME
//
// /dev/shm and /tmp are everybody's: where a stranger made one of these first, ours have a number behind their name.
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { clusterNameOf, type StateFolder, stateFolder } from '@odonata/client/local/state-folder.ts';
import { told } from '../failure.ts';

/** `sun_path` holds 108 bytes, the last one a NUL. */
const SOCKET_PATH_BYTES = 107;
/** The longest name that a service puts in its socket folder, with the longest node name. */
const LONGEST_SOCKET = 'node99/vkernels/userfault.sock';

export const MAX_NODES = 64;
/** Of nodes of all machines: sockets have a name of at most `node99` in their path. */
export const INDEX_MAX = 99;
export const MAX_DIRECTORIES = 16;
export const MAX_ROUTERS = 16;

export interface ClusterPaths extends StateFolder {
  lockFile: string;
  logDir: string;
  natsDir: string;
  runtimeDir: string;
  memoryDir: string;
}

/** The name of the cluster that a command means: the flag, else ODONATA_CLUSTER, else `default`. @throws Failure */
export function clusterName(flag: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return inOurWords(() => clusterNameOf(flag, env));
}

export function clusterPaths(cluster: string, env: NodeJS.ProcessEnv = process.env): ClusterPaths {
  const folder = inOurWords(() => stateFolder(cluster, env));
  const { stateDir } = folder;
  const uid = process.getuid!();
  const { lockFile, memoryDir, inTmp } = ownPlaces(uid, cluster);
  const inRuntimeDir = env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, `odonata-${cluster}`) : inTmp;
  const fits = Buffer.byteLength(join(inRuntimeDir, LONGEST_SOCKET)) <= SOCKET_PATH_BYTES;
  return {
    ...folder,
    lockFile,
    logDir: join(stateDir, 'logs'),
    natsDir: join(stateDir, 'nats'),
    runtimeDir: fits ? inRuntimeDir : inTmp,
    memoryDir,
  };
}

interface Places {
  lockFile: string;
  memoryDir: string;
  inTmp: string;
}

/** So many names may be taken by strangers. */
const NAMES = 100;

/** Those of the cluster that runs, else the first that are not somebody else's. */
function ownPlaces(uid: number, cluster: string): Places {
  const isStrangers = (path: string): boolean => (ownerOf(path) ?? uid) !== uid;
  const isOurs = ({ lockFile }: Places): boolean => ownerOf(lockFile) === uid;
  const first = placesOf(`odonata-${uid}-${cluster}`);
  if (isOurs(first)) return first;
  const others = Array.from({ length: NAMES }, (_, i) => placesOf(`odonata-${uid}-${cluster}.${i + 1}`));
  const isFree = (each: Places): boolean => !Object.values(each).some(isStrangers);
  return others.find(isOurs) ?? [first, ...others].find(isFree) ?? first;
}

const placesOf = (name: string): Places => ({
  lockFile: `/dev/shm/${name}.lock`,
  memoryDir: `/dev/shm/${name}`,
  inTmp: `/tmp/${name}`,
});

const ownerOf = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.uid;

function inOurWords<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw told(error);
  }
}

export const nodeName = (index: number): string => `node${index}`;
