// The holder: a pure state machine, the other side of directory.ts. Its caller must
//   1. perform actions in order, `revoke` before what follows it,
//   2. feed events of one channel in the order of that channel; channels may race each other,
//   3. drop messages of another epoch than the directory's before they come here.
import assert from 'node:assert/strict';
import type { HeldRun } from '../directory/directory-messages.ts';
import { gaps } from '../directory/directory-retire.ts';
import { RunBatch } from '../directory/run-batch.ts';
import {
  type HolderId,
  mayRead,
  mayWrite,
  type PageRun,
  type PageSpan,
  type PageState,
  type RunsOf,
  unreachable,
  wholeDataspace,
} from '../page.ts';
import { endOf, RunMap } from '../run-map.ts';
import { HeldEntry, type HeldPage, newPage } from './held-page.ts';
import type { HolderAction, HolderEvent } from './holder-messages.ts';
import { HolderChanges, type HolderSnapshot, heldRuns } from './holder-snapshot.ts';

type RunwiseAction = Exclude<HolderAction, { type: 'report' }>;
type RunEvent = Extract<HolderEvent, { run: unknown }>;

/** Pages of one message that carries them. */
const SENT_MAX = 64;
const pagesMax = (type: HolderAction['type']): number =>
  type === 'send' || type === 'resend' ? SENT_MAX : Number.POSITIVE_INFINITY;

interface HeldDataspace {
  pageCount: number;
  whole: boolean;
  /** It was granted whole, and that is over: pages that no entry names are nobody's here. */
  voided: boolean;
  pages: RunMap<HeldEntry>;
}

export class Holder {
  private readonly dataspaces = new Map<bigint, HeldDataspace>();
  private batch = new RunBatch<RunwiseAction>(pagesMax);
  private reborn = false;
  private breaks = 0;
  /** Of pages that are not known here. */
  private lineageOfAll = 0;
  private readonly runsOf: RunsOf;
  private changes: HolderChanges | undefined;

  /** @param runsOf the pages of a dataspace that this machine is for; all, unless told otherwise */
  constructor(runsOf: RunsOf = wholeDataspace) {
    this.runsOf = runsOf;
  }

  /** All that is known here, as it is now. */
  snapshot(): HolderSnapshot {
    const { reborn, breaks, lineageOfAll } = this;
    const dataspaces = [...this.dataspaces].map(([dataspace, { pageCount, whole, voided, pages }]) => {
      return { dataspace, pageCount, whole, voided, runs: heldRuns(pages) };
    });
    return { reborn, breaks, lineageOfAll, dataspaces };
  }

  /** The same; and `changed` tells from then on what is new. */
  follow(): HolderSnapshot {
    this.changes = new HolderChanges();
    return this.snapshot();
  }

  /** What is new since `follow`; all, where nobody follows. */
  changed(): HolderSnapshot {
    const { reborn, breaks, lineageOfAll, changes } = this;
    if (changes === undefined) return this.snapshot();
    const dataspaces: HolderSnapshot['dataspaces'] = [];
    const removed: bigint[] = [];
    for (const dataspace of changes.dataspaces()) {
      const held = this.dataspaces.get(dataspace);
      if (held === undefined) {
        removed.push(dataspace);
        continue;
      }
      const { pages, ...about } = held;
      const spans = changes.of(dataspace);
      dataspaces.push({ dataspace, ...about, partial: spans !== undefined, runs: heldRuns(pages, spans) });
    }
    return { reborn, breaks, lineageOfAll, dataspaces, removed };
  }

  /** Nobody wants to know any more what is new. */
  unfollow(): void {
    this.changes = undefined;
  }

  /**
   * Goes on where another machine was; to the directory its stream broke. Again with what changed there meanwhile. Nothing
   * else may be known here.
   */
  resume({ reborn, breaks, lineageOfAll, dataspaces, removed = [] }: HolderSnapshot): void {
    Object.assign(this, { reborn, breaks, lineageOfAll });
    for (const dataspace of removed) this.dataspaces.delete(dataspace);
    for (const { dataspace, runs, partial = false, ...about } of dataspaces) {
      const before = partial ? this.dataspaces.get(dataspace)?.pages : undefined;
      const pages = before ?? new RunMap<HeldEntry>();
      for (const { firstPage, pageCount, page } of runs) {
        pages.take(firstPage, pageCount);
        pages.put(new HeldEntry(firstPage, pageCount, page));
      }
      pages.joinAll();
      this.dataspaces.set(dataspace, { ...about, pages });
    }
  }

  /** Applies one event. The same sequence of events gives the same actions. */
  step(event: HolderEvent): HolderAction[] {
    this.batch = new RunBatch(pagesMax);
    switch (event.type) {
      case 'open':
        this.open(event);
        break;
      case 'remove':
        this.remove(event.dataspace);
        break;
      case 'rejoin':
        return this.rejoin(event.sameDirectory);
      case 'expire':
        this.expire();
        break;
      default:
        this.stepRun(event);
    }
    return this.batch.take();
  }

  /** The length of a dataspace; undefined: it is not known here. */
  pageCount(dataspace: bigint): number | undefined {
    return this.dataspaces.get(dataspace)?.pageCount;
  }

  /** The state of a page here. */
  state(dataspace: bigint, number: number): PageState {
    const held = this.dataspaces.get(dataspace);
    if (held === undefined) return 'INVALID';
    return held.pages.get(number)?.state ?? (held.whole ? 'EXCLUSIVE' : 'INVALID');
  }

  /** The version of a page's copy here. */
  version(dataspace: bigint, number: number): number {
    return this.dataspaces.get(dataspace)?.pages.get(number)?.version ?? 0;
  }

  /** Pages of a dataspace that this holder may be the owner of, in order; but not those of a whole dataspace that nobody asked for. */
  ownedRuns(dataspace: bigint): PageRun[] {
    const batch = new RunBatch<{ type: 'owned'; run: PageRun }>();
    for (const page of this.dataspaces.get(dataspace)?.pages ?? [])
      if (page.state !== 'INVALID' && page.state !== 'SLAVE')
        batch.add('owned', dataspace, page, (run) => ({ type: 'owned', run }));
    return batch.take().map(({ run }) => run);
  }

  /** Pages of a dataspace that was granted whole, and that nobody asked for since. */
  plainRuns(dataspace: bigint): PageRun[] {
    const held = this.dataspaces.get(dataspace);
    if (held === undefined || !held.whole) return [];
    return this.runsOf(dataspace, held.pageCount).flatMap((run) => gaps(run, held.pages));
  }

  /**
   * Grows where a page that was here, or came from here, may have begun anew with older bytes. What was read here and
   * stored is as durable as it seems only while this stays the same, and the lease lasts.
   */
  lineage(dataspace: bigint, number: number): number {
    return this.dataspaces.get(dataspace)?.pages.get(number)?.lineage ?? this.lineageOfAll;
  }

  /** True while what was last heard of a page is that it is LOST at this version, and nothing was asked since. */
  isLost(dataspace: bigint, number: number, version: number): boolean {
    const page = this.dataspaces.get(dataspace)?.pages.get(number);
    if (page === undefined || this.pending(dataspace, number)) return false;
    return page.state === 'INVALID' && page.lostVersion === version;
  }

  /** True while an answer of the directory is awaited. */
  pending(dataspace: bigint, number: number): boolean {
    const page = this.dataspaces.get(dataspace)?.pages.get(number);
    return page !== undefined && (page.readPending || page.writePending);
  }

  private open(event: Extract<HolderEvent, { type: 'open' }>): void {
    if (this.dataspaces.has(event.dataspace)) return;
    this.changes?.all(event.dataspace);
    this.dataspaces.set(event.dataspace, {
      pageCount: event.pageCount,
      whole: event.whole,
      voided: false,
      pages: new RunMap(),
    });
  }

  private remove(dataspace: bigint): void {
    const held = this.dataspaces.get(dataspace);
    if (held === undefined) return;
    this.changes?.all(dataspace);
    this.dataspaces.delete(dataspace);
    for (const run of this.runsOf(dataspace, held.pageCount)) {
      this.dropRun(run);
      const failed: RunwiseAction = { type: 'failed', run, reason: 'NO_DATASPACE', version: 0 };
      this.batch.add('failed', dataspace, run, () => failed);
    }
  }

  private stepRun(event: RunEvent): void {
    const { dataspace, firstPage, pageCount } = event.run;
    const held = this.dataspaces.get(dataspace);
    if (held === undefined) {
      // The dataspace went away while this was under way. A recall or invalidation must not wait for us.
      this.answerUnknown(event);
      return;
    }
    const known = Math.min(pageCount, held.pageCount - firstPage);
    this.expectPossible(event, held, known);
    // A run is needed up to some page and speculative after it.
    const needed = event.type === 'want' ? Math.max(0, Math.min(known, event.neededPages)) : known;
    this.stepSpan(event, dataspace, held, { firstPage, pageCount: needed }, true);
    this.stepSpan(
      event,
      dataspace,
      held,
      { firstPage: firstPage + needed, pageCount: known - needed },
      false,
    );
    held.pages.join(firstPage, known);
  }

  // What no directory may say, whoever it is: nothing comes of it, and the stream on which it came ends.
  // @throws RangeError
  private expectPossible(event: RunEvent, held: HeldDataspace, known: number): void {
    const stored = event.type === 'grant' && event.stored && !event.restore && !event.zero;
    if (!stored && (event.type !== 'invalidate' || event.anew)) return;
    const { dataspace, firstPage } = event.run;
    for (const { firstPage: page, entry } of held.pages.pieces(firstPage, known)) {
      const state = entry?.state ?? (held.whole ? 'EXCLUSIVE' : 'INVALID');
      if ((entry?.version ?? 0) > event.version) continue;
      if (stored && state === 'INVALID' && entry?.storedVersion === undefined)
        throw new RangeError(`page ${page} of ${dataspace} begins with nothing at hand`);
      if (!stored && mayWrite(state) && (entry?.version ?? 0) < event.version)
        throw new RangeError(`page ${page} of ${dataspace} is invalidated in state ${state}`);
    }
  }

  private stepSpan(
    event: RunEvent,
    dataspace: bigint,
    held: HeldDataspace,
    span: PageSpan,
    needed: boolean,
  ): void {
    const plain = newPage(held.whole ? 'EXCLUSIVE' : 'INVALID', this.lineageOfAll);
    const make = (firstPage: number, pageCount: number) => new HeldEntry(firstPage, pageCount, plain);
    for (const piece of held.pages.pieces(span.firstPage, span.pageCount)) {
      if (isMoot(event, piece.entry ?? plain)) continue;
      const page = held.pages.cut(piece.firstPage, piece.pageCount, make);
      this.changes?.span(dataspace, page);
      this.stepPages(event, dataspace, page, needed);
    }
  }

  private answerUnknown(event: RunEvent): void {
    if (event.type === 'recall') this.ack(event.run.dataspace, event.run, event.version, 'ABSENT');
    if (event.type === 'invalidate') this.ack(event.run.dataspace, event.run, event.version, 'INVALIDATED');
  }

  private stepPages(event: RunEvent, dataspace: bigint, page: HeldEntry, needed: boolean): void {
    switch (event.type) {
      case 'want':
        this.want(event, dataspace, page, needed);
        return;
      case 'wrote':
        if (!mayWrite(page.state))
          assert.fail(`page ${page.firstPage} of ${dataspace} was written in state ${page.state}`);
        page.state = 'MODIFIED';
        return;
      case 'grant':
        this.grant(event, dataspace, page);
        return;
      case 'stored':
        this.stored(event, dataspace, page);
        return;
      case 'data':
        this.data(event, dataspace, page);
        return;
      case 'recall':
        this.recall(event, dataspace, page);
        return;
      case 'invalidate':
        this.invalidate(event, dataspace, page);
        return;
      case 'refuse':
        this.refuse(event, dataspace, page);
        return;
      case 'settled':
        this.settled(event, dataspace, page);
        return;
      default:
        unreachable(event);
    }
  }

  private want(
    event: Extract<HolderEvent, { type: 'want' }>,
    dataspace: bigint,
    page: HeldEntry,
    needed: boolean,
  ): void {
    if (event.mode === 'READ') page.readPending = true;
    else page.writePending = true;
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode: event.mode, needed });
    this.batch.add('acquire', dataspace, page, make, needed);
  }

  private grant(event: Extract<HolderEvent, { type: 'grant' }>, dataspace: bigint, page: HeldEntry): void {
    if (event.restore) {
      this.restore(event, dataspace, page);
      return;
    }
    if (event.version < page.version) return;
    if (page.state === 'INVALID' && event.version === page.version)
      this.assumeRestored(dataspace, page, event.version);
    if (event.zero && page.state === 'INVALID') {
      this.install(dataspace, page, true);
    } else if (event.stored && page.state === 'INVALID') {
      assert(
        page.storedVersion !== undefined,
        `page ${page.firstPage} of ${dataspace} begins with nothing at hand`,
      );
      this.batch.add('install-stored', dataspace, page, (run) => ({ type: 'install-stored', run }));
    } else if (page.state === 'INVALID' && page.dataVersion !== event.version) {
      // The data is still under way from the old owner.
      page.grantVersion = event.version;
      return;
    }
    this.take(dataspace, page, event.state, event.version);
  }

  private stored(event: Extract<HolderEvent, { type: 'stored' }>, dataspace: bigint, page: HeldEntry): void {
    // It was lost once more since then, or of another directory, and more may be stored by now.
    const late = event.lostVersion !== page.lostVersion;
    if (late || page.state !== 'INVALID') {
      this.batch.add('ready', dataspace, page, (run) => ({ type: 'ready', run }));
      return;
    }
    page.storedVersion = event.version;
    page.writePending = true;
    this.acquireStored(dataspace, page, event.version, event.lostVersion);
  }

  private take(dataspace: bigint, page: HeldEntry, state: PageState, version: number): void {
    // A silent write may have made it dirty already.
    const keepsDirty = state === 'EXCLUSIVE' && page.state === 'MODIFIED';
    page.state = keepsDirty ? 'MODIFIED' : state;
    page.version = version;
    page.readPending = false;
    if (mayWrite(state)) page.writePending = false;
    page.dataVersion = 0;
    page.grantVersion = 0;
    page.storedVersion = undefined;
    this.batch.add('ready', dataspace, page, (run) => ({ type: 'ready', run }));
  }

  private data(event: Extract<HolderEvent, { type: 'data' }>, dataspace: bigint, page: HeldEntry): void {
    const { state, version } = event;
    const forWrite = state === 'MODIFIED' || state === 'INVALID';
    const repeated = version === page.version && page.state !== 'INVALID';
    if (repeated || (page.dataVersion === version && version !== 0)) {
      this.ack(dataspace, page, version, 'RECEIVED');
      // Sent again when all sharers had gone: the grant came before, and was lost with a stream.
      if (!repeated && state !== 'INVALID') this.take(dataspace, page, state, version);
      return;
    }
    // Also what was asked for under an earlier directory, or twice: the directory decided, and waits for us.
    const stale = version < page.version || (forWrite && version === page.version);
    if (stale || page.state !== 'INVALID') return;
    this.install(dataspace, page, event.zero);
    this.ack(dataspace, page, version, 'RECEIVED');
    if (state !== 'INVALID') this.take(dataspace, page, state, version);
    else if (page.grantVersion === version) this.take(dataspace, page, 'MODIFIED', version);
    else page.dataVersion = version;
  }

  private recall(event: Extract<HolderEvent, { type: 'recall' }>, dataspace: bigint, page: HeldEntry): void {
    const { mode, version, receiver } = event;
    // A resend that a broadcast, or the page itself on its way back, overtook.
    const taken = mode === 'WRITE' && mayRead(page.state) && version === page.version;
    if (version < page.version || taken) return;
    if (page.state === 'INVALID')
      this.assumeGranted(dataspace, page, mode === 'READ' ? version : version - 1);
    if (page.state === 'INVALID') {
      if (page.retainedVersion === version && version !== 0) {
        const state = event.receiverState;
        const make = (run: PageRun): RunwiseAction => ({ type: 'resend', run, receiver, version, state });
        this.batch.add('resend', dataspace, page, make, receiver, version, state);
      } else this.ack(dataspace, page, version, 'ABSENT');
      return;
    }
    const dirty = page.state === 'MODIFIED' || page.state === 'MASTER' || page.state === 'SLAVE';
    if (mode === 'READ') {
      if (mayWrite(page.state)) this.revoke(dataspace, page, 'READ');
      const state = dirty ? 'SLAVE' : 'SHARED';
      page.state = dirty ? 'MASTER' : 'SHARED';
      this.send(dataspace, page, { receiver, version, state, retain: false });
      return;
    }
    const state = event.receiverState;
    this.revoke(dataspace, page, 'READ');
    this.send(dataspace, page, { receiver, version, state, retain: true });
    this.drop(dataspace, page);
    page.state = 'INVALID';
    page.version = version;
    page.retainedVersion = version;
    page.retainedFor = event.receiverIdentity;
  }

  // The directory asks for a page that waits here for its permission: that was given, and lost with a stream.
  private assumeGranted(dataspace: bigint, page: HeldEntry, ownedVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= ownedVersion)
      this.take(dataspace, page, 'MODIFIED', ownedVersion);
    else this.assumeRestored(dataspace, page, ownedVersion);
  }

  // To a new directory a page that was sent on and never arrived is still this holder's.
  private assumeRestored(dataspace: bigint, page: HeldEntry, ownedVersion: number): void {
    const version = page.retainedVersion;
    // Only a report sets the version of the page back to the one before it was sent on.
    if (version === 0 || page.version !== version - 1 || ownedVersion < page.version) return;
    page.retainedVersion = 0;
    this.batch.add('restore', dataspace, page, (run) => ({ type: 'restore', run, version }), version);
    this.take(dataspace, page, 'MASTER', ownedVersion);
  }

  private invalidate(
    event: Extract<HolderEvent, { type: 'invalidate' }>,
    dataspace: bigint,
    page: HeldEntry,
  ): void {
    if (page.version < event.version) {
      if (event.anew) {
        page.lineage = ++this.breaks;
        this.askAnew(dataspace, page);
      }
      if (page.state !== 'INVALID') {
        assert(
          event.anew || !mayWrite(page.state),
          `page ${page.firstPage} of ${dataspace} is invalidated in state ${page.state}`,
        );
        this.revoke(dataspace, page, 'NOTHING');
        this.drop(dataspace, page);
      }
      page.state = 'INVALID';
      page.version = event.version;
      this.forgetKept(dataspace, page, event.version);
    }
    this.ack(dataspace, page, event.version, 'INVALIDATED');
  }

  // What was asked for may have been granted, and that is under way and too late: who waits asks once more.
  private askAnew(dataspace: bigint, page: HeldEntry): void {
    if (!page.readPending && !page.writePending) return;
    page.readPending = page.writePending = false;
    this.batch.add('ready', dataspace, page, (run) => ({ type: 'ready', run }));
  }

  private refuse(event: Extract<HolderEvent, { type: 'refuse' }>, dataspace: bigint, page: HeldEntry): void {
    const { reason, version } = event;
    if (event.mode === 'READ') page.readPending = false;
    else page.writePending = false;
    if (reason === 'LOST' && page.lostVersion !== version) {
      // What is at hand was read before the page was lost this time.
      page.storedVersion = undefined;
      page.lostVersion = version;
    }
    // The page may have begun anew since then, and be here already: data overtakes the stream.
    const refused = reason === 'LOST' ? version : reason === 'NO_DATASPACE' ? Number.POSITIVE_INFINITY : 0;
    if (page.grantVersion <= refused) page.grantVersion = 0;
    if (page.dataVersion <= refused) page.dataVersion = 0;
    // Who came to need a speculative page meanwhile asks again for it.
    if (reason === 'SKIPPED') this.batch.add('ready', dataspace, page, (run) => ({ type: 'ready', run }));
    else
      this.batch.add(
        'failed',
        dataspace,
        page,
        (run) => ({ type: 'failed', run, reason, version }),
        reason,
        version,
      );
  }

  private settled(
    event: Extract<HolderEvent, { type: 'settled' }>,
    dataspace: bigint,
    page: HeldEntry,
  ): void {
    this.forgetKept(dataspace, page, event.version);
  }

  // Somebody has a later version: what is kept of earlier ones is of no use.
  private forgetKept(dataspace: bigint, page: HeldEntry, upToVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= upToVersion) {
      page.dataVersion = 0;
      this.drop(dataspace, page);
    }
    const version = page.retainedVersion;
    if (version === 0 || version > upToVersion) return;
    page.retainedVersion = 0;
    // A report had set it back, in case nobody had got it.
    page.version = Math.max(page.version, version);
    this.batch.add('forget', dataspace, page, (run) => ({ type: 'forget', run, version }), version);
  }

  private revoke(dataspace: bigint, page: PageSpan, keep: 'READ' | 'NOTHING'): void {
    this.batch.add('revoke', dataspace, page, (run) => ({ type: 'revoke', run, keep }), keep);
  }

  // Whole runs, each an action of its own.
  private dropRun(run: PageRun): void {
    this.revoke(run.dataspace, run, 'NOTHING');
    this.drop(run.dataspace, run);
  }

  private drop(dataspace: bigint, page: PageSpan): void {
    this.batch.add('drop', dataspace, page, (run) => ({ type: 'drop', run }));
  }

  private install(dataspace: bigint, page: PageSpan, zero: boolean): void {
    this.batch.add('install', dataspace, page, (run) => ({ type: 'install', run, zero }), zero);
  }

  private send(
    dataspace: bigint,
    page: PageSpan,
    how: { receiver: HolderId; version: number; state: PageState; retain: boolean },
  ): void {
    const { receiver, version, state, retain } = how;
    const make = (run: PageRun): RunwiseAction => ({ type: 'send', run, ...how });
    this.batch.add('send', dataspace, page, make, receiver, version, state, retain);
  }

  private ack(
    dataspace: bigint,
    page: PageSpan,
    version: number,
    kind: 'INVALIDATED' | 'RECEIVED' | 'ABSENT',
  ): void {
    this.batch.add('ack', dataspace, page, (run) => ({ type: 'ack', run, version, kind }), kind, version);
  }

  private rejoin(sameDirectory: boolean): HolderAction[] {
    const report = sameDirectory ? [] : this.report();
    this.batch = new RunBatch(pagesMax);
    for (const [dataspace, space] of this.dataspaces) {
      for (const page of space.pages) {
        if (page.readPending) this.again(dataspace, page, 'READ');
        if (page.storedVersion !== undefined)
          this.acquireStored(dataspace, page, page.storedVersion, page.lostVersion);
        else if (page.writePending) this.again(dataspace, page, 'WRITE');
      }
    }
    return [...report, ...this.batch.take()];
  }

  // A new directory knows nothing: what is under way for the old one is off.
  private report(): HolderAction[] {
    const held: HeldRun[] = [];
    const voided: bigint[] = [];
    for (const [dataspace, space] of this.dataspaces) {
      if (space.voided) voided.push(dataspace);
      this.changes?.all(dataspace);
      for (const page of space.pages) {
        page.grantVersion = 0;
        page.storedVersion = undefined;
        page.lostVersion = 0;
        const reported = appendHeld(held, dataspace, page);
        // What comes from now on is newer than that.
        page.version = reported;
      }
      space.pages.joinAll();
    }
    return [...this.batch.take(), { type: 'report', held, voided, reborn: this.reborn }];
  }

  // What was sent on never arrived anywhere, or arrived here and waited for a grant: it is ours.
  private restore(event: Extract<HolderEvent, { type: 'grant' }>, dataspace: bigint, page: HeldEntry): void {
    // A broadcast of a later change may have come before.
    if (page.state !== 'INVALID' || event.version < page.version) return;
    const version = page.retainedVersion;
    if (page.dataVersion === 0) {
      if (version === 0) return;
      page.retainedVersion = 0;
      this.batch.add('restore', dataspace, page, (run) => ({ type: 'restore', run, version }), version);
    }
    this.take(dataspace, page, event.state, event.version);
  }

  private acquireStored(dataspace: bigint, page: PageSpan, storedVersion: number, lostVersion: number): void {
    const make = (run: PageRun): RunwiseAction => {
      return { type: 'acquire', run, mode: 'WRITE', needed: true, storedVersion, lostVersion };
    };
    this.batch.add('acquire', dataspace, page, make, 'stored', storedVersion, lostVersion);
  }

  private again(dataspace: bigint, page: PageSpan, mode: 'READ' | 'WRITE'): void {
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode, needed: true });
    this.batch.add('acquire', dataspace, page, make, mode);
  }

  private expire(): void {
    this.reborn = true;
    this.lineageOfAll = ++this.breaks;
    for (const [dataspace, space] of this.dataspaces) {
      this.changes?.all(dataspace);
      for (const run of this.runsOf(dataspace, space.pageCount)) this.dropRun(run);
      space.voided ||= space.whole;
      space.whole = false;
      for (const page of space.pages) {
        if (page.readPending || page.writePending)
          this.batch.add('ready', dataspace, page, (r) => ({ type: 'ready', run: r }));
      }
      space.pages.clear();
    }
  }
}

// It would change nothing.
function isMoot(event: RunEvent, { state, readPending, writePending }: HeldPage): boolean {
  if (event.type === 'wrote') return state === 'MODIFIED';
  if (event.type !== 'want') return false;
  if (event.mode === 'READ') return mayRead(state) || readPending || writePending;
  return mayWrite(state) || writePending;
}

/** Returns the version that is reported. */
function appendHeld(held: HeldRun[], dataspace: bigint, page: HeldEntry): number {
  // What arrived and waits for a grant; or what was sent on, one version older than at its receiver, who
  // wins if he reports it.
  const waits = page.state === 'INVALID' && page.dataVersion !== 0;
  const sent = page.state === 'INVALID' && page.retainedVersion !== 0;
  const kept = waits || sent;
  const state = kept ? 'MASTER' : page.state;
  const keptFor = sent && !waits ? page.retainedFor : undefined;
  const version = waits ? page.dataVersion : sent ? page.retainedVersion - 1 : page.version;
  const last = held.at(-1);
  if (
    last !== undefined &&
    last.run.dataspace === dataspace &&
    endOf(last.run) === page.firstPage &&
    last.state === state &&
    last.version === version &&
    last.kept === kept &&
    last.keptFor === keptFor
  ) {
    last.run.pageCount += page.pageCount;
  } else
    held.push({
      run: { dataspace, firstPage: page.firstPage, pageCount: page.pageCount },
      state,
      version,
      kept,
      keptFor,
    });
  return version;
}
