// Where the pmap manager of a node of this machine takes programs: the folder of its sockets for virtual kernels.
//
//   sockets: '/run/odonata/vkernels'   that folder
//   ODONATA_NODE_SOCKETS               the same
//   nothing                            a cluster of this machine tells where it has them, node by node
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type VkernelSockets, vkernelSockets, vkernelSocketsIn } from '@odonata/rpc/vkernel-sockets.ts';
import { readRunning } from '../local/record.ts';
import { stateFolder } from '../local/state-folder.ts';

export interface NodeOfMachine {
  /** The folder of its sockets for virtual kernels; absent: as the environment or the cluster's record says. */
  readonly sockets?: string;
  /** Of this machine; absent: the first one. */
  readonly node?: string;
}

/** Undefined: no node of the cluster is on this machine, as far as is known here. */
export function socketsOfNode(
  cluster: string,
  { sockets, node }: NodeOfMachine,
  env: NodeJS.ProcessEnv = process.env,
): VkernelSockets | undefined {
  const folder = sockets ?? (env.ODONATA_NODE_SOCKETS || undefined);
  if (folder !== undefined) return vkernelSocketsIn(folder);
  const { plan, services = [] } = readRunning(stateFolder(cluster, env).clusterFile) ?? {};
  if (plan?.runtimeDir === undefined) return undefined;
  for (const { name } of services) {
    const [of = '', service] = name.split('/');
    if (service !== 'pmapd' || (node !== undefined && of !== node)) continue;
    const found = vkernelSockets(join(plan.runtimeDir, of));
    if (existsSync(found.pmap)) return found;
  }
  return undefined;
}
