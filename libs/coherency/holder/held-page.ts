// What a holder knows of pages.
import type { HolderIdentity, PageState } from '../page.ts';
import type { RunEntry } from '../run-map.ts';

/** Of each page of a run. */
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

/** Of pages of which nothing else is known. */
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

/** A run of pages of which the same is known. */
export class HeldEntry implements HeldPage, RunEntry<HeldEntry> {
  firstPage: number;
  pageCount: number;
  state: PageState;
  version: number;
  readPending: boolean;
  writePending: boolean;
  dataVersion: number;
  grantVersion: number;
  retainedVersion: number;
  retainedFor: HolderIdentity;
  storedVersion: number | undefined;
  lostVersion: number;
  lineage: number;

  constructor(firstPage: number, pageCount: number, page: Readonly<HeldPage>) {
    this.firstPage = firstPage;
    this.pageCount = pageCount;
    this.state = page.state;
    this.version = page.version;
    this.readPending = page.readPending;
    this.writePending = page.writePending;
    this.dataVersion = page.dataVersion;
    this.grantVersion = page.grantVersion;
    this.retainedVersion = page.retainedVersion;
    this.retainedFor = page.retainedFor;
    this.storedVersion = page.storedVersion;
    this.lostVersion = page.lostVersion;
    this.lineage = page.lineage;
  }

  copy(firstPage: number, pageCount: number): HeldEntry {
    return new HeldEntry(firstPage, pageCount, this);
  }

  isLike(other: HeldEntry): boolean {
    return (
      this.state === other.state &&
      this.version === other.version &&
      this.readPending === other.readPending &&
      this.writePending === other.writePending &&
      this.dataVersion === other.dataVersion &&
      this.grantVersion === other.grantVersion &&
      this.retainedVersion === other.retainedVersion &&
      this.retainedFor === other.retainedFor &&
      this.storedVersion === other.storedVersion &&
      this.lostVersion === other.lostVersion &&
      this.lineage === other.lineage
    );
  }

  /** What is known of each page, as it is now. */
  get facts(): HeldPage {
    const { firstPage: _, pageCount: __, ...facts } = this;
    return facts;
  }
}
