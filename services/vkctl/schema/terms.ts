// The types of fields in what --json prints (docs/scripts.md has the rules).
import { z } from 'zod';

/** How many, how large, which number: with all its digits. */
export const count = z.int().nonnegative();
/** Of 64 bits, as text: nothing to reckon with. */
export const identity = z.string().regex(/^\d+$/);
export const bytes = z.base64();
export const time = z.iso.datetime().describe('UTC');
export const epochMs = z.number().nonnegative().describe('milliseconds since 1970');
export const pid = count.describe('cluster-wide');
export const mode = z
  .string()
  .regex(/^[0246]{3}$/)
  .describe('octal, as of chmod(1)');
export const wire = z.strictObject({
  oldest: count,
  newest: count,
  release: z.string(),
});
export const byName = <T extends z.ZodType>(value: T) => z.record(z.string(), value);
