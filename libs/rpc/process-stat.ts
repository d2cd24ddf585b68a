// What /proc says of a process of this machine; proc_pid_stat(5).
import { readFileSync } from 'node:fs';

/** As the kernel counts processor time, sysconf(_SC_CLK_TCK): the same on every Linux. */
const TICK_MS = 10;

export interface ProcessStat {
  /** One letter: Z is a zombie. */
  readonly state: string;
  readonly parentPid: number;
  /** The pid of whoever leads its session. */
  readonly sessionId: number;
  /** User and system, of all of its threads, also of those that ended. */
  readonly cpuMs: number;
  /** When it started, in clock ticks since boot. */
  readonly startTicks: string;
}

/** Undefined: there is none. @throws Error of the system */
export function processStat(pid: number): ProcessStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  return statIn(stat);
}

/** Of the text of such a file. */
export function statIn(stat: string): ProcessStat {
  // The second field is the name in parentheses and may hold anything, even ')'.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpuMs = (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  const [state, parentPid, sessionId] = [fields[0]!, Number(fields[1]), Number(fields[3])];
  return { state, parentPid, sessionId, cpuMs, startTicks: fields[19]! };
}

/** ESRCH, too: /proc answers so when the process ends between open and read. */
function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}

/** When it started; undefined when it does not run (or is a zombie), or nobody may know. */
export function startTicksOf(pid: number): string | undefined {
  try {
    const stat = processStat(pid);
    return stat?.state === 'Z' ? undefined : stat?.startTicks;
  } catch {
    return undefined;
  }
}
