// Messages with many bytes read the same as what protobuf-es writes.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { LoadRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { AttachRequestSchema, AttachResponseSchema } from '@odonata/proto/syslink/v1/syslink';
import { RunRequestSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { expect, test } from 'vitest';
import { free, LARGE_BYTES, largeEncoder } from './large-bytes.ts';
import { frame } from './syslink/frame.ts';
import { encodeFrames } from './syslink/frame-batch.ts';

const bytes = (length: number): Uint8Array => new Uint8Array(length).map((_, i) => i % 251);

/** Compared as bytes again: element by element takes seconds. */
function expectRead<D extends DescMessage>(schema: D, encoded: Uint8Array, message: MessageShape<D>): void {
  expect(Buffer.compare(toBinary(schema, fromBinary(schema, encoded)), toBinary(schema, message))).toBe(0);
}

function expectSame<D extends DescMessage>(schema: D, init: MessageInitShape<D>): void {
  const message = create(schema, init);
  const large = largeEncoder(schema)(message);
  expect(large).toBeDefined();
  expectRead(schema, large!, message);
}

test.each([LARGE_BYTES, LARGE_BYTES + 1, 2 ** 20])('a field of %i bytes', (length) => {
  expectSame(LoadRequestSchema, { name: 'text', data: bytes(length), sizeBytes: 7n, group: 'g' });
  expectSame(RunRequestSchema, { event: { case: 'module', value: bytes(length) } });
});

test('the message stays as it is', () => {
  const message = create(RunRequestSchema, { event: { case: 'module', value: bytes(LARGE_BYTES) } });
  largeEncoder(RunRequestSchema)(message);
  expect(message.event.value).toEqual(bytes(LARGE_BYTES));
});

test('few bytes, another case, and messages without bytes go the usual way', () => {
  const encode = largeEncoder(LoadRequestSchema);
  expect(encode(create(LoadRequestSchema, { data: bytes(LARGE_BYTES - 1) }))).toBeUndefined();
  expect(largeEncoder(RunRequestSchema)(create(RunRequestSchema))).toBeUndefined();
  expect(largeEncoder(AttachRequestSchema)(create(AttachRequestSchema))).toBeUndefined();
});

test('frames of all sizes in one batch', () => {
  const data = (length: number) =>
    frame({ case: 'circuitData', value: { circuit: 5n, data: bytes(length) } });
  const window = frame({ case: 'circuitWindow', value: { circuit: 9n, takenBytes: 300 } });
  const frames = [window, data(0), data(LARGE_BYTES), data(2 ** 20), window];
  for (const schema of [AttachRequestSchema, AttachResponseSchema])
    expectRead(schema, encodeFrames(frames)!, create(schema, { frames }) as never);
  expect(encodeFrames([window, data(LARGE_BYTES - 1)])).toBeUndefined();
});

test('only bytes with a buffer of their own are freed', () => {
  const own = Buffer.allocUnsafeSlow(LARGE_BYTES);
  free(own);
  expect(own.length).toBe(0);
  const whole = new Uint8Array(100);
  free(whole.subarray(1));
  free(whole.subarray(0, 99));
  expect(whole.length).toBe(100);
});
