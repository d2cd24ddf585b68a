// Words of shared memory on which processes sleep until others wake them.
import { SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import { Errno } from './errno.ts';
import { type PendingWait, PmapError } from './pmap-interface.ts';
import type { PmapSession } from './pmap-session.ts';

export interface SharedWord {
  readonly dataspace: bigint;
  readonly offset: bigint;
}

/** Resolves once the wait is registered. */
export function waitOn(
  session: PmapSession,
  word: SharedWord,
  owner: bigint,
  timeoutMs: bigint,
): Promise<PendingWait> {
  return new Promise((resolve, reject) => {
    const value = { ...word, owner, timeoutMs };
    let settle: (woken: boolean) => void = () => {};
    let fail: (error: PmapError) => void = reject;
    const request = session.askMany(
      { case: 'wait', value },
      (answer) => {
        if (answer.case !== 'wait') return false;
        const { status } = answer.value;
        if (status === SyncStatus.REGISTERED) {
          const woken = new Promise<boolean>((done, failed) => {
            settle = done;
            fail = failed;
          });
          // Who cancels no longer listens.
          woken.catch(() => {});
          resolve({
            woken,
            cancel: () => session.cancelWait(request),
          });
          return false;
        }
        if (status === SyncStatus.EXHAUSTED) fail(new PmapError(Errno.nomem, 'too many waiters'));
        else settle(status === SyncStatus.OK);
        return true;
      },
      (error) => fail(error),
    );
  });
}

/** How many it woke. */
export async function wakeOn(session: PmapSession, word: SharedWord, count: number): Promise<number> {
  const answer = await session.ask({ case: 'wake', value: { ...word, count } });
  return answer.case === 'wake' ? answer.value.woken : 0;
}
