// A pid alone is no identity: it is reused. With its start time, within one boot, it is.
import { readFileSync } from 'node:fs';
import { processStat } from '@odonata/rpc/process-stat.ts';
import { z } from 'zod';

export const identitySchema = z.object({
  pid: z.number().int().positive(),
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  startTicks: z.string(),
  bootId: z.string(),
});
export type Identity = z.infer<typeof identitySchema>;

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

export function identify(pid: number): Identity | undefined {
  const stat = processStat(pid);
  return stat && { pid, startTicks: stat.startTicks, bootId: bootId() };
}

/** True while exactly this process runs; a zombie does not. */
export function isAlive(identity: Identity): boolean {
  if (identity.bootId !== bootId()) return false;
  const stat = processStat(identity.pid);
  return stat !== undefined && stat.startTicks === identity.startTicks && stat.state !== 'Z';
}
