// What becomes of each page of a directory: a request begins a change where others must send, drop or hear of it; acks bring
// it forward; a holder that is no more ends it. One change of a page at a time; what comes meanwhile waits in its queue.
import assert from 'node:assert/strict';
import type { HolderId, HolderIdentity, PageState } from '../page.ts';
import type { DirectoryEvent } from './directory-messages.ts';
import type { DirectoryOutbox } from './directory-outbox.ts';
import { type HolderSet, NO_HOLDERS, withHolder, withoutHolder } from './holder-set.ts';
import {
  become,
  type Change,
  type Dataspace,
  lose,
  NO_REQUESTS,
  type Page,
  type Request,
} from './page-table.ts';
import { canSpare, isSparing, SPARED } from './spared-copies.ts';

/** After this long without an ack an invalidation is sent again: the broadcast may have lost it. */
const INVALIDATE_AGAIN_MS = 100;
/** A recall and its data travel on streams, which lose nothing unless they break. */
const RECALL_AGAIN_MS = 1_000;
/** The pause between resends grows up to this. */
const AGAIN_MAX_MS = 2_000;

/** Of what is taken from all, and given to nobody. */
const FOR_NOBODY: Request = {
  holder: 0,
  mode: 'READ',
  alone: false,
  storedVersion: undefined,
  lostVersion: undefined,
};

type Ack = Extract<DirectoryEvent, { type: 'ack' }>;

export class PageChanges {
  private readonly home: boolean;
  private readonly holders: ReadonlyMap<HolderId, HolderIdentity>;
  private readonly lenders: ReadonlySet<HolderId>;
  private readonly out: DirectoryOutbox;
  private readonly changing = new Map<Page, Dataspace>();
  private nowMs = 0;

  /**
   * @param home the data is at the directory itself
   * @param holders those that are there now
   * @param lenders those of them that own nothing
   */
  constructor(
    home: boolean,
    holders: ReadonlyMap<HolderId, HolderIdentity>,
    lenders: ReadonlySet<HolderId>,
    out: DirectoryOutbox,
  ) {
    this.home = home;
    this.holders = holders;
    this.lenders = lenders;
    this.out = out;
  }

  /** How many pages, or runs of them, change. */
  get size(): number {
    return this.changing.size;
  }

  /** A run was cut in two. */
  cut(from: Page, to: Page): void {
    const dataspace = this.changing.get(from);
    if (dataspace !== undefined) this.changing.set(to, dataspace);
  }

  /** The page is no more. */
  forget(page: Page): void {
    this.changing.delete(page);
  }

  /** A request that waits for the change under way. */
  enqueue(dataspace: Dataspace, page: Page, request: Request): void {
    this.tellOwner(dataspace, page, request);
    // Also what the change under way is for: who asks again may have lost its grant with a stream.
    if (!page.queue.some((each) => isTwin(each, request))) page.queue = [...page.queue, request];
  }

  // An owner that asks may not know yet that it is one: without the bytes that it kept, or that wait for the permission, a later grant is
  // of no use.
  private tellOwner(dataspace: Dataspace, page: Page, { holder }: Request): void {
    if (page.restore && page.owner === holder) this.grantBack(dataspace, page);
  }

  /** Serves a request of a page that does not change. */
  begin(dataspace: Dataspace, page: Page, request: Request): void {
    assert(page.change === undefined, 'one change at a time');
    this.tellOwner(dataspace, page, request);
    if (page.lost) this.beginLost(dataspace, page, request);
    else if (request.mode === 'READ') this.beginRead(dataspace, page, request);
    else this.beginWrite(dataspace, page, request);
  }

  // What begins anew, whoever has it after all must lose first: one who got it from a source that died, who did not hear
  // a recall or an invalidation, or whose sync of it is not stored yet. What is durable may always begin anew with what is
  // stored, all else where somebody has bytes to begin with: zeros, since the loss was accepted, or the whole page.
  private beginLost(dataspace: Dataspace, page: Page, request: Request): void {
    const { storedVersion, lostVersion } = request;
    const mayBeginAnew = dataspace.durable || storedVersion !== undefined;
    if (mayBeginAnew && !page.fenced) this.fence(dataspace, page, request);
    else if (!page.fenced || storedVersion === undefined || lostVersion !== page.version)
      this.out.refuse(dataspace.id, page, request, page.withdrawn ? 'WITHDRAWN' : 'LOST', page.version);
    else this.beginStored(dataspace, page, request.holder, storedVersion);
  }

  private fence(dataspace: Dataspace, page: Page, request: Request): void {
    let unacked = NO_HOLDERS;
    for (const holder of this.holders.keys()) unacked = withHolder(unacked, holder);
    this.change(dataspace, page, request, {
      version: page.version + 1,
      source: 0,
      unacked,
      fence: true,
    });
  }

  private fenced(dataspace: Dataspace, page: Page, change: Change): void {
    this.changing.delete(page);
    page.change = undefined;
    page.version = change.version;
    page.fenced = true;
    if (change.request !== FOR_NOBODY) this.begin(dataspace, page, change.request);
    this.serveQueue(dataspace, page);
  }

  // Later than what was lost and than what is stored: whoever still syncs either of these changes nothing.
  private beginStored(dataspace: Dataspace, page: Page, holder: HolderId, storedVersion: number): void {
    become(page, holder, Math.max(page.version, storedVersion) + 1);
    page.lost = false;
    page.fenced = false;
    page.stored = true;
    this.grant(dataspace, page, holder, 'MODIFIED', false);
  }

  // Of a page that nobody else ever asked for its creator has all permissions, unless it lost the dataspace.
  private hasForgotten(page: Page, asker: HolderId): boolean {
    const isPlain = page.version === 0 && page.exclusive && !page.zero && !page.restore && !page.stored;
    return !this.home && page.owner === asker && isPlain;
  }

  private loseAsked(dataspace: Dataspace, page: Page, request: Request): void {
    lose(page);
    this.beginLost(dataspace, page, request);
  }

  private beginRead(dataspace: Dataspace, page: Page, request: Request): void {
    const reader = request.holder;
    if (this.hasForgotten(page, reader)) {
      this.loseAsked(dataspace, page, request);
    } else if (page.owner === reader) {
      this.grant(dataspace, page, reader, page.exclusive ? 'EXCLUSIVE' : 'MASTER', page.zero);
    } else if (page.sharers.includes(reader) && !dataspace.borrowed && !this.lenders.has(reader)) {
      this.grant(dataspace, page, reader, page.owner === 0 ? 'SHARED' : 'SLAVE', false);
    } else if (page.owner !== 0) {
      this.change(dataspace, page, request, {
        version: page.version,
        source: page.owner,
        unacked: NO_HOLDERS,
      });
    } else if (this.lenders.has(reader)) {
      this.out.refuse(dataspace.id, page, request, 'LOST', page.version);
    } else if (page.sharers.length === 0 && request.alone) {
      page.owner = reader;
      page.exclusive = true;
      page.version++;
      page.zero = !this.home;
      this.grant(dataspace, page, reader, 'EXCLUSIVE', page.zero);
    } else {
      assert(this.home, 'without an owner only the home can supply the data');
      page.sharers = withHolder(page.sharers, reader);
      this.grant(dataspace, page, reader, 'SHARED', false);
    }
  }

  private beginWrite(dataspace: Dataspace, page: Page, request: Request): void {
    const writer = request.holder;
    if (this.hasForgotten(page, writer)) {
      this.loseAsked(dataspace, page, request);
      return;
    }
    let others = withoutHolder(page.sharers, writer);
    if (page.owner === writer && page.exclusive) {
      this.grant(dataspace, page, writer, 'MODIFIED', page.zero);
      return;
    }
    const hasCopy = page.owner === writer || page.sharers.includes(writer) || this.home;
    const version = page.version + 1;
    if (page.owner !== 0 && page.owner !== writer && hasCopy) others = withHolder(others, page.owner);
    const source = hasCopy ? 0 : page.owner;
    if (source === 0 && others.length === 0) {
      const zero = !this.home && page.owner === 0 && page.sharers.length === 0;
      become(page, writer, version);
      page.zero = zero;
      this.grant(dataspace, page, writer, 'MODIFIED', zero);
      return;
    }
    this.change(dataspace, page, request, { version, source, unacked: others });
  }

  private change(
    dataspace: Dataspace,
    page: Page,
    request: Request,
    plan: { version: number; source: HolderId; unacked: HolderSet; fence?: boolean },
  ): void {
    const { fence = false } = plan;
    page.change = {
      request,
      fence,
      version: plan.version,
      source: plan.source,
      unacked: plan.unacked,
      dataPending: plan.source !== 0,
      grantPending: request.mode === 'WRITE' && plan.unacked.length > 0 && !fence,
      sentAtMs: this.nowMs,
      resends: 0,
    };
    this.changing.set(page, dataspace);
    this.sendChange(dataspace, page, page.change, false);
  }

  private sendChange(dataspace: Dataspace, page: Page, change: Change, resend: boolean): void {
    // The grant by which the source was to take the page back may be lost.
    if (change.dataPending && page.restore) this.grantBack(dataspace, page);
    if (change.dataPending) {
      const identity = this.holders.get(change.request.holder);
      assert(identity !== undefined, 'the requester of a change has not left');
      this.out.recall(dataspace.id, page, change, identity);
    }
    if (change.unacked.length > 0) this.out.invalidate(dataspace.id, page, change, resend);
    if (resend) this.out.counters.resends++;
  }

  /** An ack of the change under way. */
  ack(dataspace: Dataspace, page: Page, change: Change, event: Pick<Ack, 'holder' | 'kind'>): void {
    if (event.kind === 'INVALIDATED') change.unacked = withoutHolder(change.unacked, event.holder);
    else if (event.kind === 'RECEIVED' && event.holder === change.request.holder) change.dataPending = false;
    // At a home the data never moves: that the owner lost its access is all that was asked.
    else if (event.kind === 'SENT' && this.home && event.holder === change.source) change.dataPending = false;
    else if (isAbsent(event.kind) && event.holder === change.source) {
      this.sourceLost(dataspace, page, change, event.kind === 'WITHDRAWN');
      return;
    } else if (event.kind === 'DECLINED') {
      if (mayDecline(dataspace, change, event.holder)) this.decline(dataspace, page, change);
      return;
    }
    this.advance(dataspace, page, change);
  }

  // Who lends the page here has to take it back, and what it would wait for waits for it: so that goes first, and the change is looked at
  // anew. Some may have dropped their copies for it, and nobody got the page by it to write: versions go on behind its own. Who was to read
  // it may have got it, and counts as if.
  private decline(dataspace: Dataspace, page: Page, change: Change): void {
    this.changing.delete(page);
    page.change = undefined;
    const { mode, holder } = change.request;
    page.version = mode === 'WRITE' ? change.version : change.version + 1;
    if (mode === 'READ') {
      page.sharers = withHolder(page.sharers, holder);
      page.exclusive = false;
    }
    const isTheirs = ({ holder }: Request): boolean => holder === dataspace.creator;
    const others = page.queue.filter((request) => !isTheirs(request));
    const again = others.some((each) => isTwin(each, change.request)) ? [] : [change.request];
    page.queue = [...page.queue.filter(isTheirs), ...others, ...again];
    this.serveQueue(dataspace, page);
  }

  /** Whose pages nobody lends any more: nodes lose what they have of them. Home has those that no node had to write. */
  loseBorrowed(dataspace: Dataspace, page: Page): void {
    if (page.lost || page.change?.fence === true) return;
    const { change } = page;
    const isUnwritten = page.owner === dataspace.creator && change?.request.mode !== 'WRITE';
    if (change !== undefined) {
      this.changing.delete(page);
      page.change = undefined;
      page.version = change.version;
      page.queue = [change.request, ...page.queue];
    }
    this.ownerLost(dataspace, page, isUnwritten);
  }

  private advance(dataspace: Dataspace, page: Page, change: Change): void {
    const { request } = change;
    if (change.grantPending && change.unacked.length === 0) {
      change.grantPending = false;
      this.out.grant(dataspace.id, page, {
        holder: request.holder,
        state: 'MODIFIED',
        version: change.version,
      });
    }
    if (change.unacked.length > 0 || change.dataPending) return;
    if (change.fence) {
      this.fenced(dataspace, page, change);
      return;
    }
    this.changing.delete(page);
    page.change = undefined;
    if (isSparing(change)) {
      page.version = change.version;
      // That dropped it, or died meanwhile.
      if (page.owner === 0) this.ownerLost(dataspace, page);
    } else if (request.mode === 'WRITE') become(page, request.holder, change.version);
    else this.share(dataspace, page, change);
    if (change.source !== 0 && request.mode === 'WRITE' && !this.home) {
      this.out.settled(dataspace.id, page, change.source, change.version);
    }
    this.serveQueue(dataspace, page);
  }

  /** A holder could do without its copy: it is taken from it where others have the page. */
  spare(dataspace: Dataspace, page: Page, holder: HolderId): void {
    if (!canSpare(page, holder, this.lenders)) return;
    if (page.owner === holder) page.owner = 0;
    page.sharers = withoutHolder(page.sharers, holder);
    const unacked = withHolder(NO_HOLDERS, holder);
    this.change(dataspace, page, SPARED, { version: page.version + 1, source: 0, unacked });
  }

  private share(dataspace: Dataspace, page: Page, change: Change): void {
    const reader = change.request.holder;
    page.exclusive = false;
    page.zero = false;
    page.stored = false;
    page.restore = false;
    page.sharers = withHolder(page.sharers, reader);
    if (!this.home) return;
    page.sharers = withHolder(page.sharers, page.owner);
    page.owner = 0;
    this.grant(dataspace, page, reader, 'SHARED', false);
  }

  serveQueue(dataspace: Dataspace, page: Page): void {
    while (page.change === undefined) {
      const [request, ...rest] = page.queue;
      if (request === undefined) return;
      page.queue = rest.length === 0 ? NO_REQUESTS : rest;
      if (this.holders.has(request.holder)) this.begin(dataspace, page, request);
    }
  }

  private grant(dataspace: Dataspace, page: Page, holder: HolderId, state: PageState, zero: boolean): void {
    const stored = page.stored && holder === page.owner;
    this.out.grant(dataspace.id, page, { holder, state, version: page.version, zero, stored });
  }

  // Only a holder that does not use the page heeds it, so it may be said again.
  grantBack(dataspace: Dataspace, page: Page): void {
    const { owner: holder, version } = page;
    const state = page.exclusive ? 'MODIFIED' : 'MASTER';
    this.out.grant(dataspace.id, page, { holder, state, version, restore: true });
  }

  /** What was lost on the way is said again. */
  tick(nowMs: number): void {
    assert(this.changing.size === 0 || nowMs >= this.nowMs, 'time goes forward');
    this.nowMs = nowMs;
    for (const [page, dataspace] of this.changing) {
      const change = page.change;
      assert(change !== undefined, 'a page that changes has a change');
      const firstMs = change.unacked.length > 0 ? INVALIDATE_AGAIN_MS : RECALL_AGAIN_MS;
      const pauseMs = Math.min(firstMs * 2 ** change.resends, AGAIN_MAX_MS);
      if (nowMs - change.sentAtMs < pauseMs) continue;
      change.sentAtMs = nowMs;
      change.resends++;
      this.sendChange(dataspace, page, change, true);
    }
  }

  /** What becomes of a page without one of its holders. */
  leave(dataspace: Dataspace, page: Page, holder: HolderId): void {
    page.sharers = withoutHolder(page.sharers, holder);
    if (page.queue.length > 0) page.queue = page.queue.filter((r) => r.holder !== holder);
    const change = page.change;
    if (change !== undefined && change.request.holder === holder) {
      this.requesterLost(dataspace, page, change);
    } else if (change !== undefined && change.source === holder && change.dataPending) {
      this.sourceLost(dataspace, page, change);
    } else {
      if (page.owner === holder && change === undefined) this.ownerLost(dataspace, page);
      // During a write the old owner no longer matters: the writer has the data.
      else if (page.owner === holder) page.owner = 0;
      if (change?.unacked.includes(holder)) {
        change.unacked = withoutHolder(change.unacked, holder);
        this.advance(dataspace, page, change);
      }
    }
  }

  private requesterLost(dataspace: Dataspace, page: Page, change: Change): void {
    this.changing.delete(page);
    page.change = undefined;
    // Whoever has it after all has it at the version of the change at most.
    page.version = change.version;
    // A writer that died may have had the only copy already; a reader took nothing away.
    if (change.fence) page.fenced = false;
    else if (change.request.mode === 'WRITE' && !this.home) {
      if (change.source !== 0) this.out.settled(dataspace.id, page, change.source, change.version);
      lose(page);
      if (dataspace.borrowed) this.fence(dataspace, page, FOR_NOBODY);
    } else {
      // The reader may have had its copy, and stored it: what the owner writes next is later than that.
      if (!this.home) {
        page.version++;
        // It did not answer the recall: the grant before it may be lost, too, and was of an earlier version.
        page.restore = true;
      }
      if (page.owner === change.request.holder) this.ownerLost(dataspace, page);
    }
    this.serveQueue(dataspace, page);
  }

  // The owner died, or has nothing, before its data arrived at the requester.
  private sourceLost(dataspace: Dataspace, page: Page, change: Change, withdrawn = false): void {
    this.changing.delete(page);
    page.change = undefined;
    page.version = change.version;
    page.queue = [change.request, ...page.queue];
    // Sharers that were told to drop their copies for this change may have done so.
    if (change.request.mode === 'WRITE') page.sharers = NO_HOLDERS;
    this.ownerLost(dataspace, page, withdrawn);
    this.serveQueue(dataspace, page);
  }

  /** Another holder inherits the page, or it is lost. @param withdrawn its home has it */
  ownerLost(dataspace: Dataspace, page: Page, withdrawn = false): void {
    page.owner = 0;
    page.exclusive = false;
    page.restore = false;
    if (this.home) return;
    const heir = page.sharers.find((sharer) => !this.lenders.has(sharer));
    if (heir === undefined || dataspace.borrowed) {
      lose(page, withdrawn && dataspace.borrowed);
      // What its creator had was lent to it, and is lent no more.
      if (dataspace.borrowed) this.fence(dataspace, page, FOR_NOBODY);
      return;
    }
    page.sharers = withoutHolder(page.sharers, heir);
    page.owner = heir;
    this.grant(dataspace, page, heir, 'MASTER', false);
  }
}

/** An owner has the page no more. */
export const isAbsent = (kind: Ack['kind']): boolean => kind === 'ABSENT' || kind === 'WITHDRAWN';

const isTwin = (a: Request, b: Request): boolean => a.holder === b.holder && a.mode === b.mode;

// Of what it answered it has nothing to take back any more.
function mayDecline(dataspace: Dataspace, change: Change, holder: HolderId): boolean {
  if (!dataspace.borrowed || holder !== dataspace.creator || change.fence) return false;
  return change.source === holder ? change.dataPending : change.unacked.includes(holder);
}
