// Routers, and the ways between them.
import { z } from 'zod';

export const route = z.strictObject({
  from: z.string().describe('the router that knows the way'),
  to: z.string().describe('the router that it leads to'),
  hops: z.number().int().min(1),
  path: z.array(z.string()).describe('routers on the way: the neighbour first, the target last'),
  used: z.boolean().describe('messages take it; false: it is spare'),
  endpoints: z.number().int().min(0).describe('with names, attached to the target'),
});
