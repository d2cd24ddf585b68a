// Several shards at one replica: which of them an event is for, and what each is told.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { PAGE_BYTES } from '../../page.ts';
import { BLOCK_PAGES, homeShardOf, shardOf } from '../../shard.ts';
import { modeWire } from '../../wire.ts';
import type { Dataspace } from '../dataspaces.ts';
import { Replica } from '../replica.ts';
import type { ReplicaAction } from '../replica-messages.ts';

const SHARDS = 4;
const BLOCKS = 32;
const record: Dataspace = {
  ...{ id: 9n, sizeBytes: BigInt(BLOCKS * BLOCK_PAGES * PAGE_BYTES), creator: 'N', creatorIncarnation: 11n },
  durable: false,
};
type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;

/** A replica that leads these of four shards, and a holder that made dataspace 9. */
function replicaWith(...shards: number[]) {
  const known = { revision: 0n, byId: (id: bigint) => (id === record.id ? record : undefined) };
  const about = { replica: 'A', incarnation: 1n, shards: SHARDS, leaseMs: 3_000, dataspaces: known };
  const replica = new Replica({ ...about, nowMs: 0 });
  const does = (actions: readonly ReplicaAction[]): ReplicaAction[] =>
    actions.flatMap((action) => {
      if (action.type !== 'note') return [action];
      return does(replica.step({ type: 'noted', note: action.note, kept: true }, 0));
    });
  const says = (stream: number, event: Said) =>
    does(replica.receive(stream, create(HolderEventSchema, { event }), 0));
  for (const shard of shards) {
    const led = { shard, epoch: BigInt(shard + 1), expected: new Map(), lastEpoch: 0n };
    does(replica.step({ type: 'lead', ...led }, 0));
  }
  for (const [stream, node] of [
    [1, 'N'],
    [2, 'M'],
  ] as const) {
    const hello = { node, incarnation: BigInt(11 * stream), transferAddress: `${node}:1`, sentMs: 0n };
    says(stream, { case: 'hello', value: hello });
  }
  return { replica, says, does };
}

const wants = (firstPage: number): Said => ({
  case: 'acquire',
  value: { run: { dataspace: 9n, firstPage, pageCount: 1 }, mode: modeWire.to('WRITE'), neededPages: 1 },
});

const eventsOf = (actions: readonly ReplicaAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? [{ to: action.stream, ...action.event }] : []));

test('an event of a page is for the shard of its block; what is led elsewhere is not answered', () => {
  const { says } = replicaWith(0, 2);
  for (let block = 0; block < BLOCKS; block++) {
    const page = block * BLOCK_PAGES;
    const shard = shardOf(9n, page, SHARDS);
    const epoch = BigInt(shard + 1);
    const answers = shard === 0 || shard === 2 ? [{ to: 1, case: 'recall', value: { epoch } }] : [];
    expect(eventsOf(says(2, wants(page)))).toMatchObject(answers);
  }
});

test('locks are at the home of a dataspace, and nowhere else', () => {
  const home = homeShardOf(9n, SHARDS);
  const range = { request: 1n, dataspace: 9n, owner: 5n, begin: 0n, end: 7n };
  const lock: Said = { case: 'lock', value: { ...range, mode: 2, timeoutMs: -1n } };
  const answers = [{ to: 2, case: 'lockResult', value: { request: 1n, status: 1 } }];
  const { replica, says } = replicaWith(home);
  expect(eventsOf(says(2, lock))).toMatchObject(answers);
  expect(replica.home(9n)?.sync.lockCount(9n)).toBe(1);
  expect(eventsOf(replicaWith((home + 1) % SHARDS).says(2, lock))).toEqual([]);
});

test('a holder is welcomed to all shards that are led, and told of each that is led later, or left', () => {
  const { replica, says, does } = replicaWith(1, 3);
  const hello = { node: 'L', incarnation: 33n, transferAddress: 'L:1', sentMs: 4n };
  expect(eventsOf(says(3, { case: 'hello', value: hello }))).toMatchObject([
    { case: 'welcome', value: { holder: 3, shards: SHARDS, sentMs: 4n, replica: 'A' } },
    { case: 'led', value: { shard: 1, epoch: 2n, report: false } },
    { case: 'led', value: { shard: 3, epoch: 4n, report: false } },
  ]);
  const expected = new Map([['L', { incarnation: 33n, life: 8n }]]);
  const led = does(replica.step({ type: 'lead', shard: 0, epoch: 9n, expected, lastEpoch: 7n }, 0));
  expect(eventsOf(led)).toMatchObject([
    { to: 1, case: 'led', value: { shard: 0, report: false } },
    { to: 2, case: 'led', value: { shard: 0, report: false } },
    { to: 3, case: 'led', value: { shard: 0, report: true, life: 8n, lastEpoch: 7n } },
  ]);
  const left = eventsOf(does(replica.step({ type: 'leave', shard: 3 }, 0)));
  expect(left).toEqual([1, 2, 3].map((to) => ({ to, case: 'left', value: { shard: 3, epoch: 4n } })));
  expect(replica.led.map(({ shard }) => shard)).toEqual([0, 1]);
});

test('the end of a holder is one note for all shards, and all of them give up what it had', () => {
  const { replica, says } = replicaWith(0, 1, 2, 3);
  for (let block = 0; block < BLOCKS; block++) says(2, wants(block * BLOCK_PAGES));
  const goodbye = replica.receive(1, create(HolderEventSchema, { event: { case: 'goodbye', value: {} } }), 0);
  const [note, ...more] = goodbye.flatMap((action) => (action.type === 'note' ? [action] : []));
  expect([note?.what, more]).toEqual([{ about: 'dead', node: 'N' }, []]);
  const sides = () => replica.led.flatMap(({ directory }) => [...directory.usage(9n).owned.keys()]);
  expect(new Set(sides())).toEqual(new Set([1]));
  replica.step({ type: 'noted', note: note!.note, kept: true }, 0);
  expect(replica.led.reduce((sum, { directory }) => sum + directory.usage(9n).lost, 0)).toBe(BLOCKS);
});

test('what a shard counted is not forgotten when it is left', () => {
  const { replica, says, does } = replicaWith(0, 1, 2, 3);
  for (let block = 0; block < BLOCKS; block++) says(2, wants(block * BLOCK_PAGES));
  const before = replica.counters;
  expect(before).toMatchObject({ acquires: BLOCKS, recalls: BLOCKS });
  for (const { shard } of replica.led) does(replica.step({ type: 'leave', shard }, 0));
  expect(replica.counters).toEqual(before);
});
