// The bench's own cluster: fresh, with a state folder of its own, and gone whatever happens.

import type { Connection } from '@odonata/client/connection.ts';
import type { LayerName } from '@odonata/userfault/sandbox/layer-names.ts';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { startCluster } from '../../services/vkctl/cluster/start.ts';
import { stopCluster } from '../../services/vkctl/cluster/stop.ts';
import { connectHere } from '../../services/vkctl/connection.ts';

export interface ClusterOptions {
  nodes: number;
  /** Replicas of the directory; 1 unless told otherwise. */
  directories?: number;
  leaseMs?: number;
  nodeVmspaces?: number | undefined;
  insecure?: boolean;
  overTcp?: boolean;
  /** Virtual kernels without these walls. */
  unconfined?: readonly LayerName[];
  /** Tells it from another cluster of the same run. */
  suffix?: string;
  signal: AbortSignal;
  progress: (doing: string) => void;
}

/** Starts a cluster, hands it to `use`, and takes it down. ODONATA_HOME says where. */
export async function withCluster<T>(
  {
    nodes,
    directories,
    leaseMs,
    nodeVmspaces,
    insecure,
    overTcp,
    unconfined,
    suffix = '',
    signal,
    progress,
  }: ClusterOptions,
  use: (to: Connection) => Promise<T>,
): Promise<T> {
  const cluster = `bench-${process.pid}${suffix}`;
  let to: Connection | undefined;
  try {
    const record = await startCluster({
      cluster,
      nodes,
      directories,
      leaseMs,
      nodeVmspaces,
      insecure,
      overTcp,
      unconfined,
      port: 0,
      // Should we be killed, it ends itself.
      owner: process.pid,
      signal,
      timeoutMs: 120_000,
      logLevel: 'warn',
      onProgress: ({ ready, total }) =>
        progress(`a cluster of ${nodes} nodes: ${ready} of ${total} services ready`),
    });
    to = await connectHere(record);
    return await use(to);
  } finally {
    to?.close();
    await stopCluster(clusterPaths(cluster));
  }
}
