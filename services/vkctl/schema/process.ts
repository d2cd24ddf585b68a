import { z } from 'zod';
import { bytes, count, pid, time } from './terms.ts';

const exit = z.strictObject({
  code: z.int(),
  signal: z.string().describe('empty: none'),
  reason: z.string(),
  stack: z.string().optional(),
});

export const process = z.strictObject({
  pid,
  node: z.string(),
  vkernel: z.string(),
  command: z.array(z.string()),
  state: z.string().describe('starting, running, ending (it is over, and its thread is not), exited, ...'),
  startedAt: time.optional(),
  exit: exit.optional().describe('of one that ended'),
  residentPages: count.describe('private pages'),
  cpuMs: count.describe('of all threads'),
  threads: count.describe('0: it has ended, is starting, or is parked'),
  parked: z.boolean().describe('it waits, and has no thread meanwhile'),
  user: z.string().describe('empty: nobody'),
  parent: count.describe('0: started from outside; 1: its parent is over'),
  group: count.describe('its process group'),
  session: count,
  sleeps: z.boolean().describe('it waits: next to no processor time in the last second or two'),
  sharedPages: count.optional().describe('missing where its pmapd does not answer'),
  waits: z
    .array(z.strictObject({ what: z.string(), reason: z.string(), waitedMs: count }))
    .optional()
    .describe('faults that have waited for seconds'),
});

export const started = z.strictObject({ pid, node: z.string(), vkernel: z.string() });
export const signalled = z.strictObject({ pid, signal: z.string() });
export const ended = z.strictObject({ pid, ...exit.pick({ code: true, signal: true, reason: true }).shape });
export const flushed = z.strictObject({
  node: z.string(),
  vmspaces: count,
  sharedPages: count.describe('of dataspaces, whose mappings were dropped'),
  privatePages: count.describe('of private memory, whose mappings the virtual kernels drop'),
});
export const output = z.strictObject({
  stream: z.enum(['stdout', 'stderr']),
  data: bytes,
  droppedBytes: count.describe('before this, and no longer kept'),
});

export const copied = z.strictObject({ from: z.string(), to: z.string(), bytes: count });
