// What runs of a cluster that lodges here: its pmap manager, as a thread of the machine's own one, and its vkerneld, a process
// like any.
import { createHash } from 'node:crypto';
import type { ClusterPaths } from '../cluster/paths.ts';
import { pickPorts } from '../cluster/ports.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import type { Bounds } from '../machine/link.ts';
import type { Membership } from '../machine/membership.ts';
import { NODE_FLAGS, type ServiceSpec, serviceSpecs } from '../supervisor/service-spec.ts';
import type { LodgerQuota } from './lodgers-file.ts';

/** Nothing of the machine is granted to it but what stands here. */
export async function lodgerPlan(
  membership: Membership,
  paths: ClusterPaths,
  host: Pick<ClusterPlan, 'logLevel' | 'allowUnconfined' | 'servicesDir'>,
): Promise<ClusterPlan> {
  const { cluster, node, door, routers, nats, directories, host: address, listenHost, port } = membership;
  return {
    cluster: paths.cluster,
    stateDir: paths.stateDir,
    runtimeDir: paths.runtimeDir,
    memoryDir: paths.memoryDir,
    nodes: [node],
    ports: { syslinkd: [], nats: 0, cohd: [], pmapd: [port], vkerneld: await pickPorts(1) },
    ...{ host: address, listenHost },
    member: { cluster, node: node.name, door, routers, nats, directories },
    allowDirs: [],
    ...{ logLevel: host.logLevel, allowUnconfined: host.allowUnconfined, servicesDir: host.servicesDir },
  };
}

export interface LodgerSpecs {
  /** The command line of its pmap manager, behind the program. */
  readonly pmapd: readonly string[];
  readonly pmapdLog: string;
  readonly vkerneld: ServiceSpec;
}

export function lodgerSpecs(plan: ClusterPlan): LodgerSpecs {
  const specs = serviceSpecs(plan, { node: process.execPath, natsServer: '' });
  const [pmapd, vkerneld] = ['pmapd', 'vkerneld'].map(
    (kind) => specs.find(({ name }) => name.endsWith(`/${kind}`))!,
  ) as [ServiceSpec, ServiceSpec];
  const more = ['--lodges', '--control-group', groupOf(plan)];
  return {
    // Node, its flags, and the program.
    pmapd: pmapd.args.slice(NODE_FLAGS.length + 1),
    pmapdLog: pmapd.logFile,
    vkerneld: { ...vkerneld, args: [...vkerneld.args, ...more] },
  };
}

/** What its cluster is told that it may have here. */
export const boundsOf = (
  { memoryBytes, cpuMillis, processes }: LodgerQuota,
  { framesBytes = 0 }: Pick<ClusterPlan, 'framesBytes'>,
): Bounds => ({ memoryBytes: memoryBytes || framesBytes, cpuMillis, processes });

/** The control group around its virtual kernels. */
export const groupOf = ({ runtimeDir }: Pick<ClusterPlan, 'runtimeDir'>): string =>
  `odonata-lodger-${createHash('sha256').update(runtimeDir).digest('hex').slice(0, 12)}`;
