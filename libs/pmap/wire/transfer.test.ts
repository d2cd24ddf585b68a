import { EventEmitter } from 'node:events';
import { create, fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { stateWire } from '@odonata/coherency/wire.ts';
import { DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { Code } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { rawOf } from '@odonata/rpc/service.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { transferHandlers } from './arriving.ts';
import { encodeDeliver, messageOf } from './deliver-message.ts';
import { PageBuffer } from './page-buffer.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const state = stateWire.to('MODIFIED');

/** What comes of pages that another node sends. */
function delivered(message: MessageInitShape<typeof DeliverRequestSchema>) {
  const step = vi.fn();
  const failed = vi.fn();
  const about = { getPeer: () => 'unix', write: () => true, fail: failed, bare() {}, widen() {} };
  const call = Object.assign(new EventEmitter(), about);
  const gate = new WireGate('pmapd', silentLog());
  const { deliver } = transferHandlers(
    { memory: { step }, line: { acceptsFor: () => true }, spoilt: { met() {} } },
    gate,
  );
  rawOf(deliver)!(call as never, {} as never);
  call.emit('data', create(DeliverRequestSchema, { wire: wireSpoken(), ...message }));
  return { step, failed };
}

test('pages go to the memory', () => {
  const { step, failed } = delivered({ run, state, version: 3n, data: new Uint8Array(PAGE_BYTES) });
  expect(step.mock.lastCall).toMatchObject([
    { type: 'arrive', data: { run, state: 'MODIFIED', version: 3 } },
  ]);
  expect(failed).not.toHaveBeenCalled();
});

test.each([
  ['names no pages', { state, zero: true }],
  ['names none at all', { run: { ...run, pageCount: 0 }, state, zero: true }],
  ['is of a state that is none', { run, state: 99 as never, zero: true }],
  ['has too few bytes', { run, state, data: new Uint8Array(7) }],
])('a message that %s fails its stream, and nothing else', (_, message) => {
  const { step, failed } = delivered(message);
  expect(failed.mock.lastCall).toMatchObject([{ code: Code.InvalidArgument }]);
  expect(step).not.toHaveBeenCalled();
});

test('who speaks another version of the wire is refused, and its pages are not taken', () => {
  const { step, failed } = delivered({
    run,
    state,
    version: 3n,
    data: new Uint8Array(PAGE_BYTES),
    wire: undefined,
  });
  expect(failed.mock.lastCall).toMatchObject([
    { code: Code.FailedPrecondition, details: expect.stringContaining('is older; upgrade it') },
  ]);
  expect(step).not.toHaveBeenCalled();
});

test('whatever another pmap manager says, a message is taken once, as it was sent, and nothing breaks', () => {
  const message = fc.record({
    stream: fc.integer({ min: 0, max: 3 }),
    transfer: fc.bigInt({ min: 0n, max: 2n }),
    sequence: fc.oneof(fc.bigInt({ min: 0n, max: 6n }), fc.constant(BigInt(Number.MAX_SAFE_INTEGER))),
    spoilt: fc.integer({ min: 0, max: 9 }).map((chance) => chance === 0),
    firstPage: fc.integer({ min: 0, max: 1_000_000 }),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const step = vi.fn();
      const spoilt = { met: vi.fn() };
      const gate = new WireGate('pmapd', silentLog());
      const node = { memory: { step }, line: { acceptsFor: () => true }, spoilt };
      const serve = rawOf(transferHandlers(node, gate).deliver)!;
      const calls = new Map<number, EventEmitter & { failed: boolean; received: bigint; transfer: bigint }>();
      /** Of each transfer, what was taken last. */
      const last = new Map<bigint, bigint>();
      for (const { stream, transfer, sequence, spoilt: spoils, firstPage } of messages) {
        let call = calls.get(stream);
        if (call === undefined || call.failed) {
          const made = Object.assign(new EventEmitter(), { failed: false, received: 0n, transfer });
          const answers = ({ received }: { received?: bigint }): boolean => {
            expect(received ?? 0n).toBeGreaterThanOrEqual(made.received);
            made.received = received ?? 0n;
            return true;
          };
          const fail = () => (made.failed = true);
          const about = { getPeer: () => 'peer', write: answers, fail, end() {}, bare() {}, widen() {} };
          serve(Object.assign(made, about) as never, {} as never);
          calls.set(stream, made);
          call = made;
        }
        const about = { version: 1, state: 'SHARED', epoch: 1n, sender: 1, receiver: 2 } as const;
        const place = {
          ...{ sequence: Number(sequence), ask: false },
          first: { transfer, wire: wireSpoken() },
        };
        const bytes = new PageBuffer(new Uint8Array(PAGE_BYTES).fill(7));
        const encoded = encodeDeliver({ dataspace: 1n, firstPage, pageCount: 1 }, about, bytes, place);
        const heard = fromBinary(DeliverRequestSchema, messageOf(encoded));
        if (spoils) heard.version ^= 1n;
        const before = step.mock.calls.length;
        call.emit('data', heard);
        if (step.mock.calls.length === before) continue;
        // Uncounted messages have no checksum, and may come twice.
        if (sequence === 0n) continue;
        expect(spoils).toBe(false);
        expect(sequence).toBeGreaterThan(last.get(call.transfer) ?? 0n);
        last.set(call.transfer, sequence);
      }
      for (const call of calls.values()) call.emit('cancelled');
    }),
    { numRuns: 200 },
  );
});
