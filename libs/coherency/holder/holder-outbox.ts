// The actions of one step of a holder, page by page, joined to runs.
import type { AckKind } from '../directory/directory-messages.ts';
import { RunBatch } from '../directory/run-batch.ts';
import type { AccessMode, HolderId, PageRun, PageSpan, PageState } from '../page.ts';
import type { HolderAction } from './holder-messages.ts';

export type RunwiseAction = Exclude<HolderAction, { type: 'report' }>;
export type Failure = Extract<HolderAction, { type: 'failed' }>['reason'];

/** Pages of one message that carries them. */
export const SENT_MAX = 256;
const pagesMax = (type: HolderAction['type']): number =>
  type === 'send' || type === 'resend' ? SENT_MAX : Number.POSITIVE_INFINITY;

export class HolderOutbox {
  private batch = new RunBatch<RunwiseAction>(pagesMax);

  /** Forgets the actions of the step before. */
  begin(): void {
    this.batch = new RunBatch(pagesMax);
  }

  take(): HolderAction[] {
    return this.batch.take();
  }

  want(dataspace: bigint, page: PageSpan, mode: AccessMode, needed: boolean): void {
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode, needed });
    this.batch.add('acquire', dataspace, page, make, needed);
  }

  ready(dataspace: bigint, page: PageSpan): void {
    this.batch.add('ready', dataspace, page, (run) => ({ type: 'ready', run }));
  }

  failed(dataspace: bigint, page: PageSpan, reason: Failure, version: number): void {
    const make = (run: PageRun): RunwiseAction => ({ type: 'failed', run, reason, version });
    this.batch.add('failed', dataspace, page, make, reason, version);
  }

  restore(dataspace: bigint, page: PageSpan, version: number): void {
    this.batch.add('restore', dataspace, page, (run) => ({ type: 'restore', run, version }), version);
  }

  forget(dataspace: bigint, page: PageSpan, version: number): void {
    this.batch.add('forget', dataspace, page, (run) => ({ type: 'forget', run, version }), version);
  }

  installStored(dataspace: bigint, page: PageSpan): void {
    this.batch.add('install-stored', dataspace, page, (run) => ({ type: 'install-stored', run }));
  }

  resend(
    dataspace: bigint,
    page: PageSpan,
    how: { receiver: HolderId; version: number; state: PageState },
  ): void {
    const { receiver, version, state } = how;
    const make = (run: PageRun): RunwiseAction => ({ type: 'resend', run, ...how });
    this.batch.add('resend', dataspace, page, make, receiver, version, state);
  }

  revoke(dataspace: bigint, page: PageSpan, keep: 'READ' | 'NOTHING'): void {
    this.batch.add('revoke', dataspace, page, (run) => ({ type: 'revoke', run, keep }), keep);
  }

  // Whole runs, each an action of its own.
  dropRun(run: PageRun): void {
    this.revoke(run.dataspace, run, 'NOTHING');
    this.drop(run.dataspace, run);
  }

  drop(dataspace: bigint, page: PageSpan): void {
    this.batch.add('drop', dataspace, page, (run) => ({ type: 'drop', run }));
  }

  install(dataspace: bigint, page: PageSpan, zero: boolean): void {
    this.batch.add('install', dataspace, page, (run) => ({ type: 'install', run, zero }), zero);
  }

  send(
    dataspace: bigint,
    page: PageSpan,
    how: { receiver: HolderId; version: number; state: PageState; retain: boolean },
  ): void {
    const { receiver, version, state, retain } = how;
    const make = (run: PageRun): RunwiseAction => ({ type: 'send', run, ...how });
    this.batch.add('send', dataspace, page, make, receiver, version, state, retain);
  }

  ack(dataspace: bigint, page: PageSpan, version: number, kind: Exclude<AckKind, 'SENT' | 'DECLINED'>): void {
    this.batch.add('ack', dataspace, page, (run) => ({ type: 'ack', run, version, kind }), kind, version);
  }

  acquireStored(dataspace: bigint, page: PageSpan, storedVersion: number, lostVersion: number): void {
    const make = (run: PageRun): RunwiseAction => {
      return { type: 'acquire', run, mode: 'WRITE', needed: true, storedVersion, lostVersion };
    };
    this.batch.add('acquire', dataspace, page, make, 'stored', storedVersion, lostVersion);
  }

  again(dataspace: bigint, page: PageSpan, mode: 'READ' | 'WRITE'): void {
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode, needed: true });
    this.batch.add('acquire', dataspace, page, make, mode);
  }
}
