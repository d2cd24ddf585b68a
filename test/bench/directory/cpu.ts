// The processor time of some processes for the time of some work.
import { cpuBetween, cpuTimes } from '../cpu-time.ts';

/** Of each process by its name, all threads, in us. */
export async function cpuUsOf(
  pids: ReadonlyMap<string, number>,
  work: () => Promise<void>,
): Promise<Map<string, number>> {
  const before = cpuTimes(pids);
  await work();
  const between = cpuBetween(before, cpuTimes(pids));
  return new Map([...between].map(([name, { usedUs }]) => [name, usedUs]));
}

/** Of the replicas of the directory, among the processes of a place. */
export const replicaCpuUs = (cpuUs: ReadonlyMap<string, number>): number[] =>
  [...cpuUs].filter(([name]) => name.startsWith('cohd')).map(([, us]) => us);

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
