// A bug in a turn of its own, by a timer or parked, ends what it was for, and the process goes on: planted, one of each kind.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import { expect, it } from 'vitest';
import { bugsMet, doAll, ownTurn } from './bug.ts';
import type { RpcError } from './error.ts';
import { EventBatch } from './event-batch.ts';
import { Outbox } from './syslink/outbox.ts';

const planted = (): never => (undefined as unknown as { x(): never }).x();
const INTERNAL = 'INTERNAL: a bug in the server; its log says more';

/** What a planted bug ends with, and how many bugs were counted. */
async function ended(begin: (end: (error: RpcError) => void) => void): Promise<string> {
  const before = bugsMet();
  const error = await new Promise<RpcError>((resolve) => begin(resolve));
  expect(bugsMet()).toBe(before + 1);
  return error.message;
}

it('of a timer, a microtask, a turn, a signal', async () => {
  const kinds: ((run: () => void) => unknown)[] = [
    (run) => setTimeout(run, 1),
    (run) => queueMicrotask(run),
    (run) => setImmediate(run),
    signalled,
  ];
  for (const kind of kinds)
    expect(await ended((end) => kind(ownTurn({ test: 'planted' }, planted, end)))).toBe(INTERNAL);
});

function signalled(run: () => void): void {
  const controller = new AbortController();
  controller.signal.addEventListener('abort', run, { once: true });
  controller.abort();
}

it('of events that are written together, at once or later: their stream ends', async () => {
  for (const push of ['push', 'pushLater'] as const)
    expect(await ended((end) => new EventBatch<number>(planted, end)[push](1))).toBe(INTERNAL);
});

it('of frames of syslink: their line ends', async () => {
  const frame = create(FrameSchema, { frame: { case: 'circuitClose', value: {} } });
  const stream = { write: planted, on() {} };
  expect(await ended((end) => new Outbox(stream, end).send(frame))).toBe(INTERNAL);
  const good = { write: () => true, on() {} };
  expect(await ended((end) => new Outbox(good, end).send(frame, planted))).toBe(INTERNAL);
});

it('one in ending it as well: both are counted, and that is all', () => {
  const before = bugsMet();
  ownTurn({ test: 'planted' }, planted, planted)();
  expect(bugsMet()).toBe(before + 2);
});

it('what is not as all share it ends the process still', () => {
  expect(
    ownTurn(
      { test: 'planted' },
      () => assert.fail('shared'),
      () => {},
    ),
  ).toThrow('shared');
});

it('what is done for others is done, though one of them meets a bug', () => {
  const done: number[] = [];
  const one = (each: number): void => {
    if (each === 2) planted();
    done.push(each);
  };
  expect(() => doAll([1, 2, 3], one)).toThrow(TypeError);
  expect(done).toEqual([1, 3]);
});

/** What cannot throw, or is to end the process. */
const PLAIN: Record<string, string> = {
  'services/cohd/serve.ts': 'two versions of the wire: ends the process, with a reason',
  'services/cohd/coherency-service.ts': 'two replicas of a name: ends the process, with a reason',
  'libs/pmap/wire/directories.ts': 'another number of shards: ends the process, with a reason',
  'services/pmapd/handover/predecessor.ts': 'rejects a promise',
  'services/pmapd/node.ts': 'each session of its turn is guarded alone',
  'libs/pmap/wire/transfer.ts': 'forgets an entry of a map',
  'services/syslinkd/serve.ts': 'says that it is ready',
  'services/syslinkd/gateway/testdata/bad-line.ts': 'of tests',
  'services/vkerneld/stand-in-vkernel.ts': 'of tests',
  'services/vkerneld/programs-there.ts': 'resolves a promise',
  'services/vkerneld/snapshots.ts': 'rejects a promise',
  'libs/bus/bus.ts': 'rejects a promise',
  'libs/rpc/backoff.ts': 'resolves a promise',
  'libs/rpc/bug.ts': 'ends the process, as it should',
  'libs/rpc/bundle.ts': 'forgets what was seen',
  'libs/rpc/lifecycle.ts': 'ends the process',
  'libs/rpc/rest.ts': 'of the process itself',
  'libs/rpc/server.ts': 'resolves a promise',
  'libs/rpc/tls.ts': 'of grpc-js, whose listener it is',
  'libs/rpc/syslink/calls.ts': 'settles a call',
  'libs/rpc/syslink/endpoint.ts': 'settles a promise',
  'libs/rpc/syslink/line.ts': 'cancels its stream',
  'libs/rpc/syslink/served.ts': 'aborts a call, whose listeners are guarded',
};

it('no turn of a service is without a guard, but for those that have a reason', () => {
  const root = join(import.meta.dirname, '../..');
  const folders = [
    'services/cohd',
    'services/pmapd',
    'services/syslinkd',
    'services/vkerneld',
    'libs/pmap/wire',
    'libs/rpc',
    'libs/bus',
  ];
  const bare = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.startsWith('vkernel/'))
      .map((name) => join(folder, name))
      .filter((path) =>
        readFileSync(join(root, path), 'utf8').match(
          /(setTimeout|setInterval|setImmediate|queueMicrotask|nextTick)\(\s*(\(|async|function)/,
        ),
      ),
  );
  expect(bare.filter((path) => PLAIN[path] === undefined)).toEqual([]);
});
