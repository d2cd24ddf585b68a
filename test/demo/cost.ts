// What the count cost: processor time of the programs, and of all that made one memory of three nodes.

import { processStat } from '@odonata/rpc/process-stat.ts';
import type { ClusterRecord } from '../../services/vkctl/cluster/record.ts';
import { connectHere } from '../../services/vkctl/connection.ts';
import { clusterProcesses } from '../bench/cpu-time.ts';

/** Of all processes of a cluster so far, in ms of processor time. */
export interface Spent {
  /** Programs in virtual kernels. */
  readonly programs: number;
  /** Virtual kernels but for the programs in them. */
  readonly vkernels: number;
  readonly pmapd: number;
  readonly cohd: number;
  /** vkerneld, syslinkd, NATS. */
  readonly others: number;
}

const PARTS = ['programs', 'vkernels', 'pmapd', 'cohd', 'others'] as const;

const of = (value: (part: keyof Spent) => number): Spent =>
  Object.fromEntries(PARTS.map((part) => [part, value(part)])) as unknown as Spent;

export const sumOf = (spent: Spent): number => PARTS.reduce((sum, part) => sum + spent[part], 0);

export const spentBetween = (before: Spent, after: Spent): Spent =>
  of((part) => Math.max(0, after[part] - before[part]));

function partOf(process: string): keyof Spent {
  if (process.endsWith('/vkernel')) return 'vkernels';
  if (process.endsWith('/pmapd')) return 'pmapd';
  return process === 'cohd' ? 'cohd' : 'others';
}

export async function spentBy(record: ClusterRecord): Promise<Spent> {
  const to = await connectHere(record);
  try {
    const pids = [...(await clusterProcesses(to))];
    let programsMs = 0;
    for (const { name } of await to.nodes()) {
      const { processes } = await to.vkerneld(name).listProcesses({});
      for (const { cpuMs } of processes) programsMs += Number(cpuMs);
    }
    return of((part) => {
      if (part === 'programs') return programsMs;
      const mine = pids.filter(([process]) => partOf(process) === part);
      const ms = mine.reduce((sum, [, pid]) => sum + (processStat(pid)?.cpuMs ?? 0), 0);
      return part === 'vkernels' ? ms - programsMs : ms;
    });
  } finally {
    to.close();
  }
}
