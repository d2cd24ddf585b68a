import { create } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { ElectedReplica, type ElectedReplicaAction } from './elected-replica.ts';
import { Election } from './election/election.ts';
import { Replica } from './replica.ts';

const LEASE_MS = 600;
const nothing = { revision: 0n, byId: () => undefined };
const replicaOf = (elected: boolean): Replica =>
  new Replica({
    ...{
      replica: 'A',
      incarnation: 1n,
      shards: 2,
      leaseMs: LEASE_MS,
      dataspaces: nothing,
      elected,
      nowMs: 0,
    },
  });

function find<T extends ElectedReplicaAction['type']>(actions: readonly ElectedReplicaAction[], type: T) {
  const found = actions.filter((action) => action.type === type);
  return found as Extract<ElectedReplicaAction, { type: T }>[];
}

/** A replica that has just been told that it leads both shards. */
function leading() {
  const core = new ElectedReplica(replicaOf(true));
  const about = { replica: 'A', incarnation: 1n, address: 'A:1', standalone: false, shards: 2 };
  core.enter(new Election({ ...about, leaseMs: LEASE_MS }, 0));
  const [beat] = find(core.tick(0), 'beat');
  core.elect({ type: 'beaten', beat: beat!.beat, kept: true }, 1);
  const [read] = find(core.elect({ type: 'watched' }, 2), 'read');
  const swaps = find(core.elect({ type: 'members', read: read!.read, members: new Map() }, 3), 'swap');
  const last = swaps.map(({ swap, shard }) => core.elect({ type: 'swapped', swap, revision: shard + 1 }, 4));
  return { core, last };
}

test('what it is elected to lead is served at once where nobody led it before', () => {
  const { core, last } = leading();
  expect(core.replica.led.map(({ shard, epoch, isRebuilding }) => [shard, epoch, isRebuilding])).toEqual([
    [0, 1n, false],
    [1, 2n, false],
  ]);
  expect(last.flat().filter(({ type }) => type !== 'log')).toEqual([]);
});

test('it takes nobody in before it is elected', () => {
  const core = new ElectedReplica(replicaOf(true));
  const hello = { node: 'N', incarnation: 1n, transferAddress: 'N:1', sentMs: 0n };
  const event = create(HolderEventSchema, { event: { case: 'hello', value: hello } });
  expect(core.receive(1, event, 0)).toMatchObject([{ type: 'fail', stream: 1, code: 'UNAVAILABLE' }]);
});

test('a shard that is given up in the round in which it was taken is no failed note', () => {
  const { core } = leading();
  const value = { address: 'B:1', incarnation: 2n, standalone: false };
  core.elect({ type: 'peer', name: 'B', value }, 5);
  const given = core.tick(400);
  expect(find(given, 'swap')).toMatchObject([{ shard: 1, value: { replica: 'A', to: 'B', epoch: 2n } }]);
  expect(find(given, 'log').filter(({ level }) => level === 'error')).toEqual([]);
  expect(core.replica.led.map(({ shard }) => shard)).toEqual([0]);
});

test('a death that is not kept: the shards are given to another replica, in the same step', () => {
  const { core } = leading();
  const hello = { node: 'N', incarnation: 1n, transferAddress: 'N:1', sentMs: 0n };
  const says = (event: object) => core.receive(1, create(HolderEventSchema, { event: event as never }), 6);
  const [taken] = find(says({ case: 'hello', value: hello }), 'note');
  core.step({ type: 'noted', note: taken!.note, kept: true }, 6);
  core.elect({ type: 'peer', name: 'B', value: { address: 'B:1', incarnation: 2n, standalone: false } }, 6);
  const [death] = find(says({ case: 'goodbye', value: {} }), 'note');
  const actions = core.step({ type: 'noted', note: death!.note, kept: false }, 7);
  expect(find(actions, 'swap').map(({ shard, value }) => [shard, value.to])).toEqual([
    [0, 'B'],
    [1, 'B'],
  ]);
  expect(core.replica.led).toEqual([]);
});
