// What the relay remembers as a message, so that another pmap manager of the node can go on with it.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { UnlockRequestSchema } from '@odonata/proto/coherency/v1/coherency';
import type { SyncSnapshotSchema, SyncUnderWay } from '@odonata/proto/pmap/v1/handover';
import { lockWire } from '../../wire.ts';
import type { HeldLocks } from './held-locks.ts';
import type { GivenUp } from './late-locks.ts';
import type { PassedBarriers } from './passed-barriers.ts';
import type { UnderWay } from './under-way.ts';
import type { UnheardEnds, UnheardUnlock, UnheardWithdrawals } from './unheard-words.ts';

export type SyncSnapshotInit = MessageInitShape<typeof SyncSnapshotSchema>;

const askedWire = ({ event, owner, dataspace }: GivenUp, repeated: boolean) => {
  return { event: { event }, owner, dataspace, repeated };
};

/** @param sessions by their place in the snapshot */
export function underWayWire(underWay: readonly [bigint, UnderWay][], sessions: readonly number[]) {
  const places = new Map(sessions.map((session, place) => [session, place]));
  return underWay.flatMap(([id, asked]) => {
    const { request, registered, repeated } = asked;
    const session = places.get(asked.session);
    return session === undefined ? [] : [{ id, session, request, registered, ...askedWire(asked, repeated) }];
  });
}

/** @param sessions as `underWayWire`, here */
export function underWayFrom(wire: SyncUnderWay, sessions: readonly number[]): UnderWay | undefined {
  const { session: place, request, registered, event, owner, dataspace, repeated } = wire;
  const session = sessions[place];
  if (session === undefined) return undefined;
  return { session, request, registered, event: event?.event, owner, dataspace, repeated };
}

export function givenUpWire(givenUp: ReadonlyMap<bigint, GivenUp>) {
  return [...givenUp].map(([id, asked]) => ({ id, ...askedWire(asked, true) }));
}

export function heldWire(held: HeldLocks) {
  return [...held.of(() => true)].flatMap(({ owner, dataspace, ranges }) =>
    ranges.map(({ begin, end, mode }) => ({ owner, dataspace, begin, end, mode: lockWire.to(mode) })),
  );
}

export function unlocksWire(unlocks: readonly UnheardUnlock[]) {
  return unlocks.map(({ unlock, before, atMs }) => ({ unlock, before, atMs: BigInt(atMs) }));
}

export function withdrawalsWire(withdrawals: UnheardWithdrawals) {
  return withdrawals.all().map(({ atMs, ...about }) => ({ ...about, atMs: BigInt(atMs) }));
}

export function barriersWire(barriers: PassedBarriers) {
  return barriers.all().map(({ waits: _, endedMs, ...word }) => {
    return { word: { ...word, members: [...word.members] }, endedMs: BigInt(Math.round(endedMs)) };
  });
}

export function endsWire(ends: UnheardEnds) {
  return ends.all().map(({ owner, atMs }) => ({ owner, atMs: BigInt(atMs) }));
}

export function unlockWire(about: MessageInitShape<typeof UnlockRequestSchema>) {
  return create(UnlockRequestSchema, about);
}
