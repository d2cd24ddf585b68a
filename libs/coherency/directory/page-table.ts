// What a directory knows: dataspaces, their pages, and the change of a page that is under way.

import type { AccessMode, HolderId } from '../page.ts';
import type { RunEntry, RunMap } from '../run-map.ts';
import { type HolderSet, isSameSet, NO_HOLDERS } from './holder-set.ts';

export interface Request {
  holder: HolderId;
  mode: AccessMode;
  alone: boolean;
  storedVersion: number | undefined;
  lostVersion: number | undefined;
}

/** A change of pages that is under way. */
export interface Change {
  request: Request;
  version: number;
  /** The owner that was asked for the data, 0 where the requester has it. */
  source: HolderId;
  /** Holders whose ack of the invalidation is missing. */
  unacked: HolderSet;
  /** The requester has not yet confirmed that the data arrived. */
  dataPending: boolean;
  /** A grant follows when the acks are in. */
  grantPending: boolean;
  /** It makes certain that nobody has a lost page any more; then the request is looked at anew. */
  fence: boolean;
  sentAtMs: number;
  resends: number;
}

const EXCLUSIVE = 1;
const LOST = 2;
const FENCED = 4;
const ZERO = 8;
const STORED = 16;
const RESTORE = 32;
const WITHDRAWN = 64;

/** The queue of most pages. */
export const NO_REQUESTS: readonly Request[] = Object.freeze([]);

/** What is under way of pages; of most there is nothing. */
interface Work {
  change: Change | undefined;
  /** At most one read and one write a holder, so bounded by twice the holders. */
  queue: readonly Request[];
}

/** What is known of a run of pages, as one. It is kept small: there may be very many. */
export class Page implements RunEntry<Page> {
  firstPage: number;
  pageCount: number;
  owner: HolderId = 0;
  sharers: HolderSet = NO_HOLDERS;
  version = 0;
  private flags = 0;
  private work: Work | undefined = undefined;

  constructor(firstPage: number, pageCount: number) {
    this.firstPage = firstPage;
    this.pageCount = pageCount;
  }

  copy(firstPage: number, pageCount: number): Page {
    const page = new Page(firstPage, pageCount);
    page.owner = this.owner;
    page.sharers = this.sharers;
    page.version = this.version;
    page.flags = this.flags;
    if (this.work !== undefined) {
      const { change, queue } = this.work;
      page.work = { change: change === undefined ? undefined : { ...change }, queue };
    }
    return page;
  }

  isLike(other: Page): boolean {
    return (
      this.version === other.version &&
      this.owner === other.owner &&
      this.flags === other.flags &&
      this.work === undefined &&
      other.work === undefined &&
      isSameSet(this.sharers, other.sharers)
    );
  }

  get change(): Change | undefined {
    return this.work?.change;
  }

  set change(change: Change | undefined) {
    this.setWork(change, this.queue);
  }

  get queue(): readonly Request[] {
    return this.work?.queue ?? NO_REQUESTS;
  }

  set queue(queue: readonly Request[]) {
    this.setWork(this.change, queue);
  }

  private setWork(change: Change | undefined, queue: readonly Request[]): void {
    if (change === undefined && queue.length === 0) this.work = undefined;
    else if (this.work === undefined) this.work = { change, queue };
    else {
      this.work.change = change;
      this.work.queue = queue;
    }
  }

  private is(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  private set(flag: number, to: boolean): void {
    this.flags = to ? this.flags | flag : this.flags & ~flag;
  }

  /** The owner is alone: EXCLUSIVE or MODIFIED. */
  get exclusive(): boolean {
    return this.is(EXCLUSIVE);
  }

  set exclusive(to: boolean) {
    this.set(EXCLUSIVE, to);
  }

  get lost(): boolean {
    return this.is(LOST);
  }

  set lost(to: boolean) {
    this.set(LOST, to);
    if (!to) this.set(WITHDRAWN, false);
  }

  /** It is lost here, and not at home: the cluster that lent it took it back, or its gateway ended with what nobody here had written. */
  get withdrawn(): boolean {
    return this.is(WITHDRAWN);
  }

  set withdrawn(to: boolean) {
    this.set(WITHDRAWN, to);
  }

  /** It is lost, and nobody has it any more: all who might have had it said so. */
  get fenced(): boolean {
    return this.is(FENCED);
  }

  set fenced(to: boolean) {
    this.set(FENCED, to);
  }

  /** The owner's permission came without data: said again if it asks again, because that was lost on the way. */
  get zero(): boolean {
    return this.is(ZERO);
  }

  set zero(to: boolean) {
    this.set(ZERO, to);
  }

  /** The same where the data is what the owner read from the backing store. */
  get stored(): boolean {
    return this.is(STORED);
  }

  set stored(to: boolean) {
    this.set(STORED, to);
  }

  /** The owner was told to take back what it had sent on: said again until it is seen that it did. */
  get restore(): boolean {
    return this.is(RESTORE);
  }

  set restore(to: boolean) {
    this.set(RESTORE, to);
  }
}

export interface Dataspace {
  id: bigint;
  pageCount: number;
  /** Who holds the pages that have no entry, 0: nobody. */
  creator: HolderId;
  /** The pages that have no entry died with their creator. */
  creatorLost: boolean;
  /** It has a backing store. */
  durable: boolean;
  /** It stands for one of another cluster: nobody inherits from its creator. */
  borrowed: boolean;
  pages: RunMap<Page>;
}

/** Pages that nobody has asked for yet. */
export function plainPage(
  { creator, creatorLost, borrowed }: Dataspace,
  firstPage: number,
  pageCount: number,
): Page {
  const page = new Page(firstPage, pageCount);
  page.lost = creatorLost;
  page.withdrawn = creatorLost && borrowed;
  if (creatorLost || creator === 0) return page;
  page.owner = creator;
  page.exclusive = true;
  return page;
}

/** Of pages that have an entry; all others are the creator's, or died with it. */
export interface Usage {
  owned: ReadonlyMap<HolderId, number>;
  lost: number;
  entries: number;
}

export function usageOf(dataspace: Dataspace): Usage {
  const owned = new Map<HolderId, number>();
  let lost = 0;
  let entries = 0;
  for (const page of dataspace.pages) {
    const { pageCount, owner } = page;
    entries += pageCount;
    if (page.lost) lost += page.withdrawn ? 0 : pageCount;
    else if (owner !== 0) owned.set(owner, (owned.get(owner) ?? 0) + pageCount);
  }
  return { owned, lost, entries };
}

/** The writer has the page alone from now on. */
export function become(page: Page, writer: HolderId, version: number): void {
  // An owner that writes may still not know that it has the page back.
  if (page.owner !== writer) page.restore = false;
  page.owner = writer;
  page.exclusive = true;
  page.sharers = NO_HOLDERS;
  page.version = version;
  page.zero = false;
  page.stored = false;
}

/** The only copy is gone. @param withdrawn that here; its home has the page */
export function lose(page: Page, withdrawn = false): void {
  page.owner = 0;
  page.exclusive = false;
  page.sharers = NO_HOLDERS;
  page.restore = false;
  page.lost = true;
  page.withdrawn = withdrawn;
  page.fenced = false;
}
