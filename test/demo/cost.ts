// What the count cost: processor time of the programs, and of all that made one memory of three nodes.

import { processStat } from '@odonata/rpc/process-stat.ts';
import type { ClusterRecord } from '../../services/vkctl/cluster/record.ts';
import { connectHere } from '../../services/vkctl/connection.ts';
import { clusterProcesses } from '../bench/cpu-time.ts';

export interface Cost {
  /** Of the three programs. */
  readonly programsMs: number;
  /** Of all services, and of virtual kernels but for the programs in them. */
  readonly sharingMs: number;
}

/** Of all processes of a cluster so far: its services and virtual kernels, and of them the programs that ran. */
export async function spentBy(record: ClusterRecord): Promise<{ allMs: number; programsMs: number }> {
  const to = await connectHere(record);
  try {
    const pids = await clusterProcesses(to);
    const allMs = [...pids.values()].reduce((sum, pid) => sum + (processStat(pid)?.cpuMs ?? 0), 0);
    let programsMs = 0;
    for (const { name } of await to.nodes()) {
      const { processes } = await to.vkerneld(name).listProcesses({});
      for (const { cpuMs } of processes) programsMs += Number(cpuMs);
    }
    return { allMs, programsMs };
  } finally {
    to.close();
  }
}
