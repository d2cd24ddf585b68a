// The machines' events and actions as protobuf messages and back. Versions are numbers inside
// (below 2^53) and uint64 on the wire.
import {
  SyncStatus,
  AckKind as WireAck,
  LockMode as WireLock,
  AccessMode as WireMode,
  RefuseReason as WireReason,
  type PageRun as WireRun,
  PageState as WireState,
} from '@odonata/proto/coherency/v1/coherency';
import type { AckKind, RefuseReason } from './directory/directory-messages.ts';
import type { BarrierOutcome } from './locks/barriers.ts';
import type { LockMode, LockOutcome } from './locks/range-lock.ts';
import type { AccessMode, PageRun, PageState } from './page.ts';

function bijection<T extends string>(
  table: Record<T, number>,
): { to(name: T): number; from(number: number): T } {
  const back = new Map(Object.entries(table).map(([name, number]) => [number as number, name as T]));
  return {
    to: (name) => table[name],
    from(number) {
      const name = back.get(number);
      if (name === undefined) throw new RangeError(`${number} is none of ${Object.keys(table).join(', ')}`);
      return name;
    },
  };
}

export const stateWire = bijection<PageState>({
  INVALID: WireState.INVALID,
  SHARED: WireState.SHARED,
  SLAVE: WireState.SLAVE,
  MASTER: WireState.MASTER,
  EXCLUSIVE: WireState.EXCLUSIVE,
  MODIFIED: WireState.MODIFIED,
});

export const modeWire = bijection<AccessMode>({ READ: WireMode.READ, WRITE: WireMode.WRITE });

const plainAckWire = bijection<Exclude<AckKind, 'WITHDRAWN' | 'SPARED'>>({
  INVALIDATED: WireAck.INVALIDATED,
  RECEIVED: WireAck.RECEIVED,
  SENT: WireAck.SENT,
  ABSENT: WireAck.ABSENT,
  DECLINED: WireAck.DECLINED,
});

// Whoever is of an earlier version reads it as its kind, and its reason, say: the page is lost. `SPARED` is a message of its own.
export const ackWire = {
  to: (kind: Exclude<AckKind, 'SPARED'>): { kind: WireAck; withdrawn: boolean } =>
    kind === 'WITHDRAWN'
      ? { kind: WireAck.ABSENT, withdrawn: true }
      : { kind: plainAckWire.to(kind), withdrawn: false },
  from: ({ kind, withdrawn }: { kind: WireAck; withdrawn: boolean }): Exclude<AckKind, 'SPARED'> =>
    withdrawn && kind === WireAck.ABSENT ? 'WITHDRAWN' : plainAckWire.from(kind),
};

const plainReasonWire = bijection<Exclude<RefuseReason, 'WITHDRAWN'>>({
  LOST: WireReason.LOST,
  NO_DATASPACE: WireReason.NO_DATASPACE,
  SKIPPED: WireReason.SKIPPED,
});

export const reasonWire = {
  to: (reason: RefuseReason): { reason: WireReason; withdrawn: boolean } =>
    reason === 'WITHDRAWN'
      ? { reason: WireReason.LOST, withdrawn: true }
      : { reason: plainReasonWire.to(reason), withdrawn: false },
  from: ({ reason, withdrawn }: { reason: WireReason; withdrawn: boolean }): RefuseReason =>
    withdrawn && reason === WireReason.LOST ? 'WITHDRAWN' : plainReasonWire.from(reason),
};

export const lockWire = bijection<LockMode>({
  SHARED: WireLock.SHARED,
  EXCLUSIVE: WireLock.EXCLUSIVE,
  MODIFYING: WireLock.MODIFYING,
});

export const outcomeWire = bijection<LockOutcome>({
  OK: SyncStatus.OK,
  TIMED_OUT: SyncStatus.TIMED_OUT,
  DEADLOCK: SyncStatus.DEADLOCK,
  NOT_FOUND: SyncStatus.NOT_FOUND,
  EXHAUSTED: SyncStatus.EXHAUSTED,
});

export const barrierWire = bijection<BarrierOutcome>({
  OK: SyncStatus.OK,
  TIMED_OUT: SyncStatus.TIMED_OUT,
  BROKEN: SyncStatus.BROKEN,
  INVALID: SyncStatus.INVALID,
  EXHAUSTED: SyncStatus.EXHAUSTED,
});

export function isEmptyRun(run: WireRun | undefined): run is undefined {
  return run === undefined || run.pageCount === 0;
}

/** @throws RangeError when the run is missing or empty. */
export function runFromWire(run: WireRun | undefined): PageRun {
  if (isEmptyRun(run)) throw new RangeError('a page run is missing or empty');
  return { dataspace: run.dataspace, firstPage: run.firstPage, pageCount: run.pageCount };
}
