import { z } from 'zod';
import { count, epochMs } from './terms.ts';

export const snapshot = z.strictObject({
  name: z.string(),
  owner: z.string(),
  program: z.string(),
  takenAtMs: epochMs,
  moduleBytes: count.describe('of the module that it is, which is stored after a page'),
  sha256: z.string().describe('of that module'),
  memoryBytes: count.describe('how large its memory was'),
  pages: count.describe('of 4 KiB of it that were not zero'),
});

export const taken = snapshot.extend({ heldMs: count.describe('how long the process stood still') });
export const removed = z.strictObject({ name: z.string(), removed: z.literal(true) });
