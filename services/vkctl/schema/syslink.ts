// Routers, and the ways between them.
import { z } from 'zod';
import { count, identity } from './terms.ts';

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
