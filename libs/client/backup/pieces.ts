// Bytes in pieces of a backup.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { PIECE_BYTES } from './archive.ts';

const ZEROS = Buffer.alloc(PIECE_BYTES);

export const isZeros = (bytes: Buffer): boolean => bytes.equals(ZEROS.subarray(0, bytes.length));

/** The same bytes, each piece whole but the last one. */
export async function* inPieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for await (const some of bytes) {
    waiting.push(some);
    length += some.length;
    if (length < PIECE_BYTES) continue;
    const all = Buffer.concat(waiting);
    let at = 0;
    for (; all.length - at >= PIECE_BYTES; at += PIECE_BYTES) yield all.subarray(at, at + PIECE_BYTES);
    waiting = [all.subarray(at)];
    length = all.length - at;
  }
  if (length > 0) yield Buffer.concat(waiting);
}

/** What stands between two pieces, or after the last one, for a load: pages that stay as they are, and what is left of one. */
export function* gap(bytes: number): Generator<Uint8Array | number> {
  const rest = bytes % PAGE_BYTES;
  if (bytes > rest) yield bytes - rest;
  if (rest > 0) yield ZEROS.subarray(0, rest);
}
