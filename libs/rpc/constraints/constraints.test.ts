import { create, toBinary } from '@bufbuild/protobuf';
import { HoldRequestSchema } from '@odonata/proto/coherency/v1/coherency';
import { ListEventsRequestSchema } from '@odonata/proto/event/v1/event';
import { DeliverRequestSchema, SessionRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { AttachRequestSchema } from '@odonata/proto/syslink/v1/syslink';
import { expect, it } from 'vitest';
import { RpcError } from '../error.ts';
import { decoder } from '../service.ts';
import { FIELDS_MAX } from './fields.ts';

function refusal(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    return RpcError.is(error) ? error.message : String(error);
  }
  return 'taken';
}

const run = { dataspace: 7n, firstPage: 0, pageCount: 1 };
const held = (event: object) =>
  refusal(() =>
    decoder(HoldRequestSchema)(
      toBinary(HoldRequestSchema, create(HoldRequestSchema, { events: [{ event: event as never }] })),
    ),
  );

it('a message that breaks a constraint is refused with its field, what is wrong, and the limit', () => {
  expect(held({ case: 'acquire', value: { run, mode: 0 } })).toBe(
    'INVALID_ARGUMENT: events[0].acquire.mode: 0 is none of READ, WRITE',
  );
  expect(held({ case: 'acquire', value: { mode: 1 } })).toBe(
    'INVALID_ARGUMENT: events[0].acquire.run: missing',
  );
  expect(held({ case: 'acquire', value: { run: { ...run, pageCount: 0 }, mode: 1 } })).toBe(
    'INVALID_ARGUMENT: events[0].acquire.run.page_count: at least 1, not 0',
  );
  expect(held({ case: 'acquire', value: { run, mode: 1, neededPages: 2 ** 32 - 1 } })).toBe(
    'INVALID_ARGUMENT: events[0].acquire.needed_pages: at most 268435456, not 4294967295',
  );
  expect(held({ case: 'hello', value: { node: '\u001b[31mred' } })).toMatch(
    /^INVALID_ARGUMENT: events\[0\]\.hello\.node: "\\u001b\[31mred" has characters that are not for names$/,
  );
  expect(held({ case: 'acquire', value: { run, mode: 1 } })).toBe('taken');
});

it('what a later version says is no violation', () => {
  // Field 99 of an event, which nobody knows yet.
  expect(refusal(() => decoder(HoldRequestSchema)(Uint8Array.of(0x0a, 3, 0x9a, 0x06, 0)))).toBe('taken');
});

it('bytes that are no message are refused with what they are not', () => {
  expect(refusal(() => decoder(DeliverRequestSchema)(Uint8Array.of(0xff, 0xff)))).toMatch(
    /^INVALID_ARGUMENT: not a odonata.pmap.v1.DeliverRequest: /,
  );
  expect(refusal(() => decoder(DeliverRequestSchema)(new Uint8Array()))).toBe(
    'INVALID_ARGUMENT: run: missing',
  );
});

it.each([
  ['empty events', SessionRequestSchema, [0x0a, 0]],
  ['empty frames', AttachRequestSchema, [0x0a, 0]],
  ['fields that nobody knows', ListEventsRequestSchema, [0x78, 0]],
  ['an event that is said again and again', HoldRequestSchema, [0x0a, 2, 0x0a, 0]],
])('a message of very many %s is refused before it is decoded', (_, schema, piece) => {
  const bytes = new Uint8Array(16 * 2 ** 20);
  for (let at = 0; at < bytes.length; at++) bytes[at] = piece[at % piece.length]!;
  const startMs = performance.now();
  expect(refusal(() => decoder(schema)(bytes))).toBe(
    `INVALID_ARGUMENT: not a ${schema.typeName}: it has more than ${FIELDS_MAX} fields`,
  );
  // It took seconds, and gigabytes.
  expect(performance.now() - startMs).toBeLessThan(1_000);
});

it('large bytes are looked over at no cost', () => {
  const data = new Uint8Array(16 * 2 ** 20 - 1_000);
  const about = { run: { ...run, pageCount: 4_095 }, state: 2, version: 1n };
  const bytes = toBinary(DeliverRequestSchema, create(DeliverRequestSchema, { ...about, data }));
  expect(decoder(DeliverRequestSchema)(bytes).data).toHaveLength(data.length);
});
