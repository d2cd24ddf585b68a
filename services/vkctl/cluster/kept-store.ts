// The backing store of a cluster on the disk: how large it may be, whether it holds anything, what is beside it.
//
// What durable dataspaces have synced belongs to its owner, not to a run of the cluster: however a run ends (`down --keep`,
// a reset of the machine, kill -9 of all), the next `up` goes on with the store. `vkctl down` of a cluster that runs, and
// `--purge` and `up --fresh`, delete it.
import { existsSync, mkdirSync, readdirSync, renameSync, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DEFAULT_STORE_BYTES, LEAST_STORE_BYTES } from '@odonata/backing-store/store-bytes.ts';
import { streamsOf } from '@odonata/bus/permissions.ts';
import { DISK_RESERVE_BYTES } from '@odonata/bus/store-disk.ts';
import { Failure } from '../failure.ts';
import { formatSize } from '../size.ts';
import { identityDir, natsServerDir } from './certificates.ts';
import type { ClusterPaths } from './paths.ts';

/** Logs, and records of the cluster. */
const BESIDE_BYTES = 2 * DISK_RESERVE_BYTES;

/** Bytes that the messages of the store take on the disk. */
export function storedBytes({ natsDir, cluster }: Pick<ClusterPaths, 'natsDir' | 'cluster'>): number {
  return ['PAGES', NOBODY]
    .map((account) => join(streamsDir(natsDir, account), `odonata-${cluster}-pages`, 'msgs'))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((file) => file.endsWith('.blk'))
    .reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** The account of whoever comes without a name: of all, in a cluster without identities, and in those of before them. */
const NOBODY = '$G';
const streamsDir = (natsDir: string, account: string): string =>
  join(natsDir, 'jetstream', account, 'streams');

/**
 * Before nats-server starts: what an earlier life of the cluster stored is in the accounts in which its services look for it
 * now. A stream is one folder, and is moved whole.
 */
export function placeStreams(
  natsDir: string,
  { cluster, insecure }: { cluster: string; insecure?: boolean | undefined },
): void {
  for (const [account, streams] of Object.entries(streamsOf(cluster))) {
    const [from, to] = insecure ? [account, NOBODY] : [NOBODY, account];
    for (const name of streams) {
      const [before, after] = [join(streamsDir(natsDir, from), name), join(streamsDir(natsDir, to), name)];
      if (!existsSync(before) || existsSync(after)) continue;
      mkdirSync(streamsDir(natsDir, to), { recursive: true, mode: 0o700 });
      renameSync(before, after);
    }
  }
}

export const holdsPages = (paths: Pick<ClusterPaths, 'natsDir' | 'cluster'>): boolean =>
  storedBytes(paths) > 0;

/** The programs that all have at /bin. */
export const programsDir = ({ stateDir }: Pick<ClusterPaths, 'stateDir'>): string => join(stateDir, 'bin');

/** Where people of the cluster have their homes on this machine. */
export const homesDir = ({ stateDir }: Pick<ClusterPaths, 'stateDir'>): string => join(stateDir, 'homes');

/** Somebody has something there. */
export function holdsHomes(paths: Pick<ClusterPaths, 'stateDir'>): boolean {
  const homes = homesDir(paths);
  return existsSync(homes) && readdirSync(homes).some((name) => readdirSync(join(homes, name)).length > 0);
}

/** All in the folder of the cluster but its store, homes, and its authority: who was let in stays so. */
export const besideStore = ({ stateDir, natsDir }: Pick<ClusterPaths, 'stateDir' | 'natsDir'>): string[] =>
  existsSync(stateDir)
    ? readdirSync(stateDir)
        .map((name) => join(stateDir, name))
        .filter(
          (path) => path !== natsDir && path !== identityDir({ stateDir }) && path !== homesDir({ stateDir }),
        )
    : [];

/** How large a new store may grow: by default a quarter of the disk that is free, as replaced messages take room for a while. */
export function chooseStoreBytes(
  paths: Pick<ClusterPaths, 'stateDir' | 'natsDir' | 'cluster'>,
  wanted?: number,
): number | undefined {
  const free = freeBytes(paths.stateDir);
  const had = holdsPages(paths);
  if (wanted !== undefined) {
    if (wanted < LEAST_STORE_BYTES)
      throw new Failure(`--store: the least is ${formatSize(LEAST_STORE_BYTES)}`, { exitCode: 2 });
    const needs = Math.max(0, wanted - storedBytes(paths)) + BESIDE_BYTES;
    if (free < needs) throw tooLittle(paths.stateDir, free, needs, 'give a smaller --store, ');
    return wanted;
  }
  // One that is there has its size, and reads what it has however full the disk is.
  if (had) return undefined;
  const needs = LEAST_STORE_BYTES + BESIDE_BYTES;
  if (free < needs) throw tooLittle(paths.stateDir, free, needs);
  return Math.min(DEFAULT_STORE_BYTES, Math.max(LEAST_STORE_BYTES, Math.floor(free / 4)));
}

function tooLittle(folder: string, free: number, needs: number, smaller = ''): Failure {
  return new Failure(
    `the disk of ${folder} has ${formatSize(free)} free, and the backing store, logs and records need ${formatSize(needs)} there`,
    { fix: `Free some, ${smaller}or choose another disk with ODONATA_HOME=FOLDER.` },
  );
}

function freeBytes(folder: string): number {
  const there = existsSync(folder) ? folder : dirname(folder);
  if (there !== folder && !existsSync(there)) return freeBytes(there);
  const { bavail, bsize } = statfsSync(there);
  return bavail * bsize;
}

export const natsConfigFile = (stateDir: string): string => join(stateDir, 'nats.conf');

/** nats-server's own. Its limit is none: by default it would be a part of what is free at its start, and a fuller disk cost the store. */
export const natsConfig = (natsDir: string): string =>
  `jetstream { store_dir: ${JSON.stringify(natsDir)}, max_file_store: 8TB }\n`;

/** Of a cluster of several machines: nobody on the way hears passwords, or takes the place of the server. */
export function natsTls(plan: { readonly stateDir: string }): string {
  const file = (name: string): string => JSON.stringify(join(natsServerDir(plan), name));
  return `tls { cert_file: ${file('tls.crt')}, key_file: ${file('tls.key')}, timeout: 10 }\n`;
}
