// What is written and read by hand is what protobuf-es and the constraints of the .proto file make of it: also of bytes that are broken,
// cut off, or said by nobody of ours.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { AttachRequestSchema, type FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { WholeMessages } from '../../bare-stream.ts';
import { RpcError } from '../../error.ts';
import { LARGE_BYTES } from '../../large-bytes.ts';
import { decoder } from '../../service.ts';
import { framesOf, passedOf } from './frame-reader.ts';
import { framesMessages } from './frame-writer.ts';
import { joined } from './passed-data.ts';

const decode = decoder(AttachRequestSchema);
const RUNS = { numRuns: 400 };

const text = (maxLength: number) =>
  fc.oneof(
    fc.string({ maxLength }),
    fc.constantFrom('', 'node1/pmapd', '/a.B/C', 'äöü', '\u{1f41d}', '\u0007'),
  );
const uint32 = fc.oneof(fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 2 ** 32 - 1), fc.nat(2 ** 31 - 1));
const uint64 = fc.oneof(
  fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .constantFrom(4_095, 4_096, 4_097, LARGE_BYTES, 3 * LARGE_BYTES + 1)
    .map((length) => new Uint8Array(length).fill(7)),
);
const address = fc.option(fc.record({ sysid: uint64, name: text(20), session: uint64 }), { nil: undefined });
const status = fc.record({
  code: fc.oneof(fc.nat(17), uint32),
  reason: text(60),
  details: fc.array(fc.record({ typeUrl: text(30), value: bytes }), { maxLength: 2 }),
});
const caller = fc.record({
  role: fc.oneof(fc.nat(12), fc.nat(2 ** 31 - 1)),
  name: text(20),
  groups: fc.array(text(10), { maxLength: 3 }),
});
const optional = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const message = fc.record({
  ...{ to: address, from: address, proto: text(40), msgid: uint64, reply: fc.boolean() },
  ...{
    hopLimit: fc.oneof(fc.nat(65), uint32),
    head: bytes,
    bulk: bytes,
    status: optional(status),
    deadlineMs: uint32,
  },
  ...{ requestId: text(40), caller: optional(caller), trace: optional(fc.uint8Array({ maxLength: 26 })) },
});
const frame: fc.Arbitrary<MessageInitShape<typeof FrameSchema>> = fc.oneof(
  { weight: 4, arbitrary: message.map((value) => ({ frame: { case: 'message' as const, value } })) },
  fc
    .record({ circuit: uint64, data: bytes })
    .map((value) => ({ frame: { case: 'circuitData' as const, value } })),
  fc
    .record({ circuit: uint64, takenBytes: uint32, earlierBytes: uint32 })
    .map((value) => ({ frame: { case: 'circuitWindow' as const, value } })),
  fc
    .record({ circuit: uint64, half: fc.boolean(), status: optional(status) })
    .map((value) => ({ frame: { case: 'circuitClose' as const, value } })),
  fc.constant({}),
) as never;
const batch = fc.array(frame, { maxLength: 5 }).map((frames) => create(AttachRequestSchema, { frames }));

function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return RpcError.is(error) ? `${error.code} ${error.details}` : Promise.reject(error);
  }
}

function expectSame(raw: Uint8Array): void {
  expect(outcome(() => framesOf(raw))).toEqual(outcome(() => decode(raw).frames));
}

/** The messages of gRPC in these bytes. */
function messagesIn(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    expect(rest.readUInt8(0)).toBe(0);
    const end = 5 + rest.readUInt32BE(1);
    messages.push(rest.subarray(5, end));
    rest = rest.subarray(end);
  }
  return messages;
}

it('writes what protobuf-es writes, with the length in front', () => {
  fc.assert(
    fc.property(batch, (all) => {
      const messages = messagesIn(Buffer.concat(framesMessages(all.frames)));
      // Frames of several messages are those of one.
      expect(Buffer.concat(messages).equals(toBinary(AttachRequestSchema, all))).toBe(true);
    }),
    RUNS,
  );
});

it('reads what protobuf-es reads, and refuses with its words', () => {
  fc.assert(
    fc.property(batch, (all) => expectSame(toBinary(AttachRequestSchema, all))),
    RUNS,
  );
});

it('broken bytes are taken, or refused, as protobuf-es does', () => {
  const change = fc.record({ at: fc.nat(400), to: fc.nat(255), cut: fc.nat(400), insert: fc.boolean() });
  fc.assert(
    fc.property(batch, fc.array(change, { minLength: 1, maxLength: 3 }), (all, changes) => {
      let raw = Buffer.from(toBinary(AttachRequestSchema, all));
      for (const { at, to, cut, insert } of changes) {
        const where = at % (raw.length + 1);
        const rest = raw.subarray(insert ? where : where + 1);
        raw = Buffer.concat([raw.subarray(0, where), Buffer.of(to), rest]);
        if (cut > 300) raw = raw.subarray(0, cut % (raw.length + 1));
      }
      expectSame(raw);
    }),
    { numRuns: 1_000 },
  );
});

it('what a circuit carries goes on in the pieces that it came in, wherever they were cut', () => {
  const data = new Uint8Array(3 * LARGE_BYTES).map((_, i) => i);
  const sent = create(AttachRequestSchema, {
    frames: [{ frame: { case: 'circuitData', value: { circuit: 5n, data } } }],
  });
  const pieces = framesMessages(sent.frames);
  expect(pieces.some((piece) => piece.buffer === data.buffer)).toBe(true);
  const [came] = messagesIn(Buffer.concat(pieces));
  const expectPassed = (cut: number): boolean => {
    const [first, ...more] = [came!.subarray(0, cut), came!.subarray(cut, -9), came!.subarray(-9)];
    const passed = passedOf(first!, more, came!.length);
    if (passed === undefined) return false;
    const again = framesMessages([passed]);
    expect(again.filter(({ buffer, length }) => buffer === came!.buffer && length > 8)).toHaveLength(
      cut > 20 ? 3 : 2,
    );
    expect(Buffer.concat(again).subarray(5).equals(came!)).toBe(true);
    return true;
  };
  expect([0, 3, 12, 13, 14, 20, 5_000].map(expectPassed)).toEqual([
    false,
    false,
    false,
    false,
    true,
    true,
    true,
  ]);
});

it('nothing else is passed on unread', () => {
  const change = fc.record({ at: fc.nat(30), to: fc.nat(255) });
  const data = new Uint8Array(LARGE_BYTES);
  const good = toBinary(
    AttachRequestSchema,
    create(AttachRequestSchema, {
      frames: [{ frame: { case: 'circuitData', value: { circuit: 300n, data } } }],
    }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 2 }), fc.nat(40), (changes, cut) => {
      const raw = good.slice();
      for (const { at, to } of changes) raw[at] = to;
      const passed = passedOf(raw.subarray(0, cut), [raw.subarray(cut)], raw.length);
      if (passed !== undefined) expect([joined(passed)]).toEqual(decode(raw).frames);
    }),
    { numRuns: 300 },
  );
});

it('messages are whole however they are cut, also byte by byte', () => {
  const lengths = [0, 3, 5, 70, 9_000];
  const sent = lengths.map((length, i) => {
    const framed = Buffer.alloc(5 + length, i);
    framed[0] = 0;
    framed.writeUInt32BE(length, 1);
    return framed;
  });
  const all = Buffer.concat(sent);
  for (const step of [1, 2, 3, 7, 64, 4_097, all.length]) {
    const came: Buffer[] = [];
    let mostParts = 0;
    const whole = new WholeMessages();
    for (let at = 0; at < all.length; at += step)
      whole.add(all.subarray(at, at + step), (first, more) => {
        mostParts = Math.max(mostParts, more.length);
        came.push(Buffer.concat([first, ...more]));
      });
    expect(came).toEqual(sent);
    expect(mostParts).toBeLessThan(80);
  }
});
