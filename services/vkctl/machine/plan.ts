// The plan of a machine that is one node of a cluster that began elsewhere.
import { collectorOf } from '@odonata/rpc/trace/own.ts';
import { allowedFolders } from '../cluster/allowed-folders.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { promisedMemory } from '../cluster/plan.ts';
import { expectPort, pickPorts } from '../cluster/ports.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import type { StartOptions } from '../cluster/start-options.ts';
import type { Membership } from './membership.ts';

export async function memberPlan(
  options: StartOptions,
  membership: Membership,
  paths: ClusterPaths,
): Promise<ClusterPlan> {
  const { cluster, node, door, routers, nats, directories, host, listenHost, port } = membership;
  const own = membership.options;
  await expectPort(port, { host: listenHost ?? host, isFar: true });
  const vkerneld = await pickPorts(1);
  return {
    ...{
      cluster: options.cluster,
      stateDir: paths.stateDir,
      runtimeDir: paths.runtimeDir,
      memoryDir: paths.memoryDir,
    },
    nodes: [node],
    ports: { syslinkd: [], nats: 0, cohd: [], pmapd: [port], vkerneld },
    ...{ host, listenHost },
    member: { cluster, node: node.name, door, routers, nats, directories },
    allowDirs: allowedFolders(own.allowDirs ?? [], paths, options.onNote),
    framesBytes: promisedMemory({ ...options, nodes: 1, framesBytes: own.framesBytes }, paths),
    allowUnconfined: own.allowUnconfined,
    traceOtlp: collectorOf({ traceOtlp: '' }) || undefined,
    logLevel: own.logLevel ?? 'info',
  };
}
