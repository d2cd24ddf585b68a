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
  /** Memory and swap of each node. */
  framesBytes?: number;
  swapBytes?: number;
  /** Memory of node1, where the others have more. */
  node1Bytes?: number;
  insecure?: boolean;
  /** A collector of traces, and the part of what begins that it is told of. */
  traceOtlp?: string;
  traceSample?: number;
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
    framesBytes,
    swapBytes,
    node1Bytes,
    insecure,
    traceOtlp,
    traceSample,
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
    if (node1Bytes !== undefined) process.env.ODONATA_PMAPD_TEST_NODE_BYTES = `node1=${node1Bytes}`;
    const record = await startCluster({
      cluster,
      nodes,
      directories,
      leaseMs,
      nodeVmspaces,
      framesBytes,
      swapBytes,
      insecure,
      traceOtlp,
      traceSample,
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
    delete process.env.ODONATA_PMAPD_TEST_NODE_BYTES;
    to = await connectHere(record);
    return await use(to);
  } finally {
    to?.close();
    await stopCluster(clusterPaths(cluster));
  }
}
