// The processor time of some processes for the time of some work.
import { Failure } from '../../../services/vkctl/failure.ts';
import { cpuBetween, cpuTimes } from '../cpu-time.ts';

/** Of each process by its name, all threads, in us. @throws Failure where the kernel does not tell */
export async function cpuUsOf(
  pids: ReadonlyMap<string, number>,
  work: () => Promise<void>,
): Promise<Map<string, number>> {
  const before = cpuTimes(pids);
  await work();
  const between = cpuBetween(before, cpuTimes(pids));
  // One of them may have had nothing to do.
  if ([...between.values()].every(({ usedUs }) => usedUs === 0)) {
    throw new Failure(`no processor time in /proc/PID/task/*/schedstat of ${[...pids.keys()].join(', ')}`, {
      fix: 'They ended during the measurement, or this kernel does not account for it.',
    });
  }
  return new Map([...between].map(([name, { usedUs }]) => [name, usedUs]));
}

/** Of the replicas of the directory, among the processes of a place. */
export const replicaCpuUs = (cpuUs: ReadonlyMap<string, number>): number[] =>
  [...cpuUs].filter(([name]) => name.startsWith('cohd')).map(([, us]) => us);

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
