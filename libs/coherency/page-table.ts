// What a directory knows: dataspaces, their pages, and the change of a page that is under way.
import { type HolderSet, NO_HOLDERS } from './holder-set.ts';
import type { AccessMode, HolderId } from './page.ts';

export interface Request {
  holder: HolderId;
  mode: AccessMode;
  alone: boolean;
  storedVersion: number | undefined;
  lostVersion: number | undefined;
}

/** A change of one page that is under way. */
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

export interface Page {
  owner: HolderId;
  /** The owner is alone: EXCLUSIVE or MODIFIED. */
  exclusive: boolean;
  sharers: HolderSet;
  version: number;
  lost: boolean;
  /** It is lost, and nobody has it any more: all who might have had it said so. */
  fenced: boolean;
  /** The owner's permission came without data: said again if it asks again, because that was lost on the way. */
  zero: boolean;
  /** The same where the data is what the owner read from the backing store. */
  stored: boolean;
  /** The owner was told to take back what it had sent on: said again until it is seen that it did. */
  restore: boolean;
  change: Change | undefined;
  /** At most one read and one write a holder, so bounded by twice the holders. */
  queue: readonly Request[];
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
  pages: Map<number, Page>;
}

/** The queue of most pages. */
export const NO_REQUESTS: readonly Request[] = Object.freeze([]);

/** A page that nobody has asked for yet. */
export function plainPage(dataspace: Dataspace): Page {
  return {
    owner: dataspace.creatorLost ? 0 : dataspace.creator,
    exclusive: !dataspace.creatorLost && dataspace.creator !== 0,
    sharers: NO_HOLDERS,
    version: 0,
    lost: dataspace.creatorLost,
    fenced: false,
    zero: false,
    stored: false,
    restore: false,
    change: undefined,
    queue: NO_REQUESTS,
  };
}

export function pageOf(dataspace: Dataspace, number: number): Page {
  let page = dataspace.pages.get(number);
  if (page === undefined) {
    page = plainPage(dataspace);
    dataspace.pages.set(number, page);
  }
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
  for (const page of dataspace.pages.values()) {
    if (page.lost) lost++;
    else if (page.owner !== 0) owned.set(page.owner, (owned.get(page.owner) ?? 0) + 1);
  }
  return { owned, lost, entries: dataspace.pages.size };
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

/** The only copy is gone. */
export function lose(page: Page): void {
  page.owner = 0;
  page.exclusive = false;
  page.sharers = NO_HOLDERS;
  page.restore = false;
  page.lost = true;
  page.fenced = false;
}
