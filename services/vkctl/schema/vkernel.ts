import { z } from 'zod';
import { count, time } from './terms.ts';

export const quota = z.strictObject({
  memoryBytes: count.describe('0: as of any'),
  cpuWeight: count.describe('0: 100'),
  cpuMillis: count.describe('thousandths of a processor; 0: all'),
  processes: count,
  dataspaces: count,
  diskBytes: count.describe('of the home, and of /tmp; 0: as of any'),
  descriptors: count.describe('0: as of any'),
});

export const names = z.strictObject({
  listen: z.array(z.string()),
  connect: z.array(z.string()),
  none: z.boolean().describe('not even those of its user'),
});

export const vkernel = z.strictObject({
  name: z.string(),
  node: z.string(),
  user: z.string(),
  state: z.enum(['running', 'halted']),
  hostPid: count.describe('0: it does not run'),
  startedAt: time.optional(),
  processes: count,
  memoryBytes: count.describe('of its processes, in frames and in swap'),
  cpuMs: count,
  cpuMillis: count.describe('thousandths of a processor, in the last seconds'),
  throttledMs: count.describe('held back, as it had all of its processor time'),
  dataspaces: count.describe('open, each counted for each process'),
  diskBytes: count.describe('its home, where that is bounded'),
  descriptors: count.describe('open, of all of its processes'),
  connections: count.describe('by names, of its processes'),
  names: names.optional().describe('that it may use besides those of its user; missing: nobody said'),
  quota: quota.optional().describe('missing: nobody said'),
});

export const halted = z.strictObject({ name: z.string(), node: z.string(), processes: count });
export const removed = z.strictObject({ name: z.string(), node: z.string() });
