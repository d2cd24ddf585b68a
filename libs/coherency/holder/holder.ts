import type { HeldRun } from '../directory/directory-messages.ts';
import { gaps } from '../directory/directory-retire.ts';
import { RunBatch } from '../directory/run-batch.ts';
import {
  mayRead,
  mayWrite,
  type PageRun,
  type PageSpan,
  type PageState,
  type RunsOf,
  wholeDataspace,
} from '../page.ts';
import { RunMap } from '../run-map.ts';
import { HeldEntry, type HeldPage, newPage } from './held-page.ts';
import { appendHeld } from './held-report.ts';
import type { HolderAction, HolderEvent } from './holder-messages.ts';
import { HolderOutbox } from './holder-outbox.ts';
import { HolderChanges, type HolderSnapshot, heldRuns } from './holder-snapshot.ts';
import { PageMoves, type RunEvent } from './page-moves.ts';

interface HeldDataspace {
  pageCount: number;
  whole: boolean;
  /** It was granted whole, and that is over: pages that no entry names are nobody's here. */
  voided: boolean;
  /** Copies of its pages were given up that the directory may believe to be here. */
  forsaken: boolean;
  pages: RunMap<HeldEntry>;
}

export class Holder {
  private readonly dataspaces = new Map<bigint, HeldDataspace>();
  private readonly out = new HolderOutbox();
  private readonly moves = new PageMoves(this.out, () => ++this.breaks);
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
    const dataspaces = [...this.dataspaces].map(([dataspace, { pages, ...about }]) => {
      return { dataspace, ...about, runs: heldRuns(pages) };
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
    this.out.begin();
    switch (event.type) {
      case 'open':
        this.open(event);
        break;
      case 'remove':
        this.remove(event.dataspace);
        break;
      case 'rejoin':
        return this.rejoin(event.sameDirectory);
      case 'forsake':
        this.forsake(event.dataspace);
        break;
      case 'expire':
        this.expire();
        break;
      default:
        this.stepRun(event);
    }
    return this.out.take();
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
      forsaken: false,
      pages: new RunMap(),
    });
  }

  private remove(dataspace: bigint): void {
    const held = this.dataspaces.get(dataspace);
    if (held === undefined) return;
    this.changes?.all(dataspace);
    this.dataspaces.delete(dataspace);
    for (const run of this.runsOf(dataspace, held.pageCount)) {
      this.out.dropRun(run);
      this.out.failed(dataspace, run, 'NO_DATASPACE', 0);
    }
  }

  // To the directory what was given up may be here still.
  private noteGivenUp(event: RunEvent, held: HeldDataspace): void {
    if (event.type === 'release') held.forsaken = true;
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
    this.noteGivenUp(event, held);
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
      this.moves.step(held.forsaken ? afterForsaking(event, page) : event, dataspace, page, needed);
    }
  }

  private answerUnknown(event: RunEvent): void {
    if (event.type === 'recall') this.out.ack(event.run.dataspace, event.run, event.version, 'ABSENT');
    if (event.type === 'invalidate')
      this.out.ack(event.run.dataspace, event.run, event.version, 'INVALIDATED');
  }

  private rejoin(sameDirectory: boolean): HolderAction[] {
    const report = sameDirectory ? [] : this.report();
    this.out.begin();
    for (const [dataspace, space] of this.dataspaces) {
      for (const page of space.pages) {
        if (page.readPending) this.out.again(dataspace, page, 'READ');
        if (page.storedVersion !== undefined)
          this.out.acquireStored(dataspace, page, page.storedVersion, page.lostVersion);
        else if (page.writePending) this.out.again(dataspace, page, 'WRITE');
      }
    }
    return [...report, ...this.out.take()];
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
    return [...this.out.take(), { type: 'report', held, voided, reborn: this.reborn }];
  }

  // As if it had been invalidated: who has the page says so itself.
  private forsake(dataspace: bigint): void {
    this.changes?.all(dataspace);
    const held = this.dataspaces.get(dataspace);
    for (const page of held?.pages ?? []) {
      if (page.state !== 'SHARED' && page.state !== 'SLAVE') continue;
      held!.forsaken = true;
      this.out.revoke(dataspace, page, 'NOTHING');
      this.out.drop(dataspace, page);
      page.state = 'INVALID';
      // What lets it be written comes without its bytes: whoever waits asks anew.
      if (page.writePending) this.out.ready(dataspace, page);
      page.writePending = false;
    }
  }

  private expire(): void {
    this.reborn = true;
    this.lineageOfAll = ++this.breaks;
    for (const [dataspace, space] of this.dataspaces) {
      this.changes?.all(dataspace);
      for (const run of this.runsOf(dataspace, space.pageCount)) this.out.dropRun(run);
      space.voided ||= space.whole;
      space.whole = false;
      for (const page of space.pages) {
        if (page.readPending || page.writePending) this.out.ready(dataspace, page);
      }
      space.pages.clear();
    }
  }
}

// To the directory a copy that was given up may be here still: asked for to write, the page would come without its bytes. So it is read
// first.
function afterForsaking(event: RunEvent, { state }: HeldPage): RunEvent {
  const isAsked = event.type === 'want' && event.mode === 'WRITE' && state === 'INVALID';
  return isAsked ? { ...event, mode: 'READ' } : event;
}

// It would change nothing.
function isMoot(event: RunEvent, { state, readPending, writePending }: HeldPage): boolean {
  if (event.type === 'wrote') return state === 'MODIFIED';
  // A copy, or the page of which there are copies; and nobody is about to write it.
  if (event.type === 'spare') return state === 'INVALID' || mayWrite(state) || writePending;
  if (event.type !== 'want') return false;
  if (event.mode === 'READ') return mayRead(state) || readPending || writePending;
  return mayWrite(state) || writePending;
}
