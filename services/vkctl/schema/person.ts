// Who is who: people, contexts, ourselves.
import { z } from 'zod';
import { epochMs } from './terms.ts';

const date = z.iso.date();
const role = z.enum(['admin', 'operator', 'user', 'viewer']);

export const person = z.strictObject({
  name: z.string(),
  role,
  groups: z.array(z.string()),
  serial: z.string().describe('of the certificate'),
  sinceMs: epochMs,
  untilMs: epochMs,
  removedMs: epochMs.optional(),
});
const owns = z.array(z.string()).describe('dataspaces');
export const added = person.extend({ file: z.string(), owns });
export const putOut = person.extend({ owns });

export const context = z.strictObject({
  name: z.string(),
  cluster: z.string(),
  syslink: z.string(),
  identity: z.string(),
  until: date,
  current: z.boolean(),
});
export const contextRemoved = z.strictObject({ name: z.string(), removed: z.literal(true) });
export const contextUsed = z.strictObject({
  current: z.string().optional().describe('missing: clusters of this machine'),
});

export const whoami = z.strictObject({
  cluster: z.string(),
  role: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  until: date.optional(),
  by: z.string().optional(),
  identity: z.string().optional(),
});
export const token = z.strictObject({ socket: z.string(), token: z.string() });
