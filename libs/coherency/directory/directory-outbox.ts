// The actions of one step of a directory, page by page, joined to runs.

import type { HolderId, HolderIdentity, PageRun, PageSpan, PageState } from '../page.ts';
import type { DirectoryAction, RefuseReason } from './directory-messages.ts';
import type { Change, Request } from './page-table.ts';
import { RunBatch } from './run-batch.ts';
import { isSparing } from './spared-copies.ts';

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
    page: PageSpan,
    about: {
      holder: HolderId;
      state: PageState;
      version: number;
      zero?: boolean;
      restore?: boolean;
      stored?: boolean;
    },
  ): void {
    this.counters.grants += page.pageCount;
    const { holder, state, version, zero = false, restore = false, stored = false } = about;
    const make = (run: PageRun): DirectoryAction => {
      return { type: 'grant', holder, run, state, version, zero, restore, stored };
    };
    this.batch.add(
      'grant',
      dataspace,
      page,
      make,
      holder,
      state,
      version,
      zero ? 'zero' : restore ? 'restore' : stored ? 'stored' : undefined,
    );
  }

  recall(dataspace: bigint, page: PageSpan, change: Change, receiverIdentity: HolderIdentity): void {
    this.counters.recalls += page.pageCount;
    const { source: holder, version } = change;
    const { holder: receiver, mode } = change.request;
    const receiverState = arrivalState(change);
    const make = (run: PageRun): DirectoryAction => {
      return { type: 'recall', holder, receiver, receiverIdentity, run, mode, version, receiverState };
    };
    // Two pages that agree in receiver and mode differ in its state only where they differ in what is pending.
    this.batch.add(
      'recall',
      dataspace,
      page,
      make,
      holder,
      receiver,
      version,
      mode === 'READ' ? mode : receiverState,
    );
  }

  invalidate(dataspace: bigint, page: PageSpan, change: Change, resend: boolean): void {
    this.counters.invalidations += page.pageCount;
    const { source, version, unacked: holders, fence: anew } = change;
    // What is lost nobody keeps, and nobody is to hear of it by the broadcast alone: some do not follow the dataspace.
    const except = anew ? 0 : change.request.holder;
    const sparing = isSparing(change);
    const make = (run: PageRun): DirectoryAction => {
      const about = { holders, except, source, version, resend: resend || anew, anew };
      return { type: 'invalidate', run, ...about, ...(sparing && { sparing }) };
    };
    const whom = sparing ? `only ${holders.join()}` : holders.join();
    this.batch.add('invalidate', dataspace, page, make, whom, except, source, version);
  }

  refuse(dataspace: bigint, page: PageSpan, request: Request, reason: RefuseReason, version = 0): void {
    const { holder, mode } = request;
    const make = (run: PageRun): DirectoryAction => ({ type: 'refuse', holder, run, mode, reason, version });
    this.batch.add('refuse', dataspace, page, make, holder, mode, reason, version);
  }

  settled(dataspace: bigint, page: PageSpan, holder: HolderId, version: number): void {
    const make = (run: PageRun): DirectoryAction => ({ type: 'settled', holder, run, version });
    this.batch.add('settled', dataspace, page, make, holder, version);
  }
}

// Where sharers must go first, the data waits at the receiver as INVALID for the grant.
function arrivalState(change: Change): PageState {
  if (change.request.mode === 'READ') return 'SLAVE';
  return change.grantPending ? 'INVALID' : 'MODIFIED';
}
