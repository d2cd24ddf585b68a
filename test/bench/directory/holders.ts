// Simulated holders at one cluster, and the dataspaces that they share.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@odonata/client/connection.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { natsFileOf } from '../../../services/vkctl/cluster/nats-users.ts';
import { clusterPaths } from '../../../services/vkctl/cluster/paths.ts';
import { readRecord } from '../../../services/vkctl/cluster/record.ts';
import { Failure } from '../../../services/vkctl/failure.ts';
import { identityIn } from '../../cluster/identities.ts';
import { type HolderOptions, type SharedPages, SimulatedHolder } from './simulated-holder.ts';

export interface Place extends Pick<HolderOptions, 'cluster' | 'nats' | 'natsCredentials' | 'reach'> {
  /** Addresses of the cluster's own replicas of the directory. */
  directories: string[];
  /** Its replicas' and its NATS server's processes, by name. */
  pids: ReadonlyMap<string, number>;
  /** As which another replica comes to NATS. */
  replicaCredentials?: string | undefined;
  /** Of a pmap manager, which holders stand in for; undefined: nobody has an identity. */
  folder?: TlsFolder | undefined;
  /** Makes the identity of another replica. */
  replica?: ((name: string) => Promise<TlsFolder>) | undefined;
}

/** Where the directory of a cluster is. */
export async function placeOf({ cluster }: Connection): Promise<Place> {
  const record = readRecord(clusterPaths(cluster).clusterFile);
  const { services = [] } = record ?? {};
  const replicas = services.filter(({ name }) => name.startsWith('cohd'));
  const nats = services.find(({ name }) => name === 'nats');
  if (record === undefined || nats === undefined || replicas.length === 0)
    throw new Failure(`cluster "${cluster}" has no directory; see: vkctl status`);
  const pids = new Map<string, number>();
  for (const { name, process } of [...replicas, nats]) if (process) pids.set(name, process.pid);
  return {
    cluster,
    nats: `nats://${nats.address}`,
    directories: replicas.map(({ address, socket = address }) => socket),
    pids,
    natsCredentials: natsFileOf(record.plan, 'pmapd', record.plan.nodes[0]!.name),
    replicaCredentials: natsFileOf(record.plan, 'cohd', replicas[0]!.name),
    folder: await identityIn(record.plan, 'pmapd/*'),
    replica: (name) => identityIn(record.plan, `cohd/${name}`),
  };
}

export class Holders {
  readonly all: SimulatedHolder[];
  /** Of the page space. */
  readonly shards: number;
  private readonly place: Place;

  private constructor(place: Place, shards: number, all: SimulatedHolder[]) {
    this.place = place;
    this.shards = shards;
    this.all = all;
  }

  /** So many holders, each with lines and a NATS connection of its own. @param spreadMs over which they begin; at once */
  static async join(place: Place, count: number, { spreadMs = 0 } = {}): Promise<Holders> {
    // Their lines are made by shipped code, which is whoever this process is.
    useTls(place.folder?.dir ?? '');
    const exchange = new Map<string, SimulatedHolder>();
    const { nats, natsCredentials, cluster, reach } = place;
    const shards = await shardsOf(place);
    const name = randomBytes(3).toString('hex');
    const joining = Array.from({ length: count }, async (_, i) => {
      if (spreadMs > 0) await sleep((i * spreadMs) / count);
      return await SimulatedHolder.join({
        ...{ nats, natsCredentials, cluster, reach, shards, exchange },
        name: `bench-${name}-${i}`,
        incarnation: randomBytes(8).readBigUInt64LE(),
      });
    });
    return new Holders(place, shards, await Promise.all(joining));
  }

  /** A dataspace that the first holder made, and that all know. */
  async share(sizeBytes: bigint): Promise<SharedPages> {
    const directory = createClient(DirectoryService, this.place.directories[0]!, {
      folder: this.place.folder,
    });
    try {
      const { name: creator, incarnation: creatorIncarnation } = this.all[0]!;
      const name = `bench/${randomBytes(6).toString('hex')}`;
      const request = { name, sizeBytes, creator, creatorIncarnation, exclusive: true };
      const { dataspace } = await directory.createDataspace(request);
      for (const [i, holder] of this.all.entries()) holder.open(dataspace!, i === 0);
      return dataspace!;
    } finally {
      directory.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((holder) => holder.close()));
  }
}

async function shardsOf({ directories, replica }: Place): Promise<number> {
  const directory = createClient(DirectoryService, directories[0]!, { folder: await replica?.('bench') });
  try {
    return (await directory.getDirectoryStats({})).shards;
  } finally {
    directory.close();
  }
}

/** What `work` gives; fails where that takes longer than any healthy run would, or when the bench is interrupted. */
export async function within<T>(
  { signal, what, ms = 60_000 }: { signal: AbortSignal; what: string; ms?: number },
  work: Promise<T>,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Failure(`${what} took longer than ${ms / 1000} s`)), ms);
  const abort = (): void => late.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    // Interrupted: nobody waits for it any more.
    work.catch(() => {});
  }
}
