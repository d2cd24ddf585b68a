import { fromBinary } from '@bufbuild/protobuf';
import { DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { expect, test } from 'vitest';
import { type Delivered, deliveredOf, encodeDeliver, isSpoilt, messageOf } from './deliver-message.ts';
import { PageBuffer, PagePool } from './page-buffer.ts';

const MAX = 2 ** 32 - 1;
const about: Delivered = {
  ...{ version: Number.MAX_SAFE_INTEGER, state: 'MODIFIED', epoch: 2n ** 63n, sender: MAX, receiver: MAX },
};
// The longest head that there is.
const place = {
  ...{ sequence: Number.MAX_SAFE_INTEGER, ask: true },
  first: { transfer: 2n ** 64n - 1n, wire: wireSpoken() },
};
const run = (pageCount: number) => ({ dataspace: 2n ** 64n - 1n, firstPage: MAX, pageCount });

test('the head of a message goes before the pages that were read for it, which are not copied', () => {
  const pool = new PagePool();
  for (const pageCount of [1, 64, 256]) {
    const bytes = pool.take(pageCount);
    bytes.data.fill(pageCount);
    const framed = encodeDeliver(run(pageCount), about, bytes, place);
    const message = messageOf(framed);
    expect(message.buffer).toBe(bytes.data.buffer);
    const decoded = fromBinary(DeliverRequestSchema, message);
    expect(decoded).toMatchObject({ zero: false, epoch: about.epoch, receiver: MAX });
    expect(Buffer.compare(decoded.data, bytes.data)).toBe(0);
    pool.giveBack(framed.room!);
  }
});

test('a buffer for a long run is used again when it was given back', () => {
  const pool = new PagePool();
  const room = pool.take(256).takeRoom()!;
  pool.giveBack(room);
  expect(pool.take(100).takeRoom()).toBe(room);
  expect(pool.take(100).takeRoom()).not.toBe(room);
});

test('what is sent again is another message: the first one may be under way', () => {
  const bytes = new PagePool().take(1);
  const first = encodeDeliver(run(1), about, bytes);
  const before = Buffer.from(messageOf(first));
  const again = encodeDeliver(run(1), { ...about, receiver: 1 }, bytes);
  expect(again.room).toBeUndefined();
  expect(Buffer.compare(messageOf(first), before)).toBe(0);
  expect(fromBinary(DeliverRequestSchema, messageOf(again)).receiver).toBe(1);
});

/** What a receiver takes. */
const usual: Delivered = { version: 7, state: 'SHARED', epoch: 3n, sender: 1, receiver: 2 };
const few = (pageCount: number) => ({ dataspace: 1n, firstPage: 9, pageCount });

test('pages stay in the pieces that their message came in, however it was cut', () => {
  const bytes = new PagePool().take(3);
  bytes.data.set(Buffer.from(Array.from({ length: bytes.length }, (_, i) => i % 251)));
  const sum = Buffer.from(bytes.data);
  const message = messageOf(encodeDeliver(few(3), usual, bytes, place));
  for (const cut of [1, 20, 90, 4_096, 9_000, message.length - 1]) {
    const pieces = [message.subarray(0, cut), message.subarray(cut, cut + 100), message.subarray(cut + 100)];
    const [first, ...more] = pieces.filter(({ length }) => length > 0);
    const delivered = deliveredOf(first!, more);
    expect(isSpoilt(delivered)).toBe(false);
    expect(delivered.head.receiver).toBe(2);
    if (cut > 90) expect(delivered.pages.pieces.length).toBeGreaterThan(1);
    expect(Buffer.compare(delivered.pages.data, sum)).toBe(0);
    expect(delivered.pages.part(1, 1).data[0]).toBe(4_096 % 251);
  }
});

test('a message whose pages are not last, or not at all as they should be, is read as any other', () => {
  const bytes = new PagePool().take(1);
  const message = messageOf(encodeDeliver(few(1), usual, bytes));
  const behind = Buffer.concat([message, Buffer.from([3 * 8, 1])]);
  expect(deliveredOf(behind.subarray(0, 150), [behind.subarray(150)])).toMatchObject({
    head: { zero: true },
  });
  expect(() => deliveredOf(message.subarray(0, 150), [message.subarray(150, 900)])).toThrow(/not a odonata/);
});

test('a part of what came is no copy, and the whole is itself', () => {
  const bytes = new PageBuffer(Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(4096, 2)]));
  expect(bytes.part(0, 2)).toBe(bytes);
  expect(bytes.part(1, 1).data[0]).toBe(2);
  expect(bytes.part(1, 1).data.buffer).toBe(bytes.data.buffer);
});
