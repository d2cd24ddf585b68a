import { fromBinary } from '@bufbuild/protobuf';
import { DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { expect, test } from 'vitest';
import { type Delivered, encodeDeliver } from './deliver-message.ts';
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
  for (const pageCount of [1, 20, 64]) {
    const bytes = pool.take(pageCount);
    bytes.data.fill(pageCount);
    const { message, room } = encodeDeliver(run(pageCount), about, bytes, place);
    expect(message.buffer).toBe(bytes.data.buffer);
    const decoded = fromBinary(DeliverRequestSchema, message);
    expect(decoded).toMatchObject({ zero: false, epoch: about.epoch, receiver: MAX });
    expect(Buffer.compare(decoded.data, bytes.data)).toBe(0);
    pool.giveBack(room!);
  }
});

test('a buffer for a long run is used again when it was given back', () => {
  const pool = new PagePool();
  const room = pool.take(64).takeRoom()!;
  pool.giveBack(room);
  expect(pool.take(30).takeRoom()).toBe(room);
  expect(pool.take(30).takeRoom()).not.toBe(room);
});

test('what is sent again is another message: the first one may be under way', () => {
  const bytes = new PagePool().take(1);
  const first = encodeDeliver(run(1), about, bytes);
  const before = Buffer.from(first.message);
  const again = encodeDeliver(run(1), { ...about, receiver: 1 }, bytes);
  expect(again.room).toBeUndefined();
  expect(Buffer.compare(first.message, before)).toBe(0);
  expect(fromBinary(DeliverRequestSchema, again.message).receiver).toBe(1);
});

test('a part of what came is no copy, and the whole is itself', () => {
  const bytes = new PageBuffer(Buffer.concat([Buffer.alloc(4096, 1), Buffer.alloc(4096, 2)]));
  expect(bytes.part(0, 2)).toBe(bytes);
  expect(bytes.part(1, 1).data[0]).toBe(2);
  expect(bytes.part(1, 1).data.buffer).toBe(bytes.data.buffer);
});
