// What the supervisor of a cluster tells about its processes.

import type { Connection } from '@odonata/client/connection.ts';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { type ClusterRecord, readRecord } from '../../services/vkctl/cluster/record.ts';
import { Failure } from '../../services/vkctl/failure.ts';

export function clusterRecord({ cluster }: Connection): ClusterRecord {
  const record = readRecord(clusterPaths(cluster).clusterFile);
  if (record === undefined) throw new Failure(`cluster "${cluster}" is not up`);
  return record;
}

/** The process of a service that runs. */
export function pidOf({ services }: ClusterRecord, service: string): number {
  const pid = services.find(({ name }) => name === service)?.process?.pid;
  if (pid === undefined) throw new Failure(`${service} does not run`);
  return pid;
}

export function addressOf({ services }: ClusterRecord, service: string): string {
  const address = services.find(({ name }) => name === service)?.address;
  if (address === undefined) throw new Failure(`${service} does not run`);
  return address;
}
