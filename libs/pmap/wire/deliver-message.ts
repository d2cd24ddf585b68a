// A message of pages, as it is sent and as it came.
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { PAGE_BYTES, type PageRun, type PageState } from '@odonata/coherency/page.ts';
import { runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import { type DeliverRequest, DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import type { WireVersions } from '@odonata/proto/wire/v1/wire';
import { PREFIX_BYTES, whole, writePrefix } from '@odonata/rpc/bare-stream.ts';
import { prefixOf } from '@odonata/rpc/large-bytes.ts';
import { decoder } from '@odonata/rpc/service.ts';
import type { TraceContext } from '@odonata/rpc/trace/context.ts';
import { HEAD_BYTES, PageBuffer } from './page-buffer.ts';

/** `bytes data = 2` */
const DATA_FIELD = DeliverRequestSchema.field.data.number;
const NO_FIELD = new Uint8Array();
const NOTHING: readonly Uint8Array[] = [];

/** What is said of pages beside their bytes. */
export interface Delivered {
  version: number;
  state: PageState;
  epoch: bigint;
  sender: number;
  receiver: number;
  /** What it is part of. */
  trace?: TraceContext | undefined;
}

/** The place of a message in its transfer. */
export interface Place {
  /** 0: it is not counted. */
  sequence: number;
  ask: boolean;
  /** In the first message of a stream. */
  first?: { transfer: bigint; wire: WireVersions } | undefined;
}

/** A message as gRPC has it on a stream: five bytes, which say how long it is, and the message. */
export interface FramedMessage {
  /** One, where there was room before the bytes; else the bytes of pages are the second one, as they lie. */
  readonly pieces: readonly Buffer[];
  /** The buffer that is used again when it has arrived. */
  readonly room?: Buffer | undefined;
}

/** A DeliverRequest as it is sent. The bytes of its pages are not copied: where there is room before them, its head goes there. */
export function encodeDeliver(
  run: PageRun,
  about: Delivered,
  bytes: PageBuffer | undefined,
  { sequence, ask, first }: Place = { sequence: 0, ask: false },
): FramedMessage {
  const head = create(DeliverRequestSchema, {
    ...{ run, zero: bytes === undefined, version: BigInt(about.version), state: stateWire.to(about.state) },
    ...{ epoch: about.epoch, sender: about.sender, receiver: about.receiver },
    ...{ sequence: BigInt(sequence), ask, ...first, ...(about.trace && { trace: about.trace }) },
  });
  if (sequence > 0) head.checksum = checksumOf(head, bytes?.pieces ?? NOTHING);
  const encoded = toBinary(DeliverRequestSchema, head);
  const length = bytes?.length ?? 0;
  const field = bytes === undefined ? NO_FIELD : prefixOf(DATA_FIELD, length);
  const headBytes = PREFIX_BYTES + encoded.length + field.length;
  assert(headBytes <= HEAD_BYTES, `the head of a message of pages has ${headBytes} bytes`);
  const room = bytes?.takeRoom();
  const front =
    room?.subarray(HEAD_BYTES - headBytes, HEAD_BYTES + length) ?? Buffer.allocUnsafeSlow(headBytes);
  writePrefix(front, encoded.length + field.length + length);
  front.set(encoded, PREFIX_BYTES);
  front.set(field, PREFIX_BYTES + encoded.length);
  if (bytes === undefined || room !== undefined) return { pieces: [front], room };
  const { data } = bytes;
  return { pieces: [front, Buffer.from(data.buffer, data.byteOffset, data.byteLength)] };
}

/** The message alone, for whoever frames it himself. */
export function messageOf({ pieces }: FramedMessage): Buffer {
  const [front] = pieces;
  return (pieces.length === 1 ? front! : Buffer.concat(pieces)).subarray(PREFIX_BYTES);
}

/** A message of pages as it came. */
export interface DeliveredPages {
  /** What is said of them; its own bytes are none, where they are in `pages`. */
  readonly head: DeliverRequest;
  readonly pages: PageBuffer;
}

export const deliveredPages = (head: DeliverRequest): DeliveredPages => ({
  ...{ head, pages: new PageBuffer(head.data) },
});

const decode = decoder(DeliverRequestSchema);

/**
 * A message in the pieces that it came in. As everybody writes it, its pages are last, and stay where they are.
 * @throws RpcError INVALID_ARGUMENT
 */
export function deliveredOf(first: Buffer, more: readonly Buffer[]): DeliveredPages {
  const bytes = more.reduce((sum, { length }) => sum + length, first.length);
  const found = lastDataOf(first, bytes);
  if (found === undefined) return deliveredPages(decode(whole(first, more)));
  return {
    head: decode(first.subarray(0, found.tagAt)),
    pages: new PageBuffer([first.subarray(found.at), ...more]),
  };
}

// Where the field of the pages begins, if nothing comes after it and all before it is in the first piece.
function lastDataOf(first: Buffer, bytes: number): { tagAt: number; at: number } | undefined {
  const reader = new BinaryReader(first);
  try {
    while (reader.pos < reader.len) {
      const tagAt = reader.pos;
      const [field, type] = reader.tag();
      if (field !== DATA_FIELD) reader.skip(type, field);
      else if (type !== WireType.LengthDelimited) return undefined;
      else {
        const length = reader.uint32();
        if (reader.pos + length === bytes) return { tagAt, at: reader.pos };
        if (reader.pos + length > first.length) return undefined;
        reader.pos += length;
      }
    }
  } catch {
    // What it is told the usual way.
  }
  return undefined;
}

const words = new BigUint64Array(11);
const wordBytes = new Uint8Array(words.buffer);

// Of what a receiver heeds. A message on its way is spoilt where TCP's checksum of 16 bits lets it through, or in a machine.
function checksumOf(message: DeliverRequest, pieces: readonly Uint8Array[]): number {
  const { run, zero, version, epoch, state, sender, receiver, sequence, transfer } = message;
  words[0] = run?.dataspace ?? 0n;
  words[1] = BigInt(run?.firstPage ?? 0);
  words[2] = BigInt(run?.pageCount ?? 0);
  words[3] = zero ? 1n : 0n;
  words[4] = version;
  words[5] = epoch;
  words[6] = BigInt(state);
  words[7] = BigInt(sender);
  words[8] = BigInt(receiver);
  words[9] = sequence;
  words[10] = transfer;
  let sum = crc32(wordBytes);
  for (const piece of pieces) if (piece.length > 0) sum = crc32(piece, sum);
  return sum;
}

/** True where a message was spoilt on its way. */
export const isSpoilt = ({ head, pages }: DeliveredPages): boolean =>
  (head.sequence > 0n || head.checksum !== 0) && checksumOf(head, pages.pieces) !== head.checksum;

/** @throws RangeError when the message will not do */
export function pagesOf({ head: { run: wire, zero, state, version }, pages }: DeliveredPages) {
  const run = runFromWire(wire);
  if (!zero && pages.length !== run.pageCount * PAGE_BYTES)
    throw new RangeError(`data: ${pages.length} bytes for ${run.pageCount} pages`);
  return { type: 'data', run, state: stateWire.from(state), version: Number(version), zero } as const;
}
