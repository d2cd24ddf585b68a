// Routers, and the ways between them.
import { z } from 'zod';
import { count, epochMs, identity } from './terms.ts';

export const route = z.strictObject({
  from: z.string().describe('the router that knows the way'),
  to: z.string().describe('the router that it leads to'),
  hops: count,
  path: z.array(z.string()).describe('routers on the way: the neighbour first, the target last'),
  used: z.boolean().describe('messages take it; false: it is spare'),
  endpoints: count.describe('with names, attached to the target'),
});

export const name = z.strictObject({
  name: z.string(),
  endpoint: z.string().describe('its own name; empty for a client'),
  sysid: identity,
  session: identity,
  router: z.string(),
  load: count.describe('as it said: whoever has least gets the next request'),
  unwell: z.boolean(),
  everyone: z.boolean().describe('everybody may use it'),
  groups: z.array(z.string()).describe('may use it, too'),
});

export const peer = z.strictObject({
  gateway: z.string().describe('its endpoint'),
  peer: z.string().describe('the other cluster'),
  address: z.string().describe('where it is dialled; empty: it is waited for'),
  connected: z.boolean(),
  sinceMs: epochMs.describe('milliseconds since 1970 of the line; 0: none is up'),
  reason: z.string().describe('why there is no line, where that is known'),
  exported: z.array(z.string()).describe('names that it may use'),
  imported: z.array(z.string()).describe('names of it that are known here'),
  circuits: count.describe('open, both ways'),
  receivedMessages: count,
  sentMessages: count,
  receivedBytes: count,
  sentBytes: count,
  refused: count.describe('asked for, and not allowed by the policy'),
  rateLimited: count.describe('refused or read later, as it was too much'),
  droppedHellos: count.describe('of an earlier session, sent again, or of another session'),
  fingerprint: z
    .string()
    .describe("SHA-256 of its gateway's certificate, as a policy denies it; empty: no line yet"),
  dataspaces: z
    .array(
      z.strictObject({
        name: z.string().describe('NAME where it is exported, NAME@CLUSTER where it is imported'),
        sizeBytes: count,
        pages: count.describe(
          'lent now: to the other cluster where it is exported, by it where it is imported',
        ),
        trouble: z.string().describe('why it cannot be used now; empty: it can'),
      }),
    )
    .describe('exported and imported'),
  lentPages: count.describe('that it was lent since the gateway started; each time counts'),
  borrowedPages: count.describe('that it lent since the gateway started; each time counts'),
  overduePages: count.describe('that a writer got when the lease of the other cluster had ended'),
  lostPages: count.describe('written on one side, and never brought to the other one'),
  policyTrouble: z.string().describe('why the policy in the file does not count; empty: it does'),
});

export const gatewayAdded = z.strictObject({
  cluster: z.string().describe('that runs it'),
  policy: z.string().describe('the file that it goes by'),
});

export const gatewayRemoved = z.strictObject({ cluster: z.string().describe('that ran it') });
