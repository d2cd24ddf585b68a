// A message of pages, as it is sent and as it came.
import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { PAGE_BYTES, type PageRun, type PageState } from '@odonata/coherency/page.ts';
import { runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import { type DeliverRequest, DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import type { WireVersions } from '@odonata/proto/wire/v1/wire';
import { prefixOf } from '@odonata/rpc/large-bytes.ts';
import type { TraceContext } from '@odonata/rpc/trace/context.ts';
import { HEAD_BYTES, type PageBuffer } from './page-buffer.ts';

/** `bytes data = 2` */
const DATA_FIELD = DeliverRequestSchema.field.data.number;

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

/**
 * A DeliverRequest as it is sent. Where there is room before the bytes, its head goes there, and they are copied no more.
 * @returns the buffer that is used again when it has arrived
 */
export function encodeDeliver(
  run: PageRun,
  about: Delivered,
  bytes: PageBuffer | undefined,
  { sequence, ask, first }: Place = { sequence: 0, ask: false },
): { message: Buffer; room?: Buffer | undefined } {
  const head = create(DeliverRequestSchema, {
    ...{ run, zero: bytes === undefined, version: BigInt(about.version), state: stateWire.to(about.state) },
    ...{ epoch: about.epoch, sender: about.sender, receiver: about.receiver },
    ...{ sequence: BigInt(sequence), ask, ...first, ...(about.trace && { trace: about.trace }) },
  });
  if (sequence > 0) head.checksum = checksumOf(head, bytes?.data);
  const encoded = toBinary(DeliverRequestSchema, head);
  if (bytes === undefined) return { message: Buffer.from(encoded) };
  const { data } = bytes;
  const field = prefixOf(DATA_FIELD, data.length);
  const headBytes = encoded.length + field.length;
  assert(headBytes <= HEAD_BYTES, `the head of a message of pages has ${headBytes} bytes`);
  const room = bytes.takeRoom();
  const message =
    room?.subarray(HEAD_BYTES - headBytes, HEAD_BYTES + data.length) ??
    Buffer.allocUnsafeSlow(headBytes + data.length);
  message.set(encoded, 0);
  message.set(field, encoded.length);
  if (room === undefined) message.set(data, headBytes);
  return { message, room };
}

const words = new BigUint64Array(11);
const wordBytes = new Uint8Array(words.buffer);

// Of what a receiver heeds. A message on its way is spoilt where TCP's checksum of 16 bits lets it through, or in a machine.
function checksumOf(message: DeliverRequest, data: Uint8Array | undefined): number {
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
  const about = crc32(wordBytes);
  return data === undefined || data.length === 0 ? about : crc32(data, about);
}

/** True where a message was spoilt on its way. */
export const isSpoilt = (message: DeliverRequest): boolean =>
  (message.sequence > 0n || message.checksum !== 0) && checksumOf(message, message.data) !== message.checksum;

/** @throws RangeError when the message will not do */
export function pagesOf({ run: wire, zero, data, state, version }: DeliverRequest) {
  const run = runFromWire(wire);
  if (!zero && data.length !== run.pageCount * PAGE_BYTES)
    throw new RangeError(`data: ${data.length} bytes for ${run.pageCount} pages`);
  return { type: 'data', run, state: stateWire.from(state), version: Number(version), zero } as const;
}
