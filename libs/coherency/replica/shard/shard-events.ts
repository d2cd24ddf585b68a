// What holders say to the leader of a shard, and its desk's answers, as protobuf messages and back.
import { type HolderEvent, type Report, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { AckKind } from '../../directory/directory-messages.ts';
import type { Arrival, BarrierWord } from '../../locks/barriers.ts';
import type { LockAsk, SyncAnswer, SyncDesk } from '../../locks/sync-desk.ts';
import type { AccessMode, HolderId, PageRun } from '../../page.ts';
import { ackWire, barrierWire, lockWire, modeWire, outcomeWire, runFromWire, stateWire } from '../../wire.ts';
import type { DirectoryEventInit } from '../replica-messages.ts';
import type { ReportEvent } from './rebuild.ts';

export type PageEvent =
  | {
      type: 'acquire';
      run: PageRun;
      mode: AccessMode;
      neededPages: number;
      /** The holder read the store after this leader, or an earlier one, had told it LOST. */
      stored: { version: number; lostVersion: number; lostEpoch: bigint } | undefined;
    }
  | { type: 'ack'; run: PageRun; version: number; kind: AckKind; epoch: bigint };

interface RangeAsk {
  request: bigint;
  dataspace: bigint;
  owner: bigint;
  begin: bigint;
  end: bigint;
}

interface WaitAsk {
  request: bigint;
  dataspace: bigint;
  offset: bigint;
  owner: bigint;
  timeoutMs: number;
}

interface WakeAsk {
  request: bigint;
  dataspace: bigint;
  offset: bigint;
  count: number;
}

export type SyncEvent =
  | { type: 'lock'; ask: LockAsk }
  | { type: 'unlock'; ask: RangeAsk }
  | { type: 'wait'; ask: WaitAsk }
  | { type: 'wake'; ask: WakeAsk }
  | { type: 'barrier'; arrival: Arrival }
  | { type: 'barrierWord'; word: BarrierWord }
  | { type: 'cancelWait'; request: bigint }
  | { type: 'ownerGone'; owner: bigint };

export type ShardEvent = PageEvent | SyncEvent;

type WireShardEvent = Extract<
  HolderEvent['event'],
  {
    case:
      | 'acquire'
      | 'ack'
      | 'spare'
      | 'lock'
      | 'unlock'
      | 'wait'
      | 'cancelWait'
      | 'wake'
      | 'barrier'
      | 'barrierWord'
      | 'ownerGone';
  }
>;

/** @throws RangeError when the message will not do */
export function shardEventOf(event: WireShardEvent): ShardEvent {
  switch (event.case) {
    case 'acquire': {
      const { run, mode, neededPages, storedVersion: version, lostVersion, lostEpoch } = event.value;
      const stored =
        version === undefined
          ? undefined
          : { version: Number(version), lostVersion: Number(lostVersion), lostEpoch };
      return { type: 'acquire', run: runFromWire(run), mode: modeWire.from(mode), neededPages, stored };
    }
    case 'ack': {
      const { run, version, epoch } = event.value;
      const kind = ackWire.from(event.value);
      return { type: 'ack', run: runFromWire(run), version: Number(version), kind, epoch };
    }
    case 'spare': {
      const { run, epoch } = event.value;
      return { type: 'ack', run: runFromWire(run), version: 0, kind: 'SPARED', epoch };
    }
    case 'lock': {
      const { request, dataspace, begin, end, mode, owner, timeoutMs, reclaim } = event.value;
      const about = { request, dataspace, begin, end, owner, reclaim };
      return {
        type: 'lock',
        ask: { ...about, mode: lockWire.from(mode), timeoutMs: Number(timeoutMs) },
      };
    }
    case 'unlock':
      return { type: 'unlock', ask: event.value };
    case 'wait': {
      const { request, dataspace, offset, owner, timeoutMs } = event.value;
      return { type: 'wait', ask: { request, dataspace, offset, owner, timeoutMs: Number(timeoutMs) } };
    }
    case 'wake':
      return { type: 'wake', ask: event.value };
    case 'barrier':
      return { type: 'barrier', arrival: { ...event.value, timeoutMs: Number(event.value.timeoutMs) } };
    case 'barrierWord':
      return { type: 'barrierWord', word: event.value };
    case 'cancelWait':
      return { type: 'cancelWait', request: event.value.request };
    case 'ownerGone':
      return { type: 'ownerGone', owner: event.value.owner };
  }
}

/** What a holder reports of a shard. @throws RangeError when the message will not do */
export function reportOf(holder: HolderId, { held, voided, reborn }: Report): ReportEvent {
  const runs = held.map((h) => ({
    run: runFromWire(h.run),
    state: stateWire.from(h.state),
    version: Number(h.version),
    kept: h.kept,
    ...(h.keptFor !== 0n && { keptFor: h.keptFor }),
  }));
  return { type: 'report', holder, held: runs, voided, reborn };
}

/** Applies an event of a holder. */
export function stepSync(desk: SyncDesk, holder: number, event: SyncEvent, nowMs: number): SyncAnswer[] {
  switch (event.type) {
    case 'lock':
      return desk.lock(holder, event.ask, nowMs);
    case 'unlock': {
      const { dataspace, owner, begin, end, request } = event.ask;
      return desk.unlock(dataspace, owner, begin, end, request);
    }
    case 'wait':
      return desk.wait(holder, event.ask, nowMs);
    case 'cancelWait':
      desk.cancelWait(holder, event.request);
      return [];
    case 'wake':
      return desk.wake(holder, event.ask);
    case 'barrier':
      return desk.arrive(holder, event.arrival, nowMs);
    case 'barrierWord':
      return desk.hear(holder, event.word, nowMs);
    case 'ownerGone':
      return desk.ownerGone(event.owner);
  }
}

/** An answer of the desk, for the holder that it is for. */
export function syncAnswerOf(answer: SyncAnswer): DirectoryEventInit['event'] {
  const { request } = answer;
  switch (answer.type) {
    case 'lock':
      return {
        case: 'lockResult',
        value: { request, status: outcomeWire.to(answer.outcome), waited: answer.waited },
      };
    case 'wake':
      return { case: 'wakeResult', value: { request, woken: answer.woken } };
    case 'barrier': {
      const { outcome, members } = answer;
      return {
        case: 'barrierResult',
        value: { request, status: barrierWire.to(outcome), members: [...members] },
      };
    }
    case 'wait':
      return { case: 'waitResult', value: { request, status: SyncStatus[answer.outcome] } };
  }
}
