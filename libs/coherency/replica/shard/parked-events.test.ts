// More than a shard's leader lets wait: nothing is dropped in silence.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { lockWire, modeWire } from '../../wire.ts';
import type { Dataspace } from '../dataspaces.ts';
import { Replica } from '../replica.ts';
import type { ReplicaAction } from '../replica-messages.ts';
import { PARKED_MAX } from './parked-events.ts';

type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;

const record: Dataspace = {
  ...{ id: 9n, sizeBytes: 4096n, creator: 'N', creatorIncarnation: 11n, durable: false },
};
const acquire: Said = {
  case: 'acquire',
  value: { run: { dataspace: 9n, firstPage: 0, pageCount: 1 }, mode: modeWire.to('READ'), neededPages: 1 },
};
const lock = (request: bigint, owner: bigint, reclaim = false): Said => {
  const range = { dataspace: 9n, begin: 0n, end: 7n, mode: lockWire.to('EXCLUSIVE'), timeoutMs: 0n };
  return { case: 'lock', value: { ...range, request, owner, reclaim } };
};
const reported: Said = { case: 'report', value: { held: [], last: true, shard: 0, epoch: 5n } };

/** A shard waits for the report of N (stream 1); M (stream 2) is here, and has nothing to report. */
function rebuilding() {
  const dataspaces = { revision: 0n, byId: () => record };
  const about = { replica: 'A', incarnation: 1n, shards: 1, leaseMs: 3_000, nowMs: 0 };
  const replica = new Replica({ ...about, dataspaces });
  const does = (actions: readonly ReplicaAction[]): ReplicaAction[] =>
    actions.flatMap((action) => {
      if (action.type !== 'note') return [action];
      return does(replica.step({ type: 'noted', note: action.note, kept: true }, 0));
    });
  const says = (stream: number, event: Said) =>
    does(replica.receive(stream, create(HolderEventSchema, { event }), 0));
  const comes = (stream: number, node: string, incarnation: bigint) =>
    says(stream, { case: 'hello', value: { node, incarnation, transferAddress: 'n:1', sentMs: 0n } });
  comes(1, 'N', 11n);
  comes(2, 'M', 22n);
  const { life } = replica.holders.ofNode('N')!;
  const expected = new Map([['N', { incarnation: 11n, life }]]);
  does(replica.step({ type: 'lead', shard: 0, epoch: 5n, expected, lastEpoch: 4n }, 0));
  return { replica, says, comes };
}

const TIMED_OUT = { case: 'lockResult', value: { status: 2 } };

test('a lock that is held is taken over however much waits', () => {
  const { says } = rebuilding();
  for (let i = 0; i < PARKED_MAX; i++) says(2, acquire);
  expect(says(1, lock(1n, 5n, true))).toEqual([]);
  says(1, reported);
  expect(says(2, lock(2n, 6n))).toMatchObject([{ type: 'send', stream: 2, event: TIMED_OUT }]);
});

test('what a holder gave back before its stream broke is not taken for held', () => {
  const { replica, says, comes } = rebuilding();
  says(1, lock(1n, 5n, true));
  says(1, { case: 'unlock', value: { request: 2n, dataspace: 9n, owner: 5n, begin: 0n, end: 7n } });
  expect(replica.parkedEvents).toBe(1);
  comes(3, 'N', 11n);
  expect(replica.parkedEvents).toBe(0);
  says(3, reported);
  expect(says(2, lock(2n, 6n))).toMatchObject([{ event: { case: 'lockResult', value: { status: 1 } } }]);
});

test('whoever says more than can wait is to say it anew, and is not heard in between', () => {
  const { replica, says, comes } = rebuilding();
  for (let i = 0; i < PARKED_MAX; i++) says(2, acquire);
  expect(says(1, lock(1n, 5n))).toMatchObject([
    { type: 'log' },
    { type: 'fail', stream: 1, code: 'UNAVAILABLE' },
  ]);
  expect(says(1, reported)).toEqual([]);
  expect(replica.isRebuilding).toBe(true);
  const [welcome, led] = comes(3, 'N', 11n).filter(({ type }) => type === 'send');
  expect([welcome, led]).toMatchObject([
    { event: { case: 'welcome' } },
    { event: { case: 'led', value: { report: true } } },
  ]);
  says(3, reported);
  expect(replica.isRebuilding).toBe(false);
});
