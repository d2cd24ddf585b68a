// Which cluster a command means, and the way there (libs/client).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '@odonata/client/cluster.ts';
import type { Connection } from '@odonata/client/connection.ts';
import type { Credential } from '@odonata/client/credential.ts';
import { contextInUse, knownContext } from '@odonata/client/local/contexts.ts';
import { locationOf, runningRecordAs } from '@odonata/client/local/running.ts';
import { routersOf } from '@odonata/client/location.ts';
import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { clusterName } from './cluster/paths.ts';
import { type ClusterRecord, readRecord } from './cluster/record.ts';
import { EXIT, Failure, told } from './failure.ts';

/** The record of a cluster that runs. @throws RpcError */
export const runningRecord = (cluster: string): Promise<ClusterRecord> =>
  runningRecordAs(cluster, readRecord);

/** A cluster that runs elsewhere. */
export interface Elsewhere {
  /** host:port each, with commas between. */
  readonly routers: string;
  /** What names it: `ODONATA_SYSLINK`, `context prod`. */
  readonly by: string;
  readonly cluster?: string;
  readonly credential?: Credential;
}

/**
 * What ODONATA_SYSLINK names, or the context in use; undefined: a cluster of this machine is meant.
 * @param named by -c
 */
export function elsewhere(named: string | undefined): Elsewhere | undefined {
  const list = process.env.ODONATA_SYSLINK;
  if (list) return { routers: routersOf(list, 'ODONATA_SYSLINK'), by: 'ODONATA_SYSLINK' };
  const context = named === undefined && !process.env.ODONATA_CLUSTER ? contextInUse() : undefined;
  if (context === undefined) return undefined;
  const { cluster, syslink, tlsDir } = knownContext(context);
  return { routers: syslink, by: `context ${context}`, cluster, credential: { tlsDir } };
}

/** For what only the supervisor of a cluster of this machine can do. @throws Failure where another is meant */
export function expectHere(command: string, flag: string | undefined): void {
  if (flag !== undefined || process.env.ODONATA_CLUSTER) return;
  const away = elsewhere(flag);
  if (away === undefined) return;
  const back = away.by === 'ODONATA_SYSLINK' ? 'unset ODONATA_SYSLINK' : 'vkctl context use here';
  throw new Failure(
    `${command} is for clusters of this machine, and ${away.by} names another (${away.routers})`,
    { fix: `Name the one of this machine with -c, or ${back}.`, exitCode: EXIT.usage },
  );
}

/** Some routers of a cluster. What goes there is loaded when a command needs it. */
export async function attachTo(
  cluster: string,
  routers: string,
  deadlineMs?: number,
  credential?: Credential,
): Promise<Cluster> {
  const { attach } = await import('@odonata/client/cluster.ts');
  return await attach({ cluster, routers, credential }, { deadlineMs });
}

type Here = Pick<ClusterRecord, 'plan' | 'services'>;

/** A cluster of this machine, as whoever started it. */
export function attachHere(record: Here, deadlineMs?: number): Promise<Cluster> {
  expectIdentities(record);
  const { cluster, routers, credential } = locationOf(record);
  return attachTo(cluster, routers, deadlineMs, credential);
}

/** The same for who wants its services themselves. */
export const connectHere = async (record: Here, deadlineMs?: number): Promise<Connection> =>
  (await attachHere(record, deadlineMs)).connection;

/**
 * Runs `use` with the cluster that is meant, of this machine or elsewhere, and closes it.
 * @throws Failure for what libs/client found
 */
export async function withCluster<T>(
  { cluster: named }: { cluster?: string | undefined },
  use: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const name = clusterName(named);
  try {
    const away = elsewhere(named);
    const { connect } = await import('@odonata/client/cluster.ts');
    const where =
      away === undefined
        ? { cluster: name }
        : { cluster: away.cluster ?? name, syslink: away.routers, credential: away.credential };
    await using cluster = await connect(where);
    return await use(cluster);
  } catch (error) {
    throw told(error);
  }
}

/** 0.1.0 made none. Its routers speak another version of the wire, too. @throws Failure */
function expectIdentities({ plan }: Here): void {
  if (plan.insecure || existsSync(join(plan.stateDir, 'identity'))) return;
  throw new Failure(
    `cluster "${plan.cluster}" was started by a release without identities, older than this vkctl`,
    {
      fix: `Its own vkctl saves its dataspaces and ends it; docs/upgrade.md says how to move them to ${RELEASE}.`,
    },
  );
}
