// Silence of which nothing follows: renewals that a replica could not hear are not missing.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { Replica, TICK_MS } from './replica.ts';
import type { ReplicaAction } from './replica-messages.ts';

type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;
const LEASE_MS = 3_000;

/** An elected replica that may lead until a time, and N on stream 1. */
function replicaUntil(untilMs: number) {
  const about = { replica: 'A', incarnation: 1n, shards: 1, leaseMs: LEASE_MS, elected: true, nowMs: 0 };
  const replica = new Replica({ ...about, dataspaces: { revision: 0n, byId: () => undefined } });
  const does = (actions: readonly ReplicaAction[]): void => {
    for (const action of actions)
      if (action.type === 'note') does(replica.step({ type: 'noted', note: action.note, kept: true }, 0));
  };
  const says = (event: Said, nowMs: number) =>
    does(replica.receive(1, create(HolderEventSchema, { event }), nowMs));
  replica.step({ type: 'mayLead', untilMs }, 0);
  says({ case: 'hello', value: { node: 'N', incarnation: 11n, transferAddress: 'N:1', sentMs: 0n } }, 0);
  /** The clock is looked at as often as it should be. */
  const ticks = (fromMs: number, toMs: number): void => {
    for (let nowMs = fromMs; nowMs < toMs; nowMs += TICK_MS) does(replica.tick(nowMs));
  };
  return { replica, ticks, isHere: () => replica.holders.ofNode('N') !== undefined };
}

test('a holder that is silent for a lease is dead', () => {
  const { ticks, isHere } = replicaUntil(Number.POSITIVE_INFINITY);
  ticks(TICK_MS, LEASE_MS);
  expect(isHere()).toBe(true);
  ticks(LEASE_MS, LEASE_MS + 2 * TICK_MS);
  expect(isHere()).toBe(false);
});

test('after a pause of our own a holder has a lease to be heard', () => {
  const { ticks, isHere } = replicaUntil(Number.POSITIVE_INFINITY);
  ticks(TICK_MS, 1_000);
  const backMs = 3 * LEASE_MS;
  ticks(backMs, backMs + LEASE_MS);
  expect(isHere()).toBe(true);
  ticks(backMs + LEASE_MS, backMs + LEASE_MS + 2 * TICK_MS);
  expect(isHere()).toBe(false);
});

test('after a time in which this replica must not lead a holder has a lease to be heard', () => {
  const { replica, ticks, isHere } = replicaUntil(1_000);
  const againMs = 3 * LEASE_MS;
  ticks(TICK_MS, againMs);
  expect(isHere()).toBe(true);
  replica.step({ type: 'mayLead', untilMs: Number.POSITIVE_INFINITY }, againMs);
  ticks(againMs, againMs + LEASE_MS);
  expect(isHere()).toBe(true);
  ticks(againMs + LEASE_MS, againMs + LEASE_MS + 2 * TICK_MS);
  expect(isHere()).toBe(false);
});
