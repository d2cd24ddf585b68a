import { z } from 'zod';
import { byName, identity, time } from './terms.ts';

export const event = z.strictObject({
  id: identity.describe('grows with each event of this life of the service'),
  time,
  service: z.string(),
  node: z.string().describe('that it is about; empty: none'),
  severity: z.enum(['info', 'warning', 'error', 'unspecified']),
  kind: z.string(),
  text: z.string(),
  subject: byName(z.string()),
});
