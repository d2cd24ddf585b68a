import { EventEmitter } from 'node:events';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { stateWire } from '@odonata/coherency/wire.ts';
import { DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { Code } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { rawOf } from '@odonata/rpc/service.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { expect, test, vi } from 'vitest';
import { transferHandlers } from './transfer.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const state = stateWire.to('MODIFIED');

/** What comes of pages that another node sends. */
function delivered(message: MessageInitShape<typeof DeliverRequestSchema>) {
  const step = vi.fn();
  const failed = vi.fn();
  const call = Object.assign(new EventEmitter(), { getPeer: () => 'unix', write: () => true, fail: failed });
  const gate = new WireGate('pmapd', silentLog());
  const { deliver } = transferHandlers({ memory: { step }, line: { acceptsFor: () => true } }, gate);
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
