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

test('a replica that has nothing to do rests, and a holder dies in time all the same', () => {
  const { replica, isHere, ticks } = replicaUntil(Number.POSITIVE_INFINITY);
  ticks(TICK_MS, 2 * TICK_MS);
  let looks = 0;
  let nowMs = TICK_MS;
  for (; isHere() && nowMs < 2 * LEASE_MS; looks++) {
    expect(replica.isResting).toBe(true);
    nowMs = replica.nextMs;
    replica.tick(nowMs);
  }
  // The first tick takes everybody for heard.
  expect(nowMs).toBe(TICK_MS + LEASE_MS);
  expect(looks).toBeLessThanOrEqual(12);
});

test('what happens ends the rest: the next tick comes within one, and finds the pause before it', () => {
  const { replica, ticks, isHere } = replicaUntil(Number.POSITIVE_INFINITY);
  ticks(TICK_MS, 2 * TICK_MS);
  const backMs = LEASE_MS + 10;
  // The stream's end is heard before the clock is looked at.
  replica.step({ type: 'closed', stream: 1 }, backMs);
  expect(replica.isResting).toBe(false);
  expect(replica.nextMs).toBeLessThanOrEqual(backMs + TICK_MS);
  replica.tick(backMs);
  expect(isHere()).toBe(true);
});
