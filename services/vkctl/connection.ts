// Which cluster a command means, and the way there (libs/client).
import type { Cluster } from '@odonata/client/cluster.ts';
import type { Connection } from '@odonata/client/connection.ts';
import type { Credential } from '@odonata/client/credential.ts';
import { locationOf, runningRecordAs } from '@odonata/client/local/running.ts';
import { routersOf } from '@odonata/client/location.ts';
import { type ClusterRecord, readRecord } from './cluster/record.ts';
import { EXIT, Failure, told } from './failure.ts';

/** The record of a cluster that runs. @throws RpcError */
export const runningRecord = (cluster: string): Promise<ClusterRecord> =>
  runningRecordAs(cluster, readRecord);

/** The routers of a cluster that runs elsewhere (ODONATA_SYSLINK), or undefined: commands mean one of this machine. */
export function elsewhere(): string | undefined {
  const list = process.env.ODONATA_SYSLINK;
  return list ? routersOf(list, 'ODONATA_SYSLINK') : undefined;
}

/** For what only the supervisor of a cluster of this machine can do. @throws Failure where another is meant */
export function expectHere(command: string, flag: string | undefined): void {
  const list = process.env.ODONATA_SYSLINK;
  if (!list || flag !== undefined || process.env.ODONATA_CLUSTER) return;
  throw new Failure(
    `${command} is for clusters of this machine, and ODONATA_SYSLINK names another (${list})`,
    {
      fix: 'Name the one of this machine with -c, or unset ODONATA_SYSLINK.',
      exitCode: EXIT.usage,
    },
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
  const { cluster, routers, credential } = locationOf(record);
  return attachTo(cluster, routers, deadlineMs, credential);
}

/** The same for who wants its services themselves. */
export const connectHere = async (record: Here, deadlineMs?: number): Promise<Connection> =>
  (await attachHere(record, deadlineMs)).connection;

/**
 * Runs `use` with the cluster (ODONATA_SYSLINK: one that runs elsewhere), and closes it.
 * @throws Failure for what libs/client found
 */
export async function withCluster<T>(name: string, use: (cluster: Cluster) => Promise<T>): Promise<T> {
  try {
    const { connect } = await import('@odonata/client/cluster.ts');
    await using cluster = await connect({ cluster: name, syslink: elsewhere() });
    return await use(cluster);
  } catch (error) {
    throw told(error);
  }
}
