// The initial memory of a program as an image: pages that all processes of it have in common until they write them.
//
// Segments that a module writes into its memory when it is instantiated are taken out of it where they fill whole pages enough; the
// segments stay, empty, so no index in the code changes. A page of zeros is in no image: memory begins as zeros.
import { createHash } from 'node:crypto';
import { BinaryReader, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import type { ImageSpan, ProgramImage } from '@odonata/pmap/pmap-interface.ts';

/** Of memory, as its node has them. */
export const PAGE_BYTES = 4096;
const WASM_PAGE_BYTES = 65_536;
/** What has fewer costs less as it is. */
export const IMAGE_PAGES_MIN = 64;
/** 1 GiB. */
const IMAGE_PAGES_MAX = 262_144;
/** Ranges beside each other: each is a mapping of its own. */
export const IMAGE_SPANS_MAX = 64;
/** Pages of zeros between two ranges that are not worth a mapping more. */
const GAP_PAGES = 16;
const SEGMENTS_MAX = 100_000;
/** An image with its pages of nothing is at most so many times as large as without them. */
const EMPTY_MAX = 2;

export type { ProgramImage };

interface Segment {
  readonly address: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const Kind = { active: 0, passive: 1, activeOf: 2 } as const;
const i32Const = 0x41;
const end = 0x0b;

/**
 * @param body of the data section
 * @param initialPages of 64 KiB
 * @param pagesMin with fewer there is none
 * @returns the section without what is in the image; undefined: there is no image
 */
export function splitImage(
  body: Uint8Array<ArrayBuffer>,
  initialPages: number,
  pagesMin = IMAGE_PAGES_MIN,
): { readonly body: Uint8Array<ArrayBuffer>; readonly image: ProgramImage } | undefined {
  const read = readSegments(body, initialPages * WASM_PAGE_BYTES);
  if (read === undefined) return undefined;
  const { segments, emptied } = read;
  const spans = spansOf(segments);
  const pages = spans.reduce((sum, { pageCount }) => sum + pageCount, 0);
  if (pages < pagesMin || pages > IMAGE_PAGES_MAX || spans.length > IMAGE_SPANS_MAX) return undefined;
  // Shared with the main thread, which hands it on.
  const bytes = new Uint8Array(new SharedArrayBuffer(pages * PAGE_BYTES));
  for (const segment of segments) put(segment, spans, bytes);
  const sha256 = Uint8Array.from(createHash('sha256').update(bytes).digest());
  return { body: emptied, image: { sha256, bytes, spans } };
}

/** Undefined: there is one that cannot be said beforehand where it goes, or that does not fit. */
function readSegments(
  body: Uint8Array<ArrayBuffer>,
  memoryBytes: number,
): { segments: Segment[]; emptied: Uint8Array<ArrayBuffer> } | undefined {
  const reader = new BinaryReader(body, 0);
  const count = reader.u32();
  if (count > SEGMENTS_MAX) return undefined;
  const segments: Segment[] = [];
  const pieces = [unsignedLeb(count)];
  for (let left = count; left > 0; left--) {
    const start = reader.at;
    const kind = reader.u32();
    if (kind === Kind.passive) {
      reader.bytes(reader.u32());
      pieces.push(body.subarray(start, reader.at));
      continue;
    }
    if (kind === Kind.activeOf && reader.u32() !== 0) return undefined;
    if (kind > Kind.activeOf || reader.u8() !== i32Const) return undefined;
    const address = signed32(reader) >>> 0;
    if (reader.u8() !== end) return undefined;
    const head = body.subarray(start, reader.at);
    const bytes = reader.bytes(reader.u32());
    // V8 says what is wrong with it.
    if (address + bytes.length > memoryBytes) return undefined;
    segments.push({ address, bytes });
    pieces.push(head, Uint8Array.of(0));
  }
  // V8 says what is wrong with what follows.
  return reader.atEnd ? { segments, emptied: concat(pieces) } : undefined;
}

function signed32(reader: BinaryReader): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.u8();
    value |= (byte & 0x7f) << shift;
    if ((byte & 0x80) !== 0) continue;
    return shift < 28 && (byte & 0x40) !== 0 ? value | (-1 << (shift + 7)) : value;
  }
  throw new RangeError('a number too long');
}

/** Pages that hold something, in order; few pages of nothing between them come along. */
function spansOf(segments: readonly Segment[]): ImageSpan[] {
  const pages = new Set<number>();
  for (const { address, bytes } of segments)
    for (let at = 0; at < bytes.length; ) {
      const page = Math.floor((address + at) / PAGE_BYTES);
      const next = Math.min(bytes.length, (page + 1) * PAGE_BYTES - address);
      if (!pages.has(page) && bytes.subarray(at, next).some((byte) => byte !== 0)) pages.add(page);
      at = next;
    }
  const spans: { firstPage: number; pageCount: number; imagePage: number }[] = [];
  let imagePage = 0;
  for (const page of [...pages].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    const lastEnd = last === undefined ? 0 : last.firstPage + last.pageCount;
    if (last !== undefined && page - lastEnd < GAP_PAGES) {
      imagePage += page + 1 - lastEnd;
      last.pageCount = page + 1 - last.firstPage;
    } else {
      spans.push({ firstPage: page, pageCount: 1, imagePage });
      imagePage += 1;
    }
  }
  return fewer(spans);
}

/** No more than there may be, where that takes not too many pages of nothing along. */
function fewer(spans: readonly ImageSpan[]): ImageSpan[] {
  if (spans.length <= IMAGE_SPANS_MAX) return [...spans];
  const endOf = ({ firstPage, pageCount }: ImageSpan): number => firstPage + pageCount;
  const gaps = spans.slice(1).map((span, i) => span.firstPage - endOf(spans[i]!));
  // Those that are left are as many as there may be, and one less.
  const widest = gaps.toSorted((a, b) => b - a)[IMAGE_SPANS_MAX - 1]!;
  const held = spans.reduce((sum, { pageCount }) => sum + pageCount, 0);
  const joined: ImageSpan[] = [];
  for (const [i, span] of spans.entries()) {
    const last = joined.at(-1);
    if (last !== undefined && gaps[i - 1]! <= widest)
      joined[joined.length - 1] = { ...last, pageCount: endOf(span) - last.firstPage };
    else joined.push({ ...span });
  }
  let imagePage = 0;
  for (const [i, span] of joined.entries()) {
    joined[i] = { ...span, imagePage };
    imagePage += span.pageCount;
  }
  return imagePage <= held * EMPTY_MAX ? joined : [...spans];
}

/** What comes later lies over what came before, as when a module is instantiated. */
function put({ address, bytes }: Segment, spans: readonly ImageSpan[], image: Uint8Array): void {
  for (const { firstPage, pageCount, imagePage } of spans) {
    const from = Math.max(address, firstPage * PAGE_BYTES);
    const to = Math.min(address + bytes.length, (firstPage + pageCount) * PAGE_BYTES);
    if (from >= to) continue;
    image.set(bytes.subarray(from - address, to - address), from + (imagePage - firstPage) * PAGE_BYTES);
  }
}
