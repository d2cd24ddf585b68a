// Chunks: 64 neighbouring pages of a dataspace, as many of them as were ever synced, in one message of the store. Pure.
//
//   bytes  0  magic "ODCH"           24 ...  a table of pages, 16 bytes each:
//          4  pages (u32)                    0 page within the chunk (u32)   4 checksum (u32)   8 version (u64)
//          8  dataspace (u64)        then    the pages, 4096 bytes each, as in the table
//         16  number of the chunk (u32)
//         20  checksum of all before the pages, itself left out
//
// A page's checksum covers what it is, dataspace, page and version, and its bytes: a page in the wrong place is as
// wrong as one whose bytes are. A page that fails its checksum stays in its chunk as it is when others are stored
// beside it, and goes when it is stored anew: nothing that is wrong turns into something that was never there.
// A chunk whose table fails cannot say which pages it had: it is wrong as a whole, until it is stored as a whole.
//
// Of two versions of a page the higher one stays; of two equal ones the later, because only one holder can write at a
// version, and it stores in order. Versions (libs/coherency/stored-version.ts) grow in the order of the directory's epochs and
// writers: whoever syncs late with what was true early changes nothing.
import { crc32 } from 'node:zlib';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';

export const CHUNK_PAGES = 64;
/** The largest message: what a NATS server must allow (`max_payload`; its default is 1 MiB). */
export const CHUNK_BYTES_MAX = 24 + CHUNK_PAGES * (16 + PAGE_BYTES);

const MAGIC = 0x4f444348;
const HEADER_BYTES = 24;
const ENTRY_BYTES = 16;
const TABLE_CHECKSUM_AT = 20;

export interface StoredPage {
  version: bigint;
  /** As stored. */
  checksum: number;
  bytes: Uint8Array;
}

/** Pages by their number in the dataspace. */
export type Pages = ReadonlyMap<number, StoredPage>;

export interface ChunkId {
  dataspace: bigint;
  /** The page that it begins with, divided by CHUNK_PAGES. */
  number: number;
}

export function chunkOf(page: number): number {
  return Math.floor(page / CHUNK_PAGES);
}

/** A range of pages, cut where a chunk ends. */
export function* piecesOf(
  firstPage: number,
  pageCount: number,
): Generator<{ firstPage: number; pageCount: number }> {
  const end = firstPage + pageCount;
  for (let page = firstPage; page < end; ) {
    const next = Math.min(end, (chunkOf(page) + 1) * CHUNK_PAGES);
    yield { firstPage: page, pageCount: next - page };
    page = next;
  }
}

/** A page with its checksum. */
export function sealPage(dataspace: bigint, page: number, version: bigint, bytes: Uint8Array): StoredPage {
  return { version, checksum: checksumOf(dataspace, page, version, bytes), bytes };
}

export function isIntact(dataspace: bigint, page: number, stored: StoredPage): boolean {
  return checksumOf(dataspace, page, stored.version, stored.bytes) === stored.checksum;
}

function checksumOf(dataspace: bigint, page: number, version: bigint, bytes: Uint8Array): number {
  const about = Buffer.alloc(20);
  about.writeBigUInt64LE(dataspace, 0);
  about.writeUInt32LE(page, 8);
  about.writeBigUInt64LE(version, 12);
  return crc32(bytes, crc32(about));
}

export function encodeChunk({ dataspace, number }: ChunkId, pages: Pages): Uint8Array {
  const bodyAt = HEADER_BYTES + pages.size * ENTRY_BYTES;
  const out = Buffer.alloc(bodyAt + pages.size * PAGE_BYTES);
  out.writeUInt32BE(MAGIC, 0);
  out.writeUInt32LE(pages.size, 4);
  out.writeBigUInt64LE(dataspace, 8);
  out.writeUInt32LE(number, 16);
  [...pages].forEach(([page, stored], i) => {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    out.writeUInt32LE(page - number * CHUNK_PAGES, at);
    out.writeUInt32LE(stored.checksum, at + 4);
    out.writeBigUInt64LE(stored.version, at + 8);
    out.set(stored.bytes, bodyAt + i * PAGE_BYTES);
  });
  out.writeUInt32LE(tableChecksum(out, bodyAt), TABLE_CHECKSUM_AT);
  return out;
}

/** Undefined: it is torn, or not the chunk that it should be. */
export function decodeChunk({ dataspace, number }: ChunkId, bytes: Uint8Array): Pages | undefined {
  const from = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (from.length < HEADER_BYTES || from.readUInt32BE(0) !== MAGIC) return undefined;
  const count = from.readUInt32LE(4);
  const bodyAt = HEADER_BYTES + count * ENTRY_BYTES;
  if (count > CHUNK_PAGES || from.length !== bodyAt + count * PAGE_BYTES) return undefined;
  if (from.readUInt32LE(TABLE_CHECKSUM_AT) !== tableChecksum(from, bodyAt)) return undefined;
  if (from.readBigUInt64LE(8) !== dataspace || from.readUInt32LE(16) !== number) return undefined;
  const pages = new Map<number, StoredPage>();
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    const body = bodyAt + i * PAGE_BYTES;
    pages.set(number * CHUNK_PAGES + from.readUInt32LE(at), {
      version: from.readBigUInt64LE(at + 8),
      checksum: from.readUInt32LE(at + 4),
      bytes: from.subarray(body, body + PAGE_BYTES),
    });
  }
  return pages;
}

function tableChecksum(chunk: Buffer, bodyAt: number): number {
  return crc32(chunk.subarray(HEADER_BYTES, bodyAt), crc32(chunk.subarray(0, TABLE_CHECKSUM_AT)));
}

/** What a chunk holds after pages are stored in it. Undefined: it holds all of that already. */
export function mergePages(dataspace: bigint, before: Pages, stored: Pages): Pages | undefined {
  const after = new Map(before);
  let isChanged = false;
  for (const [page, next] of stored) {
    const last = before.get(page);
    if (last !== undefined && isIntact(dataspace, page, last)) {
      const isSame = last.version === next.version && last.checksum === next.checksum;
      if (isSame || last.version > next.version) continue;
    }
    after.set(page, next);
    isChanged = true;
  }
  return isChanged ? after : undefined;
}

/** Pages of one dataspace, chunk by chunk. */
export function byChunk(pages: Pages): Map<number, Map<number, StoredPage>> {
  const chunks = new Map<number, Map<number, StoredPage>>();
  for (const [page, stored] of pages) {
    const number = chunkOf(page);
    const chunk = chunks.get(number) ?? new Map<number, StoredPage>();
    chunks.set(number, chunk.set(page, stored));
  }
  return chunks;
}
