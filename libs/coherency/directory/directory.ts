// The directory: a pure state machine. Events in, actions out; no clock, no socket, no await.
// The model and its table stand in page.ts. Its caller must
//   1. deliver actions to one holder in the order in which they come out,
//   2. feed `leave` only when that holder can no longer read or write what it held,
//   3. feed `tick` now and then, so that what was lost on the way is sent again.
import assert from 'node:assert/strict';
import {
  type HolderId,
  type HolderIdentity,
  type PageRun,
  type PageSpan,
  type PageState,
  type RunsOf,
  unreachable,
  wholeDataspace,
} from '../page.ts';
import { RunMap } from '../run-map.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';
import { type DirectoryCounters, DirectoryOutbox } from './directory-outbox.ts';
import { DirectoryRebuild } from './directory-rebuild.ts';
import { gaps, remainingRuns } from './directory-retire.ts';
import { type HolderSet, NO_HOLDERS, withHolder, withoutHolder } from './holder-set.ts';
import {
  become,
  type Change,
  type Dataspace,
  lose,
  NO_REQUESTS,
  type Page,
  plainPage,
  type Request,
  type Usage,
  usageOf,
} from './page-table.ts';

/** After this long without an ack an invalidation is sent again: the broadcast may have lost it. */
export const INVALIDATE_AGAIN_MS = 100;
/** A recall and its data travel on streams, which lose nothing unless they break. */
export const RECALL_AGAIN_MS = 1_000;
/** The pause between resends grows up to this. */
const AGAIN_MAX_MS = 2_000;

export interface DirectoryOptions {
  /**
   * True: the data is at the directory itself (a node's frames), so a recall only takes access away.
   * False: the data is at the holders, and a recall makes the owner send it to the receiver.
   */
  home: boolean;
}

const NO_ACTIONS: DirectoryAction[] = [];
const NO_USAGE: Usage = { owned: new Map(), lost: 0, entries: 0 };

export class Directory {
  private readonly home: boolean;
  private readonly dataspaces = new Map<bigint, Dataspace>();
  private readonly holders = new Map<HolderId, HolderIdentity>();
  private readonly changing = new Map<Page, Dataspace>();
  private nowMs = 0;
  private readonly out = new DirectoryOutbox();
  private readonly rebuild = new DirectoryRebuild();

  constructor(options: DirectoryOptions) {
    this.home = options.home;
  }

  get counters(): Readonly<DirectoryCounters> {
    return this.out.counters;
  }

  /** Applies one event. The same sequence of events gives the same actions. */
  step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type === 'tick' && this.changing.size === 0) {
      this.nowMs = event.nowMs;
      return NO_ACTIONS;
    }
    this.out.begin();
    switch (event.type) {
      case 'create':
        this.create(event);
        break;
      case 'remove':
        this.remove(event.dataspace);
        break;
      case 'join':
        this.holders.set(event.holder, event.identity ?? BigInt(event.holder));
        break;
      case 'leave':
        this.leave(event.holder);
        break;
      case 'acquire':
        this.acquire(event);
        break;
      case 'ack':
        this.ack(event);
        break;
      case 'release':
        this.release(event);
        break;
      case 'report':
        if (event.reborn) this.rebuild.reborn(event.holder);
        for (const id of event.voided) {
          const dataspace = this.dataspaces.get(id);
          if (dataspace?.creator === event.holder) dataspace.creatorLost = true;
        }
        for (const held of event.held) {
          const dataspace = this.dataspaces.get(held.run.dataspace);
          if (dataspace !== undefined) this.rebuild.report(dataspace, event.holder, held, this.out);
        }
        break;
      case 'rebuilt':
        this.rebuilt();
        break;
      case 'tick':
        this.tick(event.nowMs);
        break;
      default:
        unreachable(event);
    }
    return this.out.take();
  }

  /**
   * A holder wants to leave, and can no longer read or write what it held. It leaves unless pages remain that would be
   * lost by that: others must get copies of those first.
   * @param runsOf the pages of a dataspace that this directory is for; all, unless told otherwise
   * @returns the first of the remaining pages; none: it has left, and who inherits is told by the actions
   */
  retire(
    holder: HolderId,
    runsOf: RunsOf = wholeDataspace,
  ): { remaining: PageRun[]; actions: DirectoryAction[] } {
    const remaining = remainingRuns(this.dataspaces.values(), holder, runsOf);
    const actions = remaining.length > 0 ? [] : this.step({ type: 'leave', holder });
    return { remaining, actions };
  }

  /** Pages by owner, lost pages, and pages that have an entry, of a dataspace. */
  usage(id: bigint): Usage {
    const dataspace = this.dataspaces.get(id);
    return dataspace === undefined ? NO_USAGE : usageOf(dataspace);
  }

  /** Pages that are lost, of those that have an entry; in order. */
  lostRuns(id: bigint): PageRun[] {
    return [...(this.dataspaces.get(id)?.pages ?? [])]
      .filter(({ lost }) => lost)
      .map(({ firstPage, pageCount }) => ({ dataspace: id, firstPage, pageCount }));
  }

  /** The parts of a run that nobody has asked for. */
  plainRuns(run: PageRun): PageRun[] {
    const dataspace = this.dataspaces.get(run.dataspace);
    return dataspace === undefined ? [run] : gaps(run, dataspace.pages);
  }

  /** True where a dataspace was created and not removed. */
  has(id: bigint): boolean {
    return this.dataspaces.has(id);
  }

  /** True where somebody has a page that was asked for. */
  isHeld(id: bigint, number: number): boolean {
    const page = this.dataspaces.get(id)?.pages.get(number);
    return page !== undefined && (page.owner !== 0 || page.sharers.length > 0);
  }

  /** What the directory knows of one page, for checkers and transcripts. */
  inspect(
    id: bigint,
    number: number,
  ): {
    owner: HolderId;
    exclusive: boolean;
    sharers: HolderId[];
    version: number;
    lost: boolean;
    busy: boolean;
  } {
    const dataspace = this.dataspaces.get(id);
    assert(dataspace !== undefined, `no dataspace ${id}`);
    const page = dataspace.pages.get(number) ?? plainPage(dataspace, number, 1);
    return {
      owner: page.owner,
      exclusive: page.exclusive,
      sharers: [...page.sharers],
      version: page.version,
      lost: page.lost,
      busy: page.change !== undefined,
    };
  }

  private create(event: Extract<DirectoryEvent, { type: 'create' }>): void {
    assert(!this.dataspaces.has(event.dataspace), `dataspace ${event.dataspace} exists`);
    this.dataspaces.set(event.dataspace, {
      id: event.dataspace,
      pageCount: event.pageCount,
      creator: event.creator,
      creatorLost: event.creatorLost ?? false,
      durable: event.durable ?? false,
      pages: new RunMap((from, to) => this.cutPage(from, to)),
    });
  }

  private remove(id: bigint): void {
    const dataspace = this.dataspaces.get(id);
    if (dataspace === undefined) return;
    for (const page of dataspace.pages) {
      this.changing.delete(page);
      if (page.change) this.out.refuse(dataspace.id, page, page.change.request, 'NO_DATASPACE');
      for (const request of page.queue) this.out.refuse(dataspace.id, page, request, 'NO_DATASPACE');
    }
    this.dataspaces.delete(id);
  }

  private acquire(event: Extract<DirectoryEvent, { type: 'acquire' }>): void {
    const { holder, run, mode, neededPages, alone, storedVersion, lostVersion } = event;
    assert(this.holders.has(holder), `acquire of an unknown holder ${holder}`);
    this.out.counters.acquires++;
    const dataspace = this.dataspaces.get(run.dataspace);
    const request = { holder, mode, alone, storedVersion, lostVersion };
    const known =
      dataspace === undefined ? 0 : Math.max(0, Math.min(run.pageCount, dataspace.pageCount - run.firstPage));
    const needed = Math.min(known, Math.max(0, neededPages));
    if (dataspace !== undefined) {
      const { firstPage } = run;
      this.acquireSpan(dataspace, { firstPage, pageCount: needed }, request, false);
      if (needed < known) {
        const speculative = { firstPage: firstPage + needed, pageCount: known - needed };
        this.acquireSpan(dataspace, speculative, request, true);
      }
      dataspace.pages.join(firstPage, known);
    }
    if (known < run.pageCount) {
      const unknown = { firstPage: run.firstPage + known, pageCount: run.pageCount - known };
      this.out.refuse(run.dataspace, unknown, request, 'NO_DATASPACE');
    }
  }

  private acquireSpan(dataspace: Dataspace, span: PageSpan, request: Request, speculative: boolean): void {
    const { holder } = request;
    for (const piece of dataspace.pages.pieces(span.firstPage, span.pageCount)) {
      if (speculative && this.wouldDisturb(dataspace, piece.entry, request)) {
        this.out.refuse(dataspace.id, piece, request, 'SKIPPED');
        continue;
      }
      const page = this.cut(dataspace, piece);
      // An owner that asks may not know yet that it is one: without the bytes it kept a later grant is of no use.
      if (page.restore && page.owner === holder) this.grantBack(dataspace, page);
      if (page.change === undefined) this.begin(dataspace, page, request);
      else this.enqueue(page, request);
    }
  }

  // The entry of exactly these pages, which are of one entry or of none.
  private cut(dataspace: Dataspace, { firstPage, pageCount }: PageSpan): Page {
    return dataspace.pages.cut(firstPage, pageCount, (first, count) => plainPage(dataspace, first, count));
  }

  private cutPage(from: Page, to: Page): void {
    const dataspace = this.changing.get(from);
    if (dataspace !== undefined) this.changing.set(to, dataspace);
    this.rebuild.cut(from, to);
  }

  // A speculative page must not be taken from a writer, nor wait for one; and for writing it is taken from nobody: who reads
  // it would lose it to a write that may never come.
  private wouldDisturb(dataspace: Dataspace, page: Page | undefined, { holder, mode }: Request): boolean {
    const isOthers = page === undefined ? this.isCreators(dataspace, holder) : isUsedByOthers(page, holder);
    if (mode === 'WRITE' && isOthers) return true;
    if (page === undefined) return dataspace.creatorLost;
    return page.change !== undefined || page.lost || (page.exclusive && page.owner !== holder);
  }

  // Pages that nobody asked for are all their creator's, who may use them without a word.
  private isCreators({ creator }: Dataspace, asker: HolderId): boolean {
    return !this.home && creator !== asker;
  }

  private enqueue(page: Page, request: Request): void {
    const twin = (r: Request) => r.holder === request.holder && r.mode === request.mode;
    // Also what the change under way is for: who asks again may have lost its grant with a stream.
    if (!page.queue.some(twin)) page.queue = [...page.queue, request];
  }

  private begin(dataspace: Dataspace, page: Page, request: Request): void {
    assert(page.change === undefined, 'one change at a time');
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
      this.out.refuse(dataspace.id, page, request, 'LOST', page.version);
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
    this.begin(dataspace, page, change.request);
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
    } else if (page.sharers.includes(reader)) {
      this.grant(dataspace, page, reader, page.owner === 0 ? 'SHARED' : 'SLAVE', false);
    } else if (page.owner !== 0) {
      this.change(dataspace, page, request, {
        version: page.version,
        source: page.owner,
        unacked: NO_HOLDERS,
      });
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

  private release({ holder, run }: Extract<DirectoryEvent, { type: 'release' }>): void {
    assert(this.home, 'at a holder the data would go with the permission');
    const dataspace = this.dataspaces.get(run.dataspace);
    if (dataspace === undefined) return;
    for (const piece of dataspace.pages.pieces(run.firstPage, run.pageCount)) {
      if (piece.entry === undefined) continue;
      const page = this.cut(dataspace, piece);
      page.sharers = withoutHolder(page.sharers, holder);
      if (page.owner !== holder) continue;
      page.owner = 0;
      page.exclusive = false;
    }
    dataspace.pages.join(run.firstPage, run.pageCount);
  }

  private ack(event: Extract<DirectoryEvent, { type: 'ack' }>): void {
    const dataspace = this.dataspaces.get(event.run.dataspace);
    if (dataspace === undefined) return;
    const { firstPage, pageCount } = event.run;
    for (const piece of dataspace.pages.pieces(firstPage, pageCount)) {
      // Anything else is the echo of a change that is over.
      if (piece.entry?.change?.version !== event.version) continue;
      const page = this.cut(dataspace, piece);
      this.ackChange(dataspace, page, page.change!, event);
    }
    dataspace.pages.join(firstPage, pageCount);
  }

  private ackChange(
    dataspace: Dataspace,
    page: Page,
    change: Change,
    event: { holder: HolderId; kind: string },
  ): void {
    if (event.kind === 'INVALIDATED') change.unacked = withoutHolder(change.unacked, event.holder);
    else if (event.kind === 'RECEIVED' && event.holder === change.request.holder) change.dataPending = false;
    // At a home the data never moves: that the owner lost its access is all that was asked.
    else if (event.kind === 'SENT' && this.home && event.holder === change.source) change.dataPending = false;
    else if (event.kind === 'ABSENT' && event.holder === change.source) {
      this.sourceLost(dataspace, page, change);
      return;
    }
    this.advance(dataspace, page, change);
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
    if (request.mode === 'WRITE') become(page, request.holder, change.version);
    else this.share(dataspace, page, change);
    if (change.source !== 0 && request.mode === 'WRITE' && !this.home) {
      this.out.settled(dataspace.id, page, change.source, change.version);
    }
    this.serveQueue(dataspace, page);
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

  private serveQueue(dataspace: Dataspace, page: Page): void {
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
  private grantBack(dataspace: Dataspace, page: Page): void {
    const { owner: holder, version } = page;
    const state = page.exclusive ? 'MODIFIED' : 'MASTER';
    this.out.grant(dataspace.id, page, { holder, state, version, restore: true });
  }

  private tick(nowMs: number): void {
    assert(nowMs >= this.nowMs, 'time goes forward');
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

  private leave(holder: HolderId): void {
    this.holders.delete(holder);
    for (const dataspace of this.dataspaces.values()) {
      if (dataspace.creator === holder && !this.home) dataspace.creatorLost = true;
      for (const page of dataspace.pages) this.leavePage(dataspace, page, holder);
      dataspace.pages.joinAll();
    }
  }

  private leavePage(dataspace: Dataspace, page: Page, holder: HolderId): void {
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
    } else {
      // The reader may have had its copy, and stored it: what the owner writes next is later than that.
      if (!this.home) page.version++;
      if (page.owner === change.request.holder) this.ownerLost(dataspace, page);
    }
    this.serveQueue(dataspace, page);
  }

  // The owner died, or has nothing, before its data arrived at the requester.
  private sourceLost(dataspace: Dataspace, page: Page, change: Change): void {
    this.changing.delete(page);
    page.change = undefined;
    page.version = change.version;
    page.queue = [change.request, ...page.queue];
    // Sharers that were told to drop their copies for this change may have done so.
    if (change.request.mode === 'WRITE') page.sharers = NO_HOLDERS;
    this.ownerLost(dataspace, page);
    this.serveQueue(dataspace, page);
  }

  private ownerLost(dataspace: Dataspace, page: Page): void {
    page.owner = 0;
    page.exclusive = false;
    page.restore = false;
    if (this.home) return;
    const [heir] = page.sharers;
    if (heir === undefined) {
      lose(page);
      return;
    }
    page.sharers = withoutHolder(page.sharers, heir);
    page.owner = heir;
    this.grant(dataspace, page, heir, 'MASTER', false);
  }

  // What was sent on to somebody who is not here any more, or has forgotten it: he may have got it, and written it. A
  // version after the one that he was sent says that he had it, and sent it on to another.
  private mayBeOutdated(page: Page): boolean {
    const kept = this.rebuild.keptOf(page);
    const receiver = kept?.for;
    if (kept === undefined || receiver === undefined) return false;
    if (page.version > kept.version + 1) return true;
    const isHere = [...this.holders].some(
      ([holder, identity]) => identity === receiver && !this.rebuild.isReborn(holder),
    );
    return !isHere;
  }

  // After the reports each page has one owner again, or is lost.
  private rebuilt(): void {
    for (const dataspace of this.dataspaces.values()) {
      for (const page of dataspace.pages) {
        page.sharers = withoutHolder(page.sharers, page.owner);
        // What its readers had of a version they may have stored: a master writes at a later one, as always.
        page.exclusive = page.owner !== 0 && page.sharers.length === 0 && !this.rebuild.isMaster(page);
        if (page.owner === 0 || this.mayBeOutdated(page)) this.ownerLost(dataspace, page);
        else if (this.rebuild.keptOf(page)?.by === page.owner) {
          page.restore = true;
          this.grantBack(dataspace, page);
        }
      }
    }
    this.rebuild.end();
    for (const { pages } of this.dataspaces.values()) pages.joinAll();
  }
}

const isUsedByOthers = ({ owner, sharers }: Page, holder: HolderId): boolean =>
  (owner !== 0 && owner !== holder) || sharers.some((sharer) => sharer !== holder);
