// What stands before the module in the dataspace of a snapshot: its first page.
//
//   "odonata snapshot" and a line feed, JSON, zeros to the end of the page
import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { z } from 'zod';

const MAGIC = Buffer.from('odonata snapshot\n');
const VERSION = 1;
export const HEADER_BYTES = PAGE_BYTES;
/** What a virtual kernel takes. */
export const MODULE_BYTES_MAX = 256 << 20;

const schema = z.strictObject({
  version: z.literal(VERSION),
  moduleBytes: z.int().positive().max(MODULE_BYTES_MAX),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  program: z.string().max(1_024),
  takenAtMs: z.int().nonnegative(),
  memoryBytes: z.int().nonnegative(),
  /** Of 4 KiB, that were not zero. */
  pages: z.int().nonnegative(),
});

export type SnapshotHeader = Readonly<Omit<z.infer<typeof schema>, 'version'>>;

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export function encodeHeader(header: SnapshotHeader): Buffer {
  const page = Buffer.alloc(HEADER_BYTES);
  const text = Buffer.concat([MAGIC, Buffer.from(JSON.stringify({ version: VERSION, ...header }))]);
  if (text.length > HEADER_BYTES) throw new RangeError('a header of more than a page');
  text.copy(page);
  return page;
}

/** Undefined: that is no snapshot. */
export function decodeHeader(page: Uint8Array): SnapshotHeader | undefined {
  const bytes = Buffer.from(page);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const end = bytes.indexOf(0, MAGIC.length);
  try {
    const parsed = schema.safeParse(
      JSON.parse(bytes.toString('utf8', MAGIC.length, end < 0 ? bytes.length : end)),
    );
    if (!parsed.success) return undefined;
    const { version: _, ...header } = parsed.data;
    return header;
  } catch {
    return undefined;
  }
}
