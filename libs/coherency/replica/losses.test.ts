// Who has pages and which are lost, as a replica tells it: of a shard that still waits for reports it tells nothing.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { PAGE_BYTES } from '../page.ts';
import { lostPages, pagesOf } from './losses.ts';
import type { Membership } from './members.ts';
import { Replica, TICK_MS } from './replica.ts';
import type { ReplicaAction } from './replica-messages.ts';

type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;
const LEASE_MS = 3_000;
const SHARDS = 4;
const PAGES = 6_000;
const EPOCH = 7n;
const [NODE, INCARNATION, LIFE] = ['N', 11n, 5n] as const;
const record = {
  ...{ id: 1n, name: 'd', sizeBytes: BigInt(PAGES * PAGE_BYTES), durable: false },
  ...{ creator: NODE, creatorIncarnation: INCARNATION, owner: 'root', group: '', mode: 0o600 },
};

/** A replica that has just come to lead all shards; the leader before had noted N, that made a dataspace and has it whole. */
function newLeader() {
  const dataspaces = { revision: 1n, byId: () => record };
  const about = { replica: 'B', incarnation: 2n, shards: SHARDS, leaseMs: LEASE_MS, dataspaces, nowMs: 0 };
  const replica = new Replica(about);
  const does = (actions: readonly ReplicaAction[], nowMs: number): void => {
    for (const action of actions)
      if (action.type === 'note')
        does(replica.step({ type: 'noted', note: action.note, kept: true }, nowMs), nowMs);
  };
  const expected = new Map<string, Membership>([[NODE, { incarnation: INCARNATION, life: LIFE }]]);
  for (let shard = 0; shard < SHARDS; shard++)
    does(replica.step({ type: 'lead', shard, epoch: EPOCH, lastEpoch: 6n, expected }, 0), 0);
  const says = (event: Said, nowMs: number) =>
    does(replica.receive(1, create(HolderEventSchema, { event }), nowMs), nowMs);
  const tick = (nowMs: number) => does(replica.tick(nowMs), nowMs);
  return { replica, says, tick };
}

test('before the creator is back nothing is lost, and nothing known', () => {
  const { replica } = newLeader();
  expect(pagesOf(record, replica)).toEqual({ lost: 0, settled: 0, owned: new Map() });
});

test('while reports miss, only the shards of which all is told are known', () => {
  const { replica, says } = newLeader();
  says(
    { case: 'hello', value: { node: NODE, incarnation: INCARNATION, transferAddress: 'N:1', sentMs: 0n } },
    10,
  );
  says({ case: 'report', value: { shard: 0, epoch: EPOCH, last: true } }, 10);
  const some = pagesOf(record, replica);
  expect(some.lost).toBe(0);
  expect(some.settled).toBeGreaterThan(0);
  expect(some.settled).toBeLessThan(PAGES);
  expect(some.owned).toEqual(new Map([[NODE, some.settled]]));
  for (let shard = 1; shard < SHARDS; shard++)
    says({ case: 'report', value: { shard, epoch: EPOCH, last: true } }, 20);
  expect(pagesOf(record, replica)).toEqual({ lost: 0, settled: PAGES, owned: new Map([[NODE, PAGES]]) });
});

test('a creator that does not come back loses all that nobody else asked for', () => {
  const { replica, tick } = newLeader();
  for (let nowMs = TICK_MS; nowMs < LEASE_MS + 5 * TICK_MS; nowMs += TICK_MS) tick(nowMs);
  expect(pagesOf(record, replica)).toEqual({ lost: PAGES, settled: PAGES, owned: new Map() });
  expect(lostPages(record, replica)).toBe(PAGES);
});
