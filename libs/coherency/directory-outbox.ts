// The actions of one step of a directory, page by page, joined to runs.
import type { DirectoryAction, RefuseReason } from './directory-messages.ts';
import type { HolderId, PageState } from './page.ts';
import type { Change, Request } from './page-table.ts';
import { RunBatch } from './run-batch.ts';

export interface DirectoryCounters {
  acquires: number;
  grants: number;
  recalls: number;
  invalidations: number;
  resends: number;
}

export class DirectoryOutbox {
  readonly counters: DirectoryCounters = { acquires: 0, grants: 0, recalls: 0, invalidations: 0, resends: 0 };
  private batch = new RunBatch<DirectoryAction>();

  /** Forgets the actions of the step before. */
  begin(): void {
    this.batch = new RunBatch();
  }

  take(): DirectoryAction[] {
    return this.batch.take();
  }

  grant(
    dataspace: bigint,
    page: number,
    about: { holder: HolderId; state: PageState; version: number; zero?: boolean; restore?: boolean },
  ): void {
    this.counters.grants++;
    const { holder, state, version, zero = false, restore = false } = about;
    this.batch.add(`g${holder} ${state} ${version} ${zero} ${restore}`, dataspace, page, (run) => ({
      type: 'grant',
      holder,
      run,
      state,
      version,
      zero,
      restore,
    }));
  }

  recall(dataspace: bigint, page: number, change: Change): void {
    this.counters.recalls++;
    const { source: holder, version } = change;
    const { holder: receiver, mode } = change.request;
    const receiverState = arrivalState(change);
    this.batch.add(`r${holder} ${receiver} ${mode} ${version} ${receiverState}`, dataspace, page, (run) => ({
      type: 'recall',
      holder,
      receiver,
      run,
      mode,
      version,
      receiverState,
    }));
  }

  invalidate(dataspace: bigint, page: number, change: Change, resend: boolean): void {
    this.counters.invalidations++;
    const { source, version } = change;
    const holders = [...change.unacked];
    const except = change.request.holder;
    this.batch.add(`i${holders.join(',')} ${except} ${source} ${version}`, dataspace, page, (run) => ({
      type: 'invalidate',
      holders,
      except,
      source,
      run,
      version,
      resend,
    }));
  }

  refuse(dataspace: bigint, page: number, request: Request, reason: RefuseReason): void {
    const { holder, mode } = request;
    this.batch.add(`x${holder} ${mode} ${reason}`, dataspace, page, (run) => ({
      type: 'refuse',
      holder,
      run,
      mode,
      reason,
    }));
  }

  settled(dataspace: bigint, page: number, holder: HolderId, version: number): void {
    this.batch.add(`s${holder} ${version}`, dataspace, page, (run) => ({
      type: 'settled',
      holder,
      run,
      version,
    }));
  }
}

// Where sharers must go first, the data waits at the receiver as INVALID for the grant.
function arrivalState(change: Change): PageState {
  if (change.request.mode === 'READ') return 'SLAVE';
  return change.grantPending ? 'INVALID' : 'MODIFIED';
}
