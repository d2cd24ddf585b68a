// The holder: a pure state machine, the other side of directory.ts. Its caller must
//   1. perform actions in order, `revoke` before what follows it,
//   2. feed events of one channel in the order of that channel; channels may race each other,
//   3. drop messages of another epoch than the directory's before they come here.
import assert from 'node:assert/strict';
import type { HeldRun } from './directory-messages.ts';
import { gaps } from './directory-retire.ts';
import { type HeldPage, newPage } from './held-page.ts';
import type { HolderAction, HolderEvent } from './holder-messages.ts';
import { HolderChanges, type HolderSnapshot, heldPages, heldRuns } from './holder-snapshot.ts';
import {
  type HolderId,
  mayRead,
  mayWrite,
  type PageRun,
  type PageState,
  type RunsOf,
  unreachable,
  wholeDataspace,
} from './page.ts';
import { RunBatch } from './run-batch.ts';

type RunwiseAction = Exclude<HolderAction, { type: 'report' }>;

interface HeldDataspace {
  pageCount: number;
  whole: boolean;
  /** It was granted whole, and that is over: pages that no entry names are nobody's here. */
  voided: boolean;
  pages: Map<number, HeldPage>;
}

export class Holder {
  private readonly dataspaces = new Map<bigint, HeldDataspace>();
  private batch = new RunBatch<RunwiseAction>();
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
      const numbers = changes.of(dataspace);
      const partial = numbers !== undefined;
      const some = partial ? new Map([...numbers].map((number) => [number, pages.get(number)!])) : pages;
      dataspaces.push({ dataspace, ...about, partial, runs: heldRuns(some) });
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
      const pages = heldPages(runs);
      const before = partial ? this.dataspaces.get(dataspace)?.pages : undefined;
      for (const [number, page] of before === undefined ? [] : pages) before!.set(number, page);
      this.dataspaces.set(dataspace, { ...about, pages: before ?? pages });
    }
  }

  /** Applies one event. The same sequence of events gives the same actions. */
  step(event: HolderEvent): HolderAction[] {
    this.batch = new RunBatch();
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
  owned(dataspace: bigint): number[] {
    const owned: number[] = [];
    for (const [number, { state }] of this.dataspaces.get(dataspace)?.pages ?? [])
      if (state !== 'INVALID' && state !== 'SLAVE') owned.push(number);
    return owned.sort((a, b) => a - b);
  }

  /** Pages of a dataspace that was granted whole, and that nobody asked for since. */
  plainRuns(dataspace: bigint): PageRun[] {
    const held = this.dataspaces.get(dataspace);
    if (held === undefined || !held.whole) return [];
    const known = [...held.pages.keys()].sort((a, b) => a - b);
    return this.runsOf(dataspace, held.pageCount).flatMap((run) => gaps(run, known));
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
      pages: new Map(),
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
      this.batch.add('failed', dataspace, run.firstPage, () => failed);
    }
  }

  private stepRun(event: Exclude<HolderEvent, { type: 'open' | 'remove' | 'rejoin' | 'expire' }>): void {
    const { dataspace, firstPage, pageCount } = event.run;
    const held = this.dataspaces.get(dataspace);
    if (held === undefined) {
      // The dataspace went away while this was under way. A recall or invalidation must not wait for us.
      this.answerUnknown(event);
      return;
    }
    for (let i = 0; i < pageCount; i++) {
      const number = firstPage + i;
      if (number >= held.pageCount) break;
      this.stepPage(event, dataspace, held, number, i);
    }
  }

  private answerUnknown(event: HolderEvent): void {
    if (event.type === 'recall')
      this.ack(event.run.dataspace, event.run.firstPage, event.version, 'ABSENT', event.run.pageCount);
    if (event.type === 'invalidate')
      this.ack(event.run.dataspace, event.run.firstPage, event.version, 'INVALIDATED', event.run.pageCount);
  }

  private stepPage(
    event: Exclude<HolderEvent, { type: 'open' | 'remove' | 'rejoin' | 'expire' }>,
    dataspace: bigint,
    held: HeldDataspace,
    number: number,
    index: number,
  ): void {
    const page = this.page(held, number);
    this.changes?.page(dataspace, number);
    switch (event.type) {
      case 'want':
        this.want(event, dataspace, number, page, index);
        return;
      case 'wrote':
        if (!mayWrite(page.state))
          assert.fail(`page ${number} of ${dataspace} was written in state ${page.state}`);
        page.state = 'MODIFIED';
        return;
      case 'grant':
        this.grant(event, dataspace, number, page);
        return;
      case 'stored':
        this.stored(event, dataspace, number, page);
        return;
      case 'data':
        this.data(event, dataspace, number, page);
        return;
      case 'recall':
        this.recall(event, dataspace, number, page);
        return;
      case 'invalidate':
        this.invalidate(event, dataspace, number, page);
        return;
      case 'refuse':
        this.refuse(event, dataspace, number, page);
        return;
      case 'settled':
        this.settled(event, dataspace, number, page);
        return;
      default:
        unreachable(event);
    }
  }

  private page(held: HeldDataspace, number: number): HeldPage {
    let page = held.pages.get(number);
    if (page === undefined) {
      page = newPage(held.whole ? 'EXCLUSIVE' : 'INVALID', this.lineageOfAll);
      held.pages.set(number, page);
    }
    return page;
  }

  private want(
    event: Extract<HolderEvent, { type: 'want' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
    index: number,
  ): void {
    if (event.mode === 'READ') {
      if (mayRead(page.state) || page.readPending || page.writePending) return;
      page.readPending = true;
    } else {
      if (mayWrite(page.state) || page.writePending) return;
      page.writePending = true;
    }
    const needed = index < event.neededPages;
    // A run is needed up to some page and speculative after it: two keys, so two acquires.
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode: event.mode, needed });
    this.batch.add('acquire', dataspace, number, make, needed);
  }

  private grant(
    event: Extract<HolderEvent, { type: 'grant' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    if (event.restore) {
      this.restore(event, dataspace, number, page);
      return;
    }
    if (event.version < page.version) return;
    if (page.state === 'INVALID' && event.version === page.version)
      this.assumeRestored(dataspace, number, page, event.version);
    if (event.zero && page.state === 'INVALID') {
      this.install(dataspace, number, true);
    } else if (event.stored && page.state === 'INVALID') {
      assert(page.storedVersion !== undefined, `page ${number} of ${dataspace} begins with nothing at hand`);
      this.batch.add('install-stored', dataspace, number, (run) => ({ type: 'install-stored', run }));
    } else if (page.state === 'INVALID' && page.dataVersion !== event.version) {
      // The data is still under way from the old owner.
      page.grantVersion = event.version;
      return;
    }
    this.take(dataspace, number, page, event.state, event.version);
  }

  private stored(
    event: Extract<HolderEvent, { type: 'stored' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    // It was lost once more since then, or of another directory, and more may be stored by now.
    const late = event.lostVersion !== page.lostVersion;
    if (late || page.state !== 'INVALID') {
      this.batch.add('ready', dataspace, number, (run) => ({ type: 'ready', run }));
      return;
    }
    page.storedVersion = event.version;
    page.writePending = true;
    this.acquireStored(dataspace, number, event.version, event.lostVersion);
  }

  private take(dataspace: bigint, number: number, page: HeldPage, state: PageState, version: number): void {
    // A silent write may have made it dirty already.
    const keepsDirty = state === 'EXCLUSIVE' && page.state === 'MODIFIED';
    page.state = keepsDirty ? 'MODIFIED' : state;
    page.version = version;
    page.readPending = false;
    if (mayWrite(state)) page.writePending = false;
    page.dataVersion = 0;
    page.grantVersion = 0;
    page.storedVersion = undefined;
    this.batch.add('ready', dataspace, number, (run) => ({ type: 'ready', run }));
  }

  private data(
    event: Extract<HolderEvent, { type: 'data' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    const { state, version } = event;
    const forWrite = state === 'MODIFIED' || state === 'INVALID';
    const repeated = version === page.version && page.state !== 'INVALID';
    if (repeated || (page.dataVersion === version && version !== 0)) {
      this.ack(dataspace, number, version, 'RECEIVED');
      // Sent again when all sharers had gone: the grant came before, and was lost with a stream.
      if (!repeated && state !== 'INVALID') this.take(dataspace, number, page, state, version);
      return;
    }
    // Also what was asked for under an earlier directory, or twice: the directory decided, and waits for us.
    const stale = version < page.version || (forWrite && version === page.version);
    if (stale || page.state !== 'INVALID') return;
    this.install(dataspace, number, event.zero);
    this.ack(dataspace, number, version, 'RECEIVED');
    if (state !== 'INVALID') this.take(dataspace, number, page, state, version);
    else if (page.grantVersion === version) this.take(dataspace, number, page, 'MODIFIED', version);
    else page.dataVersion = version;
  }

  private recall(
    event: Extract<HolderEvent, { type: 'recall' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    const { mode, version, receiver } = event;
    // A resend that a broadcast, or the page itself on its way back, overtook.
    const taken = mode === 'WRITE' && mayRead(page.state) && version === page.version;
    if (version < page.version || taken) return;
    if (page.state === 'INVALID')
      this.assumeGranted(dataspace, number, page, mode === 'READ' ? version : version - 1);
    if (page.state === 'INVALID') {
      if (page.retainedVersion === version && version !== 0) {
        const state = event.receiverState;
        const make = (run: PageRun): RunwiseAction => ({ type: 'resend', run, receiver, version, state });
        this.batch.add('resend', dataspace, number, make, receiver, version, state);
      } else this.ack(dataspace, number, version, 'ABSENT');
      return;
    }
    const dirty = page.state === 'MODIFIED' || page.state === 'MASTER' || page.state === 'SLAVE';
    if (mode === 'READ') {
      if (mayWrite(page.state)) this.revoke(dataspace, number, 'READ');
      const state = dirty ? 'SLAVE' : 'SHARED';
      page.state = dirty ? 'MASTER' : 'SHARED';
      this.send(dataspace, number, { receiver, version, state, retain: false });
      return;
    }
    const state = event.receiverState;
    this.revoke(dataspace, number, 'READ');
    this.send(dataspace, number, { receiver, version, state, retain: true });
    this.drop(dataspace, number);
    page.state = 'INVALID';
    page.version = version;
    page.retainedVersion = version;
    page.retainedFor = event.receiverIdentity;
  }

  // The directory asks for a page that waits here for its permission: that was given, and lost with a stream.
  private assumeGranted(dataspace: bigint, number: number, page: HeldPage, ownedVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= ownedVersion)
      this.take(dataspace, number, page, 'MODIFIED', ownedVersion);
    else this.assumeRestored(dataspace, number, page, ownedVersion);
  }

  // To a new directory a page that was sent on and never arrived is still this holder's.
  private assumeRestored(dataspace: bigint, number: number, page: HeldPage, ownedVersion: number): void {
    const version = page.retainedVersion;
    // Only a report sets the version of the page back to the one before it was sent on.
    if (version === 0 || page.version !== version - 1 || ownedVersion < page.version) return;
    page.retainedVersion = 0;
    this.batch.add('restore', dataspace, number, (run) => ({ type: 'restore', run, version }), version);
    this.take(dataspace, number, page, 'MASTER', ownedVersion);
  }

  private invalidate(
    event: Extract<HolderEvent, { type: 'invalidate' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    if (page.version < event.version) {
      if (event.anew) {
        page.lineage = ++this.breaks;
        this.askAnew(dataspace, number, page);
      }
      if (page.state !== 'INVALID') {
        assert(
          event.anew || !mayWrite(page.state),
          `page ${number} of ${dataspace} is invalidated in state ${page.state}`,
        );
        this.revoke(dataspace, number, 'NOTHING');
        this.drop(dataspace, number);
      }
      page.state = 'INVALID';
      page.version = event.version;
      this.forgetKept(dataspace, number, page, event.version);
    }
    this.ack(dataspace, number, event.version, 'INVALIDATED');
  }

  // What was asked for may have been granted, and that is under way and too late: who waits asks once more.
  private askAnew(dataspace: bigint, number: number, page: HeldPage): void {
    if (!page.readPending && !page.writePending) return;
    page.readPending = page.writePending = false;
    this.batch.add('ready', dataspace, number, (run) => ({ type: 'ready', run }));
  }

  private refuse(
    event: Extract<HolderEvent, { type: 'refuse' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
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
    if (reason === 'SKIPPED') this.batch.add('ready', dataspace, number, (run) => ({ type: 'ready', run }));
    else
      this.batch.add(
        'failed',
        dataspace,
        number,
        (run) => ({ type: 'failed', run, reason, version }),
        reason,
        version,
      );
  }

  private settled(
    event: Extract<HolderEvent, { type: 'settled' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    this.forgetKept(dataspace, number, page, event.version);
  }

  // Somebody has a later version: what is kept of earlier ones is of no use.
  private forgetKept(dataspace: bigint, number: number, page: HeldPage, upToVersion: number): void {
    if (page.dataVersion !== 0 && page.dataVersion <= upToVersion) {
      page.dataVersion = 0;
      this.drop(dataspace, number);
    }
    const version = page.retainedVersion;
    if (version === 0 || version > upToVersion) return;
    page.retainedVersion = 0;
    // A report had set it back, in case nobody had got it.
    page.version = Math.max(page.version, version);
    this.batch.add('forget', dataspace, number, (run) => ({ type: 'forget', run, version }), version);
  }

  private revoke(dataspace: bigint, number: number, keep: 'READ' | 'NOTHING'): void {
    this.batch.add('revoke', dataspace, number, (run) => ({ type: 'revoke', run, keep }), keep);
  }

  // Whole runs, each an action of its own.
  private dropRun(run: PageRun): void {
    const { dataspace, firstPage } = run;
    this.batch.add('revoke', dataspace, firstPage, () => ({
      type: 'revoke',
      run: { ...run },
      keep: 'NOTHING',
    }));
    this.batch.add('drop', dataspace, firstPage, () => ({ type: 'drop', run: { ...run } }));
  }

  private drop(dataspace: bigint, number: number): void {
    this.batch.add('drop', dataspace, number, (run) => ({ type: 'drop', run }));
  }

  private install(dataspace: bigint, number: number, zero: boolean): void {
    this.batch.add('install', dataspace, number, (run) => ({ type: 'install', run, zero }), zero);
  }

  private send(
    dataspace: bigint,
    number: number,
    how: { receiver: HolderId; version: number; state: PageState; retain: boolean },
  ): void {
    const { receiver, version, state, retain } = how;
    const make = (run: PageRun): RunwiseAction => ({ type: 'send', run, ...how });
    this.batch.add('send', dataspace, number, make, receiver, version, state, retain);
  }

  private ack(
    dataspace: bigint,
    number: number,
    version: number,
    kind: 'INVALIDATED' | 'RECEIVED' | 'ABSENT',
    pageCount = 1,
  ): void {
    const make = (run: PageRun): RunwiseAction => {
      run.pageCount = pageCount;
      return { type: 'ack', run, version, kind };
    };
    this.batch.add('ack', dataspace, number, make, kind, version);
  }

  private rejoin(sameDirectory: boolean): HolderAction[] {
    const report = sameDirectory ? [] : this.report();
    this.batch = new RunBatch();
    for (const [dataspace, space] of this.dataspaces) {
      for (const [number, page] of space.pages) {
        if (page.readPending) this.again(dataspace, number, 'READ');
        if (page.storedVersion !== undefined)
          this.acquireStored(dataspace, number, page.storedVersion, page.lostVersion);
        else if (page.writePending) this.again(dataspace, number, 'WRITE');
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
      for (const [number, page] of [...space.pages].sort((a, b) => a[0] - b[0])) {
        page.grantVersion = 0;
        page.storedVersion = undefined;
        page.lostVersion = 0;
        const reported = appendHeld(held, dataspace, number, page);
        // What comes from now on is newer than that.
        page.version = reported;
      }
    }
    return [...this.batch.take(), { type: 'report', held, voided, reborn: this.reborn }];
  }

  // What was sent on never arrived anywhere, or arrived here and waited for a grant: it is ours.
  private restore(
    event: Extract<HolderEvent, { type: 'grant' }>,
    dataspace: bigint,
    number: number,
    page: HeldPage,
  ): void {
    // A broadcast of a later change may have come before.
    if (page.state !== 'INVALID' || event.version < page.version) return;
    const version = page.retainedVersion;
    if (page.dataVersion === 0) {
      if (version === 0) return;
      page.retainedVersion = 0;
      this.batch.add('restore', dataspace, number, (run) => ({ type: 'restore', run, version }), version);
    }
    this.take(dataspace, number, page, event.state, event.version);
  }

  private acquireStored(dataspace: bigint, number: number, storedVersion: number, lostVersion: number): void {
    const make = (run: PageRun): RunwiseAction => {
      return { type: 'acquire', run, mode: 'WRITE', needed: true, storedVersion, lostVersion };
    };
    this.batch.add('acquire', dataspace, number, make, 'stored', storedVersion, lostVersion);
  }

  private again(dataspace: bigint, number: number, mode: 'READ' | 'WRITE'): void {
    const make = (run: PageRun): RunwiseAction => ({ type: 'acquire', run, mode, needed: true });
    this.batch.add('acquire', dataspace, number, make, mode);
  }

  private expire(): void {
    this.reborn = true;
    this.lineageOfAll = ++this.breaks;
    for (const [dataspace, space] of this.dataspaces) {
      this.changes?.all(dataspace);
      for (const run of this.runsOf(dataspace, space.pageCount)) this.dropRun(run);
      space.voided ||= space.whole;
      space.whole = false;
      for (const [number, page] of space.pages) {
        if (page.readPending || page.writePending)
          this.batch.add('ready', dataspace, number, (r) => ({ type: 'ready', run: r }));
      }
      space.pages.clear();
    }
  }
}

/** Returns the version that is reported. */
function appendHeld(held: HeldRun[], dataspace: bigint, number: number, page: HeldPage): number {
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
    last.run.firstPage + last.run.pageCount === number &&
    last.state === state &&
    last.version === version &&
    last.kept === kept &&
    last.keptFor === keptFor
  ) {
    last.run.pageCount++;
  } else held.push({ run: { dataspace, firstPage: number, pageCount: 1 }, state, version, kept, keptFor });
  return version;
}
