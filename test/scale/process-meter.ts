// Replicas that are processes of this machine, read from /proc.
import { readFileSync } from 'node:fs';
import { cpuBetween, cpuTimes } from '../bench/cpu-time.ts';
import { sum } from '../bench/directory/cpu.ts';
import type { Meter, Usage } from './scaled-service.ts';

const TICK_US = 10_000;

export interface ProcessMeterOptions {
  /** Replicas by name. */
  pids: ReadonlyMap<string, number>;
  /** Others that work for the operations; asked again each time, for they may come and go. */
  beside: () => Promise<number[]>;
  /** What each replica did so far, by its own counter, in the order of `pids`. */
  work: () => Promise<(number | undefined)[]>;
}

export class ProcessMeter implements Meter {
  private readonly o: ProcessMeterOptions;

  constructor(options: ProcessMeterOptions) {
    this.o = options;
  }

  async during(work: () => Promise<void>): Promise<Usage> {
    const { pids } = this.o;
    const beside = await this.o.beside();
    const doneBefore = await this.o.work();
    const besideBefore = sum(beside.map(ticksUs));
    const sleepsBefore = [...pids.values()].map(sleepsOf);
    const cpuBefore = cpuTimes(pids);
    await work();
    const cpu = cpuBetween(cpuBefore, cpuTimes(pids));
    const sleeps = [...pids.values()].map((pid, i) => sleepsOf(pid) - sleepsBefore[i]!);
    const besideUs = sum(beside.map(ticksUs)) - besideBefore;
    const done = await this.o.work();
    const replicas = [...pids.keys()].map((name, i) => {
      const [after, before] = [done[i], doneBefore[i]];
      const did = after === undefined || before === undefined ? undefined : after - before;
      return { cpuUs: cpu.get(name)!.usedUs, work: did, sleeps: sleeps[i]! };
    });
    return { replicas, besideUs };
  }

  async residentBytes(): Promise<number[]> {
    return [...this.o.pids.values()].map(residentBytes);
  }
}

export const residentBytes = (pid: number): number => statusOf(pid, /^VmRSS:\s+(\d+) kB$/m) * 1024;

const sleepsOf = (pid: number): number => statusOf(pid, /^voluntary_ctxt_switches:\s+(\d+)$/m);

function statusOf(pid: number, field: RegExp): number {
  return Number(field.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

/** User and system time of a process, also of threads that ended, in ticks of Linux's USER_HZ. */
function ticksUs(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // After the name, which may contain anything, the third field; utime and stime are the 14th and the 15th.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}
