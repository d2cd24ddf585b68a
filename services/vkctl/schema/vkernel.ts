import { z } from 'zod';
import { count, time } from './terms.ts';

const STATES = [
  'running',
  'halted',
  'parked',
  'ready',
  'starting',
  'waiting',
  'draining',
  'drained',
  'ending',
  'ended',
  'removed',
] as const;

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
  state: z.enum(STATES).describe('from ready on: of one that is a cluster that lodges on the machine'),
  why: z.string().optional().describe('of one that waits'),
  cluster: z.string().optional().describe('that lodges there, as it is called where it began'),
  called: z.string().optional().describe('the same, as it is called on that machine'),
  as: z.string().optional().describe('the machine as a node of that cluster'),
  hostPid: count.describe('0: it does not run'),
  startedAt: time.optional(),
  parkedAt: time.optional().describe('nobody used it, so it does not run; the next program makes it anew'),
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

/** A cluster that lodges on this machine. */
export const lodging = z.strictObject({
  name: z.string(),
  node: z.string().describe('whose pmap manager serves it'),
  cluster: z.string().describe('as it is called where it began'),
  called: z.string().describe('as it is called on this machine'),
  as: z.string().describe('the machine as a node of it'),
  quota: quota.pick({ memoryBytes: true, cpuWeight: true, cpuMillis: true, processes: true }),
});

export const halted = z.strictObject({ name: z.string(), node: z.string(), processes: count });
export const removed = z.strictObject({
  name: z.string(),
  node: z.string(),
  called: z.string().optional().describe('a cluster that lodged there, as it was called on that machine'),
  left: z.boolean().optional().describe('false: that cluster did not answer, and counts it as a node still'),
});
