// Range locks, waits and wakes on the wire: events of holders for the desk, and its answers.
import type { SyncAnswer, SyncDesk } from '@odonata/coherency/sync-desk.ts';
import { lockWire, outcomeWire } from '@odonata/coherency/wire.ts';
import { type HolderEvent, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { HolderTable } from './holder-table.ts';

type SyncEvent = Extract<
  HolderEvent['event'],
  { case: 'lock' | 'unlock' | 'wait' | 'cancelWait' | 'wake' | 'ownerGone' }
>;

/** Applies an event of a holder. */
export function stepSync(desk: SyncDesk, holder: number, event: SyncEvent, nowMs: number): SyncAnswer[] {
  switch (event.case) {
    case 'lock': {
      const { request, dataspace, begin, end, mode, owner, timeoutMs, reclaim } = event.value;
      const about = { request, dataspace, begin, end, owner, reclaim };
      return desk.lock(holder, { ...about, mode: lockWire.from(mode), timeoutMs: Number(timeoutMs) }, nowMs);
    }
    case 'unlock': {
      const { dataspace, owner, begin, end, request } = event.value;
      return desk.unlock(dataspace, owner, begin, end, request);
    }
    case 'wait': {
      const { request, dataspace, offset, owner, timeoutMs } = event.value;
      return desk.wait(holder, { request, dataspace, offset, owner, timeoutMs: Number(timeoutMs) }, nowMs);
    }
    case 'cancelWait':
      desk.cancelWait(holder, event.value.request);
      return [];
    case 'wake':
      return desk.wake(holder, event.value);
    case 'ownerGone':
      return desk.ownerGone(event.value.owner);
  }
}

/** Sends the desk's answers to the holders that they are for. */
export function answerSync(holders: HolderTable, answers: SyncAnswer[]): void {
  for (const answer of answers) {
    const { holder, request } = answer;
    switch (answer.type) {
      case 'lock':
        holders.send(holder, {
          case: 'lockResult',
          value: { request, status: outcomeWire.to(answer.outcome) },
        });
        break;
      case 'wake':
        holders.send(holder, { case: 'wakeResult', value: { request, woken: answer.woken } });
        break;
      case 'wait':
        holders.send(holder, { case: 'waitResult', value: { request, status: SyncStatus[answer.outcome] } });
        break;
    }
  }
}
