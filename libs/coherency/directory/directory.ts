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
  type RunsOf,
  unreachable,
  wholeDataspace,
} from '../page.ts';
import { RunMap } from '../run-map.ts';
import type { DirectoryAction, DirectoryEvent } from './directory-messages.ts';
import { type DirectoryCounters, DirectoryOutbox } from './directory-outbox.ts';
import { DirectoryRebuild } from './directory-rebuild.ts';
import { gaps, remainingRuns } from './directory-retire.ts';
import { withoutHolder } from './holder-set.ts';
import { isAbsent, PageChanges } from './page-changes.ts';
import { type Dataspace, type Page, plainPage, type Request, type Usage, usageOf } from './page-table.ts';

export interface DirectoryOptions {
  /**
   * True: the data is at the directory itself (a node's frames), so a recall only takes access away.
   * False: the data is at the holders, and a recall makes the owner send it to the receiver.
   */
  home: boolean;
}

type Ack = Extract<DirectoryEvent, { type: 'ack' }>;

const NO_ACTIONS: DirectoryAction[] = [];
const NO_USAGE: Usage = { owned: new Map(), lost: 0, entries: 0 };

export class Directory {
  private readonly home: boolean;
  private readonly dataspaces = new Map<bigint, Dataspace>();
  private readonly holders = new Map<HolderId, HolderIdentity>();
  /** Those of them that own nothing. */
  private readonly lenders = new Set<HolderId>();
  private readonly out = new DirectoryOutbox();
  private readonly rebuild = new DirectoryRebuild();
  private readonly changes: PageChanges;

  constructor(options: DirectoryOptions) {
    this.home = options.home;
    this.changes = new PageChanges(options.home, this.holders, this.lenders, this.out);
  }

  get counters(): Readonly<DirectoryCounters> {
    return this.out.counters;
  }

  /** Pages, or runs of them, that go from one holder to another. */
  get pagesChanging(): number {
    return this.changes.size;
  }

  /** Applies one event. The same sequence of events gives the same actions. */
  step(event: DirectoryEvent): DirectoryAction[] {
    if (event.type === 'tick' && this.changes.size === 0) {
      this.changes.tick(event.nowMs);
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
        if (event.lender) this.lenders.add(event.holder);
        break;
      case 'dies':
        this.dies(event.holder);
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
        this.changes.tick(event.nowMs);
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

  /** Runs of pages that have an entry, in order, from a page on. No event may come meanwhile. */
  runsFrom(id: bigint, page: number): Iterable<Readonly<Page>> {
    return this.dataspaces.get(id)?.pages.from(page) ?? [];
  }

  /** Pages that are lost, of those that have an entry; in order. */
  lostRuns(id: bigint): PageRun[] {
    return [...(this.dataspaces.get(id)?.pages ?? [])]
      .filter(({ lost, withdrawn }) => lost && !withdrawn)
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
      borrowed: event.borrowed ?? false,
      pages: new RunMap((from, to) => this.cutPage(from, to)),
    });
  }

  private remove(id: bigint): void {
    const dataspace = this.dataspaces.get(id);
    if (dataspace === undefined) return;
    for (const page of dataspace.pages) {
      this.changes.forget(page);
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
    for (const piece of dataspace.pages.pieces(span.firstPage, span.pageCount)) {
      if (speculative && this.wouldDisturb(dataspace, piece.entry, request)) {
        this.out.refuse(dataspace.id, piece, request, 'SKIPPED');
        continue;
      }
      const page = this.cut(dataspace, piece);
      if (page.change === undefined) this.changes.begin(dataspace, page, request);
      else this.changes.enqueue(dataspace, page, request);
    }
  }

  // The entry of exactly these pages, which are of one entry or of none.
  private cut(dataspace: Dataspace, { firstPage, pageCount }: PageSpan): Page {
    return dataspace.pages.cut(firstPage, pageCount, (first, count) => plainPage(dataspace, first, count));
  }

  private cutPage(from: Page, to: Page): void {
    this.changes.cut(from, to);
    this.rebuild.cut(from, to);
  }

  // A speculative page must not be taken from a writer, nor wait for one; and for writing it is taken from nobody: who reads
  // it would lose it to a write that may never come.
  private wouldDisturb(dataspace: Dataspace, page: Page | undefined, { holder, mode }: Request): boolean {
    const isOthers = page === undefined ? this.isCreators(dataspace, holder) : isUsedByOthers(page, holder);
    if (mode === 'WRITE' && isOthers) return true;
    if (page === undefined) return dataspace.creatorLost;
    // Who borrowed a page and has it alone writes nothing.
    const isBorrowers = dataspace.borrowed && page.owner === dataspace.creator;
    const isWriters = page.exclusive && page.owner !== holder && !isBorrowers;
    return page.change !== undefined || page.lost || isWriters;
  }

  // Pages that nobody asked for are all their creator's, who may use them without a word.
  private isCreators({ creator }: Dataspace, asker: HolderId): boolean {
    return !this.home && creator !== asker;
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

  private ack(event: Ack): void {
    const dataspace = this.dataspaces.get(event.run.dataspace);
    if (dataspace === undefined) return;
    const { firstPage, pageCount } = event.run;
    for (const piece of dataspace.pages.pieces(firstPage, pageCount)) {
      if (event.kind === 'SPARED') {
        this.spare(dataspace, piece.entry, event.holder);
        continue;
      }
      if (this.isForfeit(dataspace, piece.entry, event)) {
        const page = this.cut(dataspace, piece);
        this.changes.ownerLost(dataspace, page, event.kind === 'WITHDRAWN');
        continue;
      }
      // Anything else is the echo of a change that is over.
      if (piece.entry?.change?.version !== event.version) continue;
      const page = this.cut(dataspace, piece);
      this.changes.ack(dataspace, page, page.change!, event);
    }
    dataspace.pages.join(firstPage, pageCount);
  }

  // Of a page that nobody asked for there is one copy; and what is borrowed its gateway takes back as it has to.
  private spare(dataspace: Dataspace, page: Page | undefined, holder: HolderId): void {
    if (page === undefined || dataspace.borrowed || this.home) return;
    this.changes.spare(dataspace, page, holder);
  }

  // A gateway, or who has a page by one, says that it has it no more, or gave it up before it was its own.
  private isForfeit(
    { borrowed }: Dataspace,
    page: Page | undefined,
    { holder, version, kind }: Ack,
  ): boolean {
    if (page === undefined || !isAbsent(kind) || !(borrowed || this.lenders.has(holder))) return false;
    return page.owner === holder && page.change === undefined && page.version === version;
  }

  // Before its death is noted, and whoever else dies meanwhile: nobody may have for longer what it borrowed.
  private dies(holder: HolderId): void {
    for (const dataspace of this.dataspaces.values()) {
      if (!dataspace.borrowed || dataspace.creator !== holder) continue;
      dataspace.creatorLost = true;
      // It does not count as gone yet: else what waits for its answer would go on.
      for (const page of dataspace.pages) this.changes.loseBorrowed(dataspace, page);
      dataspace.pages.joinAll();
    }
  }

  private leave(holder: HolderId): void {
    this.holders.delete(holder);
    this.lenders.delete(holder);
    for (const dataspace of this.dataspaces.values()) {
      if (dataspace.creator === holder && !this.home) dataspace.creatorLost = true;
      for (const page of dataspace.pages) this.changes.leave(dataspace, page, holder);
      dataspace.pages.joinAll();
    }
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
        if (page.owner === 0 || this.mayBeOutdated(page)) this.changes.ownerLost(dataspace, page);
        else if (this.rebuild.keptOf(page)?.by === page.owner) {
          page.restore = true;
          this.changes.grantBack(dataspace, page);
        }
      }
    }
    this.rebuild.end();
    for (const { pages } of this.dataspaces.values()) pages.joinAll();
  }
}

const isUsedByOthers = ({ owner, sharers }: Page, holder: HolderId): boolean =>
  (owner !== 0 && owner !== holder) || sharers.some((sharer) => sharer !== holder);
