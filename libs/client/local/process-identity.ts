// A pid alone is no identity: it is reused. With its start time, within one boot, it is.
import { readFileSync } from 'node:fs';
import { z } from 'zod';

export const identitySchema = z.object({
  pid: z.number().int().positive(),
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  startTicks: z.string(),
  bootId: z.string(),
});
export type Identity = z.infer<typeof identitySchema>;

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

interface ProcStat {
  state: string;
  parentPid: number;
  startTicks: string;
}

/** What /proc says of a process; undefined when there is none. */
export function procStat(pid: number): ProcStat | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  // The second field is the name in parentheses and may hold anything, even ')'.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, parentPid: Number(fields[1]), startTicks: fields[19]! };
}

/** ESRCH, too: /proc answers so when the process ends between open and read. */
function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}

export function identify(pid: number): Identity | undefined {
  const stat = procStat(pid);
  return stat && { pid, startTicks: stat.startTicks, bootId: bootId() };
}

/** True while exactly this process runs; a zombie does not. */
export function isAlive(identity: Identity): boolean {
  if (identity.bootId !== bootId()) return false;
  const stat = procStat(identity.pid);
  return stat !== undefined && stat.startTicks === identity.startTicks && stat.state !== 'Z';
}
