// Of the machines of a cluster: nodes, and the tokens by which they come in.
import { z } from 'zod';
import { count, epochMs } from './terms.ts';

const state = z.enum(['ready', 'away', 'draining', 'drained']);

export const node = z.strictObject({
  name: z.string(),
  index: count.describe('its pids start at 100,000 times this'),
  state,
  here: z.boolean().describe('of the machine where the cluster began'),
  address: z.string().optional().describe('where other nodes reach it, host:port'),
  sinceMs: epochMs.optional(),
  seenMs: epochMs.optional().describe('its machine spoke last'),
  release: z.string().optional(),
  load: z.number().optional().describe('of its machine, the average of a minute'),
  processors: count.optional(),
  lodges: z
    .strictObject({
      memoryBytes: count,
      cpuMillis: count.describe('thousandths of a processor; 0: all'),
      processes: count.describe('0: any'),
    })
    .optional()
    .describe('what it may have of its machine, which is that of another cluster'),
});
export const changed = z.strictObject({ name: z.string(), state });
export const removed = z.strictObject({ name: z.string(), removed: z.literal(true) });

export const joined = z.strictObject({
  node: z.string(),
  index: count,
  of: z.string().describe('the cluster, as it is called where it began'),
  cluster: z.string().describe('as it is called here'),
  syslink: z.string().describe('its routers, host:port with commas between'),
  notes: z.array(z.string()),
});

export const newToken = z.strictObject({
  token: z.string().describe('secret, and said once'),
  id: z.string(),
  command: z.string().describe('for the machine that joins'),
  address: z.string(),
  untilMs: epochMs,
  uses: count,
});
export const token = z.strictObject({
  id: z.string(),
  by: z.string(),
  usesLeft: count,
  madeMs: epochMs,
  untilMs: epochMs,
});
export const tokenRemoved = z.strictObject({ id: z.string(), removed: z.literal(true) });
