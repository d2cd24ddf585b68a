// The processor time of a cluster's processes, and how long their threads waited for a core meanwhile: what a figure
// is made of, and how much of it others on this machine have caused.
import { readdirSync, readFileSync } from 'node:fs';
import type { Connection } from '@odonata/client/connection.ts';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { readRecord } from '../../services/vkctl/cluster/record.ts';
import { round } from './figure.ts';

export interface CpuTime {
  usedUs: number;
  /** Ready to run, and not running. */
  waitedUs: number;
}

/** By process, as in `node1/pmapd`, `node1/vkernel`, `cohd`; then by thread. */
export type CpuTimes = Map<string, Map<string, CpuTime>>;

/** The processes of a cluster: services by the name of their endpoint, virtual kernels as `<node>/vkernel`. */
export async function clusterProcesses(to: Connection): Promise<Map<string, number>> {
  const pids = new Map<string, number>();
  const { services = [] } = readRecord(clusterPaths(to.cluster).clusterFile) ?? {};
  for (const { name, process } of services) if (process) pids.set(name, process.pid);
  for (const { name } of await to.nodes()) {
    const { vkernels } = await to.vkerneld(name).listVkernels({});
    for (const { hostPid } of vkernels) pids.set(`${name}/vkernel`, hostPid);
  }
  return pids;
}

/** In us, of one process, all of its threads, while `use` runs. */
export async function cpuUsOf(pid: number, use: () => Promise<unknown>): Promise<number> {
  const now = () => cpuTimes(new Map([['it', pid]]));
  const before = now();
  await use();
  return cpuBetween(before, now()).get('it')!.usedUs;
}

/** Of each thread since its start. Zeros where the kernel does not account for it. */
export function cpuTimes(pids: ReadonlyMap<string, number>): CpuTimes {
  return new Map([...pids].map(([name, pid]) => [name, threadTimes(pid)]));
}

function threadTimes(pid: number): Map<string, CpuTime> {
  const times = new Map<string, CpuTime>();
  for (const thread of orNone(() => readdirSync(`/proc/${pid}/task`), [])) {
    // ns on a core, ns waiting for one, time slices: Documentation/scheduler/sched-stats.rst of Linux
    const text = orNone(() => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8'), '0 0 0');
    const [used = 0, waited = 0] = text.split(' ').map(Number);
    times.set(thread, { usedUs: used / 1e3, waitedUs: waited / 1e3 });
  }
  return times;
}

/** What each process used between two looks, but for threads that ended between them. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): Map<string, CpuTime> {
  const between = new Map<string, CpuTime>();
  for (const [name, threads] of after) {
    const sum = { usedUs: 0, waitedUs: 0 };
    for (const [thread, { usedUs, waitedUs }] of threads) {
      const earlier = before.get(name)?.get(thread);
      sum.usedUs += usedUs - (earlier?.usedUs ?? 0);
      sum.waitedUs += waitedUs - (earlier?.waitedUs ?? 0);
    }
    between.set(name, sum);
  }
  return between;
}

export const CPU_PARTS = ['vkernel', 'pmapd', 'cohd', 'nats', 'other nodes'] as const;
export type CpuPart = (typeof CPU_PARTS)[number];

export interface CpuByPart {
  /** Processor time in us, by the part that a process plays. */
  cpuUs: Record<CpuPart, number>;
  /** Time for which threads of all of them were ready and had no core, in us. */
  waitedUs: number;
}

/** Of one of `units` (faults, bytes) that programs on `node` went through. */
export function cpuByPart(cpu: ReadonlyMap<string, CpuTime>, node: string, units: number): CpuByPart {
  const cpuUs: CpuByPart['cpuUs'] = { vkernel: 0, pmapd: 0, cohd: 0, nats: 0, 'other nodes': 0 };
  let waitedUs = 0;
  for (const [name, time] of cpu) {
    const local = name.startsWith(`${node}/`) ? name.slice(node.length + 1) : name;
    const part =
      CPU_PARTS.find((each) => each === local) ?? (local.includes('/') ? 'other nodes' : undefined);
    if (part === undefined) continue;
    cpuUs[part] += time.usedUs / units;
    waitedUs += time.waitedUs / units;
  }
  return { cpuUs, waitedUs };
}

export const cpuColumns = (): string[] => [
  ...CPU_PARTS.map((part) => `>${part.toUpperCase()}`),
  '>SUM',
  '>WAITED',
];

export function cpuCells({ cpuUs, waitedUs }: CpuByPart): string[] {
  const parts = CPU_PARTS.map((part) => cpuUs[part]);
  const sum = parts.reduce((total, part) => total + part, 0);
  return [...parts, sum, waitedUs].map(round);
}

export const CPU_NOTES = [
  'All threads of each process, the compiler among them. WAITED: threads that were ready, and had no core.',
];

function orNone<T>(read: () => T, none: T): T {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return none; // It ended, or there is no such file here.
    throw error;
  }
}
