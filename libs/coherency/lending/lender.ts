// Pages that the gateway of a cluster lends to other clusters: it is a holder of its own directory, which owns them as ever, has them by
// that, and lets others use them, each by a lease of its own: many to read, or one to write.
//
//   a page       at its own directory             at each other cluster
//   NOTHING      nobody asked for it              may want it: then it is asked for
//   READ         SHARED, SLAVE or MASTER here     wants to read it: gets it. Has it: until it gives it back, or its lease ends
//   WRITE        MODIFIED here                    the same; or one wants to write it, and nobody else over there has it: gets it
//   taken        somebody at home waits for it    is told to give it back, a reader only where it is to be written at home. Then what the
//                                                 directory said is heeded; who wants it meanwhile waits until it is here again
//
// Who waits for a page over there is served in order, readers side by side. A writer has to give it back to the next one. It is lent to
// write as soon as it is here to write, before anything else is heeded: so each grant at home is a turn over there, and nobody starves.
//
// A lease of another cluster is told as a duration, which runs there from when it was asked for, and here from when that was heard: so it
// ends there first (lease.ts). It is never longer than what is left of the gateway's own lease: where the gateway dies, its directory
// waits for that, and then nobody has the pages any more.
//
// Who does not give a page back for too long has its lease renewed no more: so who waits at home waits for that, and for what is left of the
// lease, and no longer. What becomes of a page that was lent to write, and whose lease ended:
//
//   nobody else waits for it     it waits for its writer, who uses it no more, and may bring it when the line is back
//   somebody does                it is LOST: the directory hears so, and refuses it until somebody accepts that; the other cluster is told
//                                when it comes after all
//
// What others say is looked at here: a page that is not exported, or past the end of its dataspace, is refused. Pure.
import { type AccessMode, unreachable } from '../page.ts';
import {
  type Borrower,
  clusterOf,
  type LenderAction,
  type LenderEvent,
  type ReturnedAs,
  type Taking,
} from './lender-messages.ts';
import { havers, inTheWay, isPlain, type LentPage, newLentPage } from './lent-page.ts';
import { addOnRun, runOf } from './run-actions.ts';

/** Whoever does not give back for so long what somebody waits for gets no longer lease. */
export const PATIENCE_MS = 1_000;

interface Exported<Word> {
  pageCount: number;
  to: ReadonlySet<string>;
  writers: ReadonlySet<string>;
  pages: Map<number, LentPage<Word>>;
}

export class Lender<Word> {
  private readonly leaseMs: number;
  private readonly pagesMax: number;
  private readonly exported = new Map<bigint, Exported<Word>>();
  private readonly untilMs = new Map<Borrower, number>();
  private lendings = 0;
  /** Somebody waits, since as many pages are here as may be. */
  private waitsForRoom = false;
  private nowMs = 0;
  private actions: LenderAction<Word>[] = [];

  /**
   * @param leaseMs for which others are believed, at most
   * @param pagesMax here at a time: for more the oldest are taken back, and go
   */
  constructor(leaseMs: number, pagesMax = Number.POSITIVE_INFINITY) {
    this.leaseMs = leaseMs;
    this.pagesMax = pagesMax;
  }

  /** Applies one event. */
  step(event: LenderEvent<Word>, nowMs: number): LenderAction<Word>[] {
    this.begin(nowMs);
    switch (event.type) {
      case 'export':
        this.export(event);
        break;
      case 'remove':
        this.remove(event.dataspace);
        break;
      case 'joined':
        this.joined(event.peer);
        break;
      case 'renew':
        this.renew(event);
        break;
      case 'wanted':
        this.wanted(event);
        break;
      case 'returned':
        this.returned(event);
        break;
      case 'ready':
        this.ready(event);
        break;
      case 'failed':
        this.failed(event);
        break;
      case 'taken':
        this.taken(event);
        break;
      case 'rejoined':
        this.rejoined();
        break;
      case 'voided':
        this.voided();
        break;
      default:
        unreachable(event);
    }
    this.lookForRoom();
    return this.actions;
  }

  /** Ends leases whose time has come. */
  tick(nowMs: number): LenderAction<Word>[] {
    this.begin(nowMs);
    this.lookForRoom();
    return this.actions;
  }

  private begin(nowMs: number): void {
    this.actions = [];
    this.nowMs = nowMs;
    // What is lent by one step is of one lending.
    this.lendings++;
    this.endLeases();
  }

  /** When the next lease ends. */
  get nextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.untilMs.values());
  }

  /** Others have pages, by a lease that lasts. */
  get isLent(): boolean {
    for (const { pages } of this.exported.values())
      for (const { lent, writer } of pages.values())
        if (lent.size > 0 || (writer !== undefined && !writer.over)) return true;
    return false;
  }

  /** Pages of a dataspace that a cluster has. */
  lentTo(cluster: string, dataspace: bigint): number {
    let pages = 0;
    for (const page of this.exported.get(dataspace)?.pages.values() ?? [])
      if (havers(page).some((peer) => clusterOf(peer) === cluster)) pages++;
    return pages;
  }

  // ---- what is exported

  private export({
    dataspace,
    pageCount,
    to,
    writers,
  }: Extract<LenderEvent<Word>, { type: 'export' }>): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) {
      if (to.size > 0) this.exported.set(dataspace, { pageCount, to, writers, pages: new Map() });
      return;
    }
    Object.assign(known, { to, writers });
    for (const [number, page] of [...known.pages]) {
      for (const [peer, mode] of [...page.wanted])
        if (!mayHave(known, peer, mode)) this.refuse(peer, dataspace, page, number, true);
      for (const peer of page.lent.keys())
        if (!mayHave(known, peer, 'READ')) this.revoke(peer, dataspace, page, number);
      const { writer } = page;
      if (writer !== undefined && !mayHave(known, writer.peer, 'WRITE'))
        this.revoke(writer.peer, dataspace, page, number);
      this.pump(dataspace, known, page, number);
    }
  }

  private remove(dataspace: bigint): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) return;
    this.exported.delete(dataspace);
    for (const [number, page] of known.pages)
      for (const peer of havers(page)) this.sayRevoked(peer, dataspace, number);
  }

  // ---- the other cluster

  private joined(peer: Borrower): void {
    for (const [dataspace, known] of this.exported)
      for (const [number, page] of [...known.pages]) {
        // What it asked for on an earlier line it asks for again.
        page.wanted.delete(peer);
        if (page.writer?.peer === peer) page.writer.isOfThisLine = false;
        if (page.told.has(peer)) this.sayRevoked(peer, dataspace, number);
        this.pump(dataspace, known, page, number);
      }
  }

  private renew({ peer, sentMs, homeLeaseMs }: Extract<LenderEvent<Word>, { type: 'renew' }>): void {
    const leaseMs = Math.floor(Math.min(this.leaseMs, homeLeaseMs));
    if (leaseMs <= 0 || this.isOverdue(peer)) return;
    this.untilMs.set(peer, Math.max(this.untilMs.get(peer) ?? 0, this.nowMs + leaseMs));
    this.actions.push({ type: 'renewed', peer, sentMs, leaseMs });
  }

  private isOverdue(peer: Borrower): boolean {
    for (const { pages } of this.exported.values())
      for (const { revokedAtMs, told } of pages.values())
        if (revokedAtMs !== undefined && this.nowMs - revokedAtMs > PATIENCE_MS && told.has(peer))
          return true;
    return false;
  }

  private wanted({ peer, run, mode }: Extract<LenderEvent<Word>, { type: 'wanted' }>): void {
    const { dataspace, firstPage, pageCount } = run;
    const known = this.exported.get(dataspace);
    if (known === undefined || !mayHave(known, peer, mode) || firstPage + pageCount > known.pageCount) {
      this.actions.push({ type: 'refuse', peer, run: { ...run }, withdrawn: true });
      return;
    }
    // It asks again when it has one.
    if (!this.isLeased(peer)) return;
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = pageOf(known, number);
      // It was said before what was lent then; or it was lent on a line that broke, and did not come.
      if (page.writer?.peer === peer) {
        if (page.writer.isOfThisLine) continue;
        const { readBy, over } = page.writer;
        page.writer = undefined;
        if (readBy !== undefined && !over) page.lent.set(peer, readBy);
        this.wasReturned(page, peer);
      }
      if (page.wanted.get(peer) !== 'WRITE') page.wanted.set(peer, mode);
      this.pump(dataspace, known, page, number);
    }
  }

  private returned({ peer, run, lending, as }: Extract<LenderEvent<Word>, { type: 'returned' }>): void {
    const { dataspace, firstPage } = run;
    const known = this.exported.get(dataspace);
    const end = Math.min(firstPage + run.pageCount, known?.pageCount ?? 0);
    for (let number = firstPage; number < end; number++)
      this.returnedPage(peer, dataspace, known!, number, { lending, as });
    // Of a dataspace that is not lent any more.
    if (known === undefined && as !== 'READ')
      this.actions.push({ type: 'settle', peer, run: { ...run }, lending, gone: as !== 'UNWRITTEN' });
  }

  private returnedPage(
    peer: Borrower,
    dataspace: bigint,
    known: Exported<Word>,
    number: number,
    { lending, as }: { lending: number; as: ReturnedAs },
  ): void {
    const page = known.pages.get(number) ?? newLentPage<Word>();
    const isMeant = page.writer?.peer === peer && page.writer.lending <= lending;
    if (as === 'READ') {
      // That it was lent to write went with the line: it never came.
      if (isMeant && !page.writer!.isOfThisLine) page.writer = undefined;
      else if ((page.lent.get(peer) ?? Number.POSITIVE_INFINITY) > lending) return;
      page.lent.delete(peer);
    } else {
      const gone = !isMeant && (page.gone.get(peer) ?? Number.POSITIVE_INFINITY) <= lending;
      this.settle(peer, dataspace, number, lending, gone && as !== 'UNWRITTEN');
      if (gone) page.gone.delete(peer);
      if (isMeant) {
        page.writer = undefined;
        if (as === 'WRITTEN') this.say({ type: 'take', run: runOf(dataspace, number) });
        else if (as === 'LOST') this.lose(peer, dataspace, page, number);
      }
    }
    this.wasReturned(page, peer);
    this.pump(dataspace, known, page, number);
  }

  private wasReturned(page: LentPage<Word>, peer: Borrower): void {
    if (havers(page).includes(peer)) return;
    page.told.delete(peer);
    if (page.told.size === 0) page.revokedAtMs = undefined;
  }

  private isLeased(peer: Borrower): boolean {
    return this.nowMs < (this.untilMs.get(peer) ?? Number.NEGATIVE_INFINITY);
  }

  private endLeases(): void {
    for (const [peer, untilMs] of [...this.untilMs]) {
      if (this.nowMs < untilMs) continue;
      this.untilMs.delete(peer);
      let pages = 0;
      for (const [dataspace, known] of this.exported)
        for (const [number, page] of [...known.pages]) {
          page.wanted.delete(peer);
          if (page.told.has(peer)) pages++;
          page.lent.delete(peer);
          if (page.writer?.peer === peer) page.writer.over = true;
          this.wasReturned(page, peer);
          this.pump(dataspace, known, page, number);
        }
      if (pages > 0) this.actions.push({ type: 'overdue', peer, pages });
    }
  }

  // ---- the own directory

  private ready({ run, mode }: Extract<LenderEvent<Word>, { type: 'ready' }>): void {
    const known = this.exported.get(run.dataspace);
    if (known === undefined) return;
    for (let number = run.firstPage; number < run.firstPage + run.pageCount; number++) {
      const page = pageOf(known, number);
      page.here = mode;
      if (page.asked !== 'WRITE' || mode === 'WRITE') page.asked = 'NOTHING';
      // It had to be read first.
      else this.say({ type: 'want', run: runOf(run.dataspace, number), mode: 'WRITE' });
      this.pump(run.dataspace, known, page, number);
    }
  }

  private failed({
    run: { dataspace, firstPage, pageCount },
    lost,
  }: Extract<LenderEvent<Word>, { type: 'failed' }>): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) return;
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = known.pages.get(number);
      if (page === undefined) continue;
      page.asked = 'NOTHING';
      for (const peer of [...page.wanted.keys()]) this.refuse(peer, dataspace, page, number, !lost);
      this.pump(dataspace, known, page, number);
    }
  }

  private taken({ run, mode, word }: Taking<Word>): void {
    const { dataspace, firstPage, pageCount } = run;
    const known = this.exported.get(dataspace);
    if (known === undefined) {
      this.actions.push({ type: 'release', run, word });
      return;
    }
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = pageOf(known, number);
      page.taking = { mode, word };
      this.pump(dataspace, known, page, number);
    }
  }

  // What an earlier leader said must not be answered to this one.
  private rejoined(): void {
    for (const [dataspace, known] of this.exported)
      for (const [number, page] of [...known.pages]) {
        page.taking = undefined;
        this.pump(dataspace, known, page, number);
      }
  }

  private voided(): void {
    this.untilMs.clear();
    for (const [dataspace, { pages }] of this.exported)
      for (const [number, page] of [...pages]) {
        if (page.writer !== undefined) this.giveUp(dataspace, page, number, page.writer);
        const { gone } = page;
        if (gone.size > 0) pages.set(number, { ...newLentPage<Word>(), gone });
        else pages.delete(number);
      }
  }

  // ---- pages

  // What waits for the page goes on as far as it may.
  private pump(dataspace: bigint, known: Exported<Word>, page: LentPage<Word>, number: number): void {
    let again = true;
    while (again) {
      const { writer } = page;
      // What its writer may still bring is not lost for want of room.
      if (writer?.over) page.leaves = false;
      const waitsFor = inTheWay(page);
      if (writer?.over && waitsFor.length > 0) this.giveUp(dataspace, page, number, writer);
      else {
        for (const peer of waitsFor) this.revoke(peer, dataspace, page, number);
        again = waitsFor.length === 0 && this.goOn(dataspace, page, number);
      }
    }
    if (isPlain(page)) known.pages.delete(number);
    else known.pages.set(number, page);
  }

  /** @returns true where something else may go on now */
  private goOn(dataspace: bigint, page: LentPage<Word>, number: number): boolean {
    const { taking } = page;
    if (taking !== undefined) {
      page.taking = undefined;
      if (taking.mode === 'WRITE') page.here = 'NOTHING';
      else if (page.here === 'WRITE') page.here = 'READ';
      this.actions.push({ type: 'release', run: runOf(dataspace, number), word: taking.word });
      return true;
    }
    if (page.leaves) {
      page.leaves = false;
      if (page.here !== 'NOTHING') {
        page.here = 'NOTHING';
        this.say({ type: 'leave', run: runOf(dataspace, number) });
      }
      return true;
    }
    const [first] = page.wanted;
    if (first === undefined) return false;
    const [peer, mode] = first;
    if (mode === 'WRITE' ? page.here === 'WRITE' : page.here !== 'NOTHING') {
      page.wanted.delete(peer);
      if (this.isLeased(peer)) this.lend(peer, dataspace, page, number, mode);
      return true;
    }
    if (page.asked === 'WRITE' || page.asked === mode) return false;
    if (page.here === 'NOTHING' && page.asked === 'NOTHING' && !this.hasRoom(page)) return false;
    page.asked = mode;
    this.say({ type: 'want', run: runOf(dataspace, number), mode });
    return false;
  }

  // One more may be here; else one that is older goes.
  private hasRoom(asking: LentPage<Word>): boolean {
    let known = 0;
    for (const { pages } of this.exported.values()) known += pages.size;
    if (known < this.pagesMax) return true;
    let pages = 0;
    let leaving = 0;
    let oldest:
      | { page: LentPage<Word>; number: number; dataspace: bigint; known: Exported<Word> }
      | undefined;
    for (const [dataspace, exported] of this.exported)
      for (const [number, page] of exported.pages) {
        if (page === asking || (page.here === 'NOTHING' && page.asked === 'NOTHING')) continue;
        pages++;
        if (page.leaves) leaving++;
        else if (mayLeave(page) && page.lastLending < (oldest?.page.lastLending ?? this.lendings))
          oldest = { page, number, dataspace, known: exported };
      }
    if (pages < this.pagesMax) return true;
    this.waitsForRoom = true;
    if (leaving <= pages - this.pagesMax && oldest !== undefined) {
      oldest.page.leaves = true;
      this.pump(oldest.dataspace, oldest.known, oldest.page, oldest.number);
    }
    return false;
  }

  // Whoever waits for room is looked at when something has gone.
  private lookForRoom(): void {
    if (!this.waitsForRoom) return;
    this.waitsForRoom = false;
    for (const [dataspace, known] of this.exported)
      for (const [number, page] of [...known.pages])
        if (page.wanted.size > 0 && page.here === 'NOTHING' && page.asked === 'NOTHING')
          this.pump(dataspace, known, page, number);
  }

  private lend(
    peer: Borrower,
    dataspace: bigint,
    page: LentPage<Word>,
    number: number,
    mode: AccessMode,
  ): void {
    const { lendings: lending } = this;
    page.lastLending = lending;
    // What it was told before is not meant.
    page.told.delete(peer);
    if (page.told.size === 0) page.revokedAtMs = undefined;
    if (mode === 'WRITE') {
      const readBy = page.lent.get(peer);
      page.lent.delete(peer);
      page.gone.delete(peer);
      page.writer = { peer, lending, readBy, over: false, isOfThisLine: true };
    } else page.lent.set(peer, lending);
    this.say({ type: 'lend', peer, run: runOf(dataspace, number), lending, mode });
  }

  private refuse(
    peer: Borrower,
    dataspace: bigint,
    page: LentPage<Word>,
    number: number,
    withdrawn: boolean,
  ): void {
    page.wanted.delete(peer);
    this.say({ type: 'refuse', peer, run: runOf(dataspace, number), withdrawn });
  }

  private revoke(peer: Borrower, dataspace: bigint, page: LentPage<Word>, number: number): void {
    // Said before: it knows.
    if (page.told.has(peer)) return;
    page.told.add(peer);
    page.revokedAtMs ??= this.nowMs;
    this.sayRevoked(peer, dataspace, number);
  }

  private sayRevoked(peer: Borrower, dataspace: bigint, number: number): void {
    this.say({ type: 'revoke', peer, run: runOf(dataspace, number), lending: this.lendings });
  }

  private settle(peer: Borrower, dataspace: bigint, number: number, lending: number, gone: boolean): void {
    this.say({ type: 'settle', peer, run: runOf(dataspace, number), lending, gone });
  }

  private giveUp(
    dataspace: bigint,
    page: LentPage<Word>,
    number: number,
    { peer, lending }: { peer: Borrower; lending: number },
  ): void {
    page.writer = undefined;
    page.gone.set(peer, lending);
    this.wasReturned(page, peer);
    this.lose(peer, dataspace, page, number);
  }

  private lose(peer: Borrower, dataspace: bigint, page: LentPage<Word>, number: number): void {
    page.here = 'NOTHING';
    this.say({ type: 'lose', peer, run: runOf(dataspace, number) });
  }

  // To the last action, where the same is said of the page before.
  private say(action: Exclude<LenderAction<Word>, { type: 'release' | 'overdue' | 'renewed' }>): void {
    addOnRun<LenderAction<Word>>(this.actions, action, this.actions.at(-1));
  }
}

// Nobody waits for it, nor it for anybody.
const mayLeave = <Word>({ here, asked, taking, wanted, writer }: LentPage<Word>): boolean =>
  here !== 'NOTHING' && asked === 'NOTHING' && taking === undefined && wanted.size === 0 && !writer?.over;

const mayHave = (
  { to, writers }: Pick<Exported<unknown>, 'to' | 'writers'>,
  peer: Borrower,
  mode: AccessMode,
): boolean => (mode === 'READ' ? to : writers).has(clusterOf(peer));

function pageOf<Word>({ pages }: Exported<Word>, number: number): LentPage<Word> {
  return pages.get(number) ?? newLentPage();
}
