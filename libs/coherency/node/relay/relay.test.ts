import { create } from '@bufbuild/protobuf';
import {
  CancelWaitSchema,
  LockMode,
  LockRequestSchema,
  LockResultSchema,
  SyncStatus,
  UnlockRequestSchema,
  WaitRequestSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { SyncSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { expect, test } from 'vitest';
import type { HolderEventInit } from '../lines/holder-wire.ts';
import { Relay } from './relay.ts';
import type { RelayAction, RelayEvent } from './relay-messages.ts';
import { UNDER_WAY_MAX } from './under-way.ts';
import { UNLOCKS_MAX } from './unheard-words.ts';

const OWNER = 100n;

function start() {
  const said: HolderEventInit[] = [];
  const lost: bigint[] = [];
  const brought: bigint[] = [];
  const failed: string[] = [];
  const relay = new Relay(1);
  const step = (event: RelayEvent): RelayAction[] => {
    const actions = relay.step(event, 0);
    for (const action of actions) {
      if (action.type === 'say') said.push(action.event);
      else if (action.type === 'lost') lost.push(...action.owners);
      else if (action.type === 'bring') brought.push(action.locked.begin);
      else if (action.type === 'answer' && action.event.event?.case === 'failed')
        failed.push(action.event.event.value.reason ?? '');
    }
    return actions;
  };
  const ask = (begin: bigint, end: bigint, mode = LockMode.MODIFYING) => {
    const about = { dataspace: 1n, begin, end, mode, owner: OWNER, timeoutMs: -1n };
    const value = create(LockRequestSchema, about);
    step({ type: 'asked', session: 1, request: 5n, event: { case: 'lock', value } });
    return (said.at(-1)?.value as { request: bigint } | undefined)?.request ?? 0n;
  };
  const answer = (request: bigint, status = SyncStatus.OK, waited = false) => {
    const value = create(LockResultSchema, { request, status, waited });
    step({ type: 'answered', event: { case: 'lockResult', value }, shards: [0] });
  };
  const lock = (begin: bigint, end: bigint, mode = LockMode.MODIFYING) => answer(ask(begin, end, mode));
  const unlock = (begin: bigint, end: bigint) => {
    const value = create(UnlockRequestSchema, { dataspace: 1n, begin, end, owner: OWNER });
    step({ type: 'asked', session: 1, request: 6n, event: { case: 'unlock', value } });
  };
  const rejoin = (newLeader: boolean) => step({ type: 'rejoined', shard: 0, newLeader });
  return { relay, said, lost, brought, failed, step, ask, answer, lock, unlock, rejoin };
}

test('a new leader hears of the ranges as they are now, split and merged', () => {
  const { relay, said, lock, unlock, rejoin, step } = start();
  lock(-10n, 99n, LockMode.SHARED);
  lock(20n, 29n);
  unlock(25n, 49n);
  said.length = 0;
  rejoin(true);
  expect(said.map((e) => e?.value)).toMatchObject([
    { begin: -10n, end: 19n, mode: LockMode.SHARED, reclaim: true },
    { begin: 20n, end: 24n, mode: LockMode.MODIFYING, reclaim: true },
    { begin: 50n, end: 99n, mode: LockMode.SHARED, reclaim: true },
  ]);
  expect(relay.modifies(OWNER, 1n, 24n, 24n)).toBe(true);
  expect(relay.modifies(OWNER, 1n, 25n, 99n)).toBe(false);
  step({ type: 'owner-gone', owner: OWNER });
  expect(relay.modifies(OWNER, 1n, 24n, 24n)).toBe(false);
});

test('an unlock is said again to the same leader until an answer to a later request shows that it was heard', () => {
  const { said, lock, unlock, rejoin } = start();
  lock(0n, 9n);
  unlock(0n, 4n);
  said.length = 0;
  rejoin(false);
  expect(said).toMatchObject([{ case: 'unlock', value: { begin: 0n, end: 4n } }]);
  lock(20n, 29n);
  said.length = 0;
  rejoin(false);
  expect(said).toEqual([]);
});

test.each(['is withdrawn', 'ends with its process', 'ends with its virtual kernel'])(
  'an unlock is not taken to be heard because a later request %s',
  (how) => {
    const { relay, said, lock, unlock, rejoin, step } = start();
    lock(0n, 9n);
    unlock(0n, 9n);
    const value = { $typeName: 'odonata.coherency.v1.WaitRequest' as const, request: 0n, dataspace: 1n };
    const wait = { ...value, offset: 0n, owner: 101n, timeoutMs: -1n };
    step({ type: 'asked', session: 2, request: 7n, event: { case: 'wait', value: wait } });
    const cancel = { $typeName: 'odonata.coherency.v1.CancelWait' as const, request: 7n };
    if (how === 'is withdrawn')
      step({ type: 'asked', session: 2, request: 0n, event: { case: 'cancelWait', value: cancel } });
    else if (how === 'ends with its process') step({ type: 'owner-gone', owner: 101n });
    else step({ type: 'session-gone', session: 2 });
    expect(relay.underWayCount).toBe(0);
    said.length = 0;
    rejoin(false);
    expect(said.filter((each) => each?.case === 'unlock')).toMatchObject([
      { case: 'unlock', value: { begin: 0n, end: 9n } },
    ]);
  },
);

test('an unlock is heard where a renewal that was sent later is answered', () => {
  const { relay, lock, unlock, step } = start();
  lock(0n, 9n);
  unlock(0n, 9n);
  step({ type: 'confirmed', shards: [0], sentMs: 0 });
  step({ type: 'confirmed', shards: [1], sentMs: 1 });
  expect(relay.unheardCount).toBe(1);
  step({ type: 'confirmed', shards: [1, 0], sentMs: 1 });
  expect(relay.unheardCount).toBe(0);
});

test('who is buried loses its locks, and only those who held some are named', () => {
  const { relay, lost, lock, unlock, step } = start();
  lock(0n, 9n);
  step({ type: 'voided', shard: 1 });
  expect(lost).toEqual([]);
  step({ type: 'voided', shard: 0 });
  expect(lost).toEqual([OWNER]);
  lock(0n, 9n);
  unlock(0n, 9n);
  expect(step({ type: 'voided', shard: 0 })).toEqual([]);
  expect(relay.heldRanges()).toEqual([]);
});

test('an answer counts that the leader gives, and no former one', () => {
  const { relay, said, ask, answer, rejoin, step } = start();
  const request = ask(0n, 9n);
  rejoin(true);
  expect(said.at(-1)).toMatchObject({ case: 'lock', value: { request } });
  const value = create(LockResultSchema, { request, status: SyncStatus.OK });
  expect(step({ type: 'answered', event: { case: 'lockResult', value }, shards: [1, 2] })).toEqual([]);
  expect(relay.heldRanges()).toEqual([]);
  answer(request);
  expect(relay.heldRanges().length).toBe(1);
});

test('what was granted to nobody is given back, again until that is heard', () => {
  const { said, ask, answer, rejoin, step } = start();
  const request = ask(0n, 9n);
  rejoin(false);
  answer(request, SyncStatus.TIMED_OUT);
  said.length = 0;
  answer(request);
  expect(said).toMatchObject([{ case: 'unlock', value: { begin: 0n, end: 9n } }]);
  rejoin(false);
  expect(said.length).toBe(2);
  step({ type: 'confirmed', shards: [0], sentMs: 1 });
  rejoin(false);
  expect(said.length).toBe(2);
});

test('a virtual kernel that asks and asks while no directory answers is refused, and a process that unlocks and unlocks', () => {
  const { relay, failed, ask, unlock, lock, answer } = start();
  const last = ask(0n, 0n);
  for (let i = 1; i < UNDER_WAY_MAX; i++) ask(0n, 0n);
  expect(failed).toEqual([]);
  ask(0n, 0n);
  expect([failed.length, relay.underWayCount]).toEqual([1, UNDER_WAY_MAX]);
  answer(last);
  lock(0n, 0n);
  for (let i = 0n; i < UNLOCKS_MAX; i++) unlock(i, i);
  expect(failed.length).toBe(1);
  unlock(0n, 0n);
  expect([failed.length, relay.unheardCount]).toEqual([2, UNLOCKS_MAX]);
});

test('another pmap manager goes on with it, and the snapshot of that is the same', () => {
  const { relay, ask, answer, lock, unlock, rejoin, step } = start();
  const wait = create(WaitRequestSchema, { dataspace: 1n, owner: OWNER, timeoutMs: -1n });
  step({ type: 'asked', session: 1, request: 8n, event: { case: 'wait', value: wait } });
  const withdrawn = create(CancelWaitSchema, { request: 8n });
  lock(0n, 99n);
  rejoin(true);
  step({ type: 'asked', session: 1, request: 9n, event: { case: 'cancelWait', value: withdrawn } });
  const refused = ask(200n, 209n);
  rejoin(false);
  answer(refused, SyncStatus.TIMED_OUT);
  ask(300n, 309n);
  unlock(10n, 19n);
  step({ type: 'owner-gone', owner: 7n });
  const snapshot = create(SyncSnapshotSchema, relay.snapshot([9, 1]));
  const { underWay, givenUp, held, unlocks, withdrawals, gone, reclaims } = snapshot;
  const counts = [underWay, givenUp, held, unlocks, withdrawals, gone, reclaims].map(({ length }) => length);
  expect(counts).toEqual([1, 1, 2, 1, 1, 1, 1]);
  expect(underWay[0]).toMatchObject({ session: 1, request: 5n, event: { event: { case: 'lock' } } });
  const next = new Relay(1);
  next.resume(snapshot, [9, 4]);
  expect(create(SyncSnapshotSchema, next.snapshot([9, 4]))).toEqual(snapshot);
});

test('a fault asks about a process with 100,000 ranges, and a page costs less than 20 us', () => {
  const { relay, lock } = start();
  for (let i = 0n; i < 100_000n; i++) lock(i * 8192n, i * 8192n + 99n);
  const times = Array.from({ length: 1000 }, (_, i) => {
    const begin = BigInt(i * 97) * 4096n;
    const started = process.hrtime.bigint();
    const answer = relay.modifies(OWNER, 1n, begin, begin + 4095n);
    const ns = Number(process.hrtime.bigint() - started);
    expect(answer).toBe((i * 97) % 2 === 0);
    return ns;
  });
  expect(times.sort((a, b) => a - b)[500]!).toBeLessThan(20_000);
});

test('the pages under a lock are asked for with it; where others hold such locks, when it is granted', () => {
  const { brought, ask, answer, unlock } = start();
  const first = ask(0n, 9n);
  expect(brought).toEqual([0n]);
  answer(first);
  unlock(0n, 9n);
  // Whoever has the lock meanwhile has the pages again.
  const second = ask(10n, 19n);
  expect(brought).toEqual([0n, 10n]);
  answer(second, SyncStatus.OK, true);
  expect(brought).toEqual([0n, 10n, 10n]);
  const third = ask(20n, 29n);
  expect(brought).toHaveLength(3);
  answer(third);
  expect(brought).toEqual([0n, 10n, 10n, 20n]);
  ask(30n, 39n);
  expect(brought.at(-1)).toBe(30n);
});

test('a lock that is refused brings nothing more', () => {
  const { brought, ask, answer } = start();
  answer(ask(0n, 9n), SyncStatus.TIMED_OUT, true);
  expect(brought).toEqual([0n]);
});
