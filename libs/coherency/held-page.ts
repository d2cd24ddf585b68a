// What a holder knows of a page.
import type { HolderIdentity, PageState } from './page.ts';

export interface HeldPage {
  state: PageState;
  /** Of the copy, or of the invalidation that took it. */
  version: number;
  readPending: boolean;
  writePending: boolean;
  /** Data of this version waits here for a grant. */
  dataVersion: number;
  /** A grant of this version waits here for data. */
  grantVersion: number;
  /** This version was sent on, and the frames' bytes are kept until it is settled. */
  retainedVersion: number;
  retainedFor: HolderIdentity;
  /** Bytes of this version are at hand that the backing store keeps. */
  storedVersion: number | undefined;
  /** At which it was last refused as LOST. */
  lostVersion: number;
  lineage: number;
}

/** Of a page of which nothing else is known. */
export function newPage(state: PageState, lineage: number): HeldPage {
  return {
    state,
    version: 0,
    readPending: false,
    writePending: false,
    dataVersion: 0,
    grantVersion: 0,
    retainedVersion: 0,
    retainedFor: 0n,
    storedVersion: undefined,
    lostVersion: 0,
    lineage,
  };
}
