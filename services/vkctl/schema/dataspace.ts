import { z } from 'zod';
import { byName, count, identity, mode, pid } from './terms.ts';

/** As the directory has it. */
export const dataspaceRecord = z.strictObject({
  id: identity,
  name: z.string(),
  sizeBytes: count,
  creator: z.string().describe('the node that made it'),
  creatorIncarnation: identity.describe('which life of that node'),
  durable: z.boolean(),
  owner: z.string(),
  group: z.string().describe('empty: none'),
  mode,
  load: z
    .strictObject({ id: identity, bytes: count, made: z.boolean() })
    .optional()
    .describe('a load that has not ended: it is INCOMPLETE'),
});

/** And where its pages are. */
export const dataspace = dataspaceRecord.extend({
  ownedPages: byName(count).describe('by node'),
  mappedBy: z.array(z.string()).describe('nodes'),
  locks: count.describe('range locks that are held'),
  lostPages: count.describe('LOST: an access is an error'),
  notResidentPages: count.describe('in the backing store only; an access brings them back'),
  unknownPages: count.describe('that the backing store was not asked for'),
  unsettledPages: count.describe('of shards whose leader does not know yet'),
});

export const dataspaceStat = dataspace.extend({
  storedPages: count.optional().describe('of a durable one: what its backing store has'),
  corruptPages: count.optional().describe('of these, with a wrong checksum'),
});

export const hotPage = z.strictObject({
  page: count,
  names: z.array(z.string()).describe('that programs gave to ranges on it'),
  faultsPerSecond: z.number().nonnegative(),
  waitedMsPerSecond: z.number().nonnegative().describe('of all processes together'),
  sharing: z
    .enum(['false', 'true', 'reads', 'alone', 'unknown'])
    .describe('what the words say that faults were for'),
  users: z.array(
    z.strictObject({
      node: z.string(),
      pid: pid.describe('0: a process that is somebody else’s'),
      vkernel: z.string(),
      write: z.boolean(),
      faultsPerSecond: z.number().nonnegative(),
      waitedMsPerSecond: z.number().nonnegative(),
      bytes: z.array(z.strictObject({ begin: count, end: count })).describe('in the page, end exclusive'),
    }),
  ),
});

export const loaded = z.strictObject({
  name: z.string(),
  bytes: count,
  node: z.string(),
  rest: z
    .strictObject({
      bytes: count,
      holds: z.enum(['before', 'zeros']).describe('what it held before the load; zeros: it was made'),
    })
    .optional()
    .describe('of the dataspace beyond what was loaded; missing: one may not know'),
});
export const saved = z.strictObject({ name: z.string(), file: z.string(), bytes: count });
export const pagesOf = z.strictObject({ name: z.string(), pages: count });
export const removed = z.strictObject({ name: z.string(), removed: z.literal(true) });

export const exported = z.strictObject({
  file: z.string(),
  resumedBytes: count.describe('of the file, as one that broke off had left them'),
  dataspaces: z.array(
    z.strictObject({ name: z.string(), bytes: count.describe('that are not zeros, in whole MiB') }),
  ),
});
export const imported = z.strictObject({
  name: z.string(),
  sizeBytes: count,
  how: z.enum(['made', 'there', 'checked']).describe('there: with the same bytes; checked: with --check'),
  group: z.string().optional().describe('missing: one may not give it that group'),
});
