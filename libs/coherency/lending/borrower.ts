// Pages that the gateway of a cluster borrows of another one, their home: in its own directory it made a dataspace that stands for the one
// at home, owns each page of it that no node writes, and gives it to nodes as long as it has it of home.
//
//   home          of home the gateway has    nodes of its cluster
//   NONE          nothing                    nothing: who asks waits
//   LENT          the page, to read          nothing, or the page, to read: by its own directory, which asked the gateway for it
//   OWNED         the page, alone            nothing, or the page, to read or write, and each other's as in any cluster
//   OWED          to bring it back           nothing: who asks waits. What they wrote is kept, and said again until home has heard it
//
// Rule: nodes have a page only while the gateway has it of home, under a lease of home. So before it gives a page back it takes it from
// them (`take`: it asks its own directory for the page to write, and has it `alone` when that is granted); and some time before its lease
// ends it takes back all that they have:
//
//   |<--------------------------- lease of home, from when it was asked for ---------------------------->|
//   |    pages are given to nodes      |  all is taken back; given is only what  |  nothing  |   guard   |
//                                      |  keeps the taking waiting               |  is given |
//                                   takeAtMs                                  serveUntilMs  endMs
//
// A node may use what it has for one lease of its own directory once it hears nothing of that, and what it has is gone then
// (node/lines/routes.ts). Before a page is taken one reader of it may be waited for, who died: that makes two leases from `takeAtMs` to
// `endMs`, and one from the last page that is given. The same two are for the gateway itself: its directory hears nothing of it for one,
// and takes from nodes within the other what it had (directory/page-changes.ts).
//
// While a page is being taken the own directory may ask for it for a node that came first, and does one change of a page at a time. What
// the gateway has of home it gives: that keeps the taking waiting no longer. What it has not, it would have to ask home for, which waits for
// the page: so it declines (`decline`), and the directory does first what the gateway asked for, and then looks at the node's request
// anew, with a later version (directory/page-changes.ts). So nothing here ever waits for home while home waits for it.
//
// What was OWNED is returned with what nodes wrote, and home is asked to confirm that. Until it does it is said again on each line, since
// nobody else has it. Home may answer that it went on without it, or be another gateway, which knows nothing of it: then what nodes wrote is
// lost, and that is said (`gone`). So it is where a node dies that wrote it: home hears that it is LOST.
//
// What is owed is owed also where its dataspace is closed here (`debts`): home has it, or says that it has not. Until then nobody here asks for
// those pages, if the dataspace is opened again. Pure.
import { guardMs, renewEveryMs } from '../lease.ts';
import { type PageRun, type PageSpan, spansOf, unreachable } from '../page.ts';
import { type BorrowedPage, isPlain, newBorrowedPage, suffices } from './borrowed-page.ts';
import type { BorrowerAction, BorrowerEvent } from './borrower-messages.ts';
import type { ReturnedAs } from './lender-messages.ts';
import { addOnRun, runOf } from './run-actions.ts';

type EventOf<Type extends BorrowerEvent['type']> = Extract<BorrowerEvent, { type: Type }>;

interface Borrowed {
  pageCount: number;
  draining: boolean;
  pages: Map<number, BorrowedPage>;
}

/** How many pages there are of home, and which of them may go. */
interface Room {
  pages: number;
  /** Of them are on their way back. */
  leaving: number;
  oldestLast: { page: BorrowedPage; number: number; dataspace: bigint }[];
}

/** For what takes no lease: messages on their way, and a broadcast that is said again. */
const MARGIN_MS = 300;

/** For how long a lease must last for anything to be given to nodes. @param nodeLeaseMs of the own directory */
export const takeBackMsOf = (nodeLeaseMs: number): number => 2 * (nodeLeaseMs + MARGIN_MS);

/** Before there is a lease. */
const NEVER = Number.NEGATIVE_INFINITY;
/** A renewal that is not answered is sent again. */
const RENEW_FIRST_MS = 500;

export class PageBorrower {
  private readonly nodeLeaseMs: number;
  private readonly pagesMax: number;
  private readonly borrowed = new Map<bigint, Borrowed>();
  /** OWED pages of dataspaces that were closed. */
  private readonly debts = new Map<bigint, Map<number, BorrowedPage>>();
  private life: bigint | undefined;
  private isUp = false;
  private leaseMs = 0;
  private nowMs = NEVER;
  private untilMs = NEVER;
  private renewAtMs = Number.POSITIVE_INFINITY;
  private actions: BorrowerAction[] = [];
  /** Pages are taken back, or are. */
  private ending = true;
  private ended = true;
  /** Somebody waits, since there are as many pages as there may be. */
  private waitsForRoom = false;
  /** As it is in this step; undefined: nobody needed to know. */
  private room: Room | undefined;

  /**
   * @param nodeLeaseMs of the own directory
   * @param pagesMax of home at a time: for more the oldest are given back
   */
  constructor(nodeLeaseMs: number, pagesMax = Number.POSITIVE_INFINITY) {
    this.nodeLeaseMs = nodeLeaseMs;
    this.pagesMax = pagesMax;
  }

  /**
   * Applies one event.
   * @throws RangeError where home says what it cannot: its line is to end
   */
  step(event: BorrowerEvent, nowMs: number): BorrowerAction[] {
    this.begin(nowMs);
    switch (event.type) {
      case 'open':
        this.open(event);
        break;
      case 'drain':
        this.drain(event.dataspace);
        break;
      case 'close':
        this.close(event.dataspace);
        break;
      case 'joined':
        this.joined(event.life);
        break;
      case 'lost':
        this.lost();
        break;
      case 'renewed':
        this.renewed(event);
        break;
      case 'lent':
        this.each(event, (page, number) => this.lent(page, number, event));
        break;
      case 'refused':
        this.each(event, (page, number) => this.refused(page, number, event));
        break;
      case 'revoked':
        this.each(event, (page, number) => this.revokedBy(page, number, event));
        break;
      case 'settled':
        this.each(event, (page, number) => this.settled(page, number, event));
        break;
      case 'asked':
        this.each(event, (page, number) => this.askedFor(page, number, event));
        break;
      case 'alone':
        this.each(event, (page, number) => this.alone(page, number, event.run.dataspace));
        break;
      case 'broken':
        this.each(event, (page, number) => this.broken(page, number, event.run.dataspace));
        break;
      case 'voided':
        this.forPages((page, number, dataspace) => {
          if (dataspace === event.dataspace && (page.given !== 'NOTHING' || page.taking))
            this.broken(page, number, dataspace);
        });
        break;
      default:
        unreachable(event);
    }
    return this.taken();
  }

  /** The time has come, or not. */
  tick(nowMs: number): BorrowerAction[] {
    this.begin(nowMs);
    if (this.isUp && nowMs >= this.renewAtMs) this.renew();
    return this.taken();
  }

  private begin(nowMs: number): void {
    this.actions = [];
    this.nowMs = nowMs;
    this.room = undefined;
    this.look();
  }

  /** When `tick` is to be called. */
  get nextMs(): number {
    const ends = this.ended ? Number.POSITIVE_INFINITY : this.ending ? this.untilMs : this.takeAtMs;
    return Math.min(ends, this.isUp ? this.renewAtMs : Number.POSITIVE_INFINITY);
  }

  /** What is lent may be given to nodes. */
  get isLeased(): boolean {
    return !this.ended;
  }

  /** Until when anything that is lent may be used. */
  get endMs(): number {
    return this.untilMs;
  }

  /** The last lease was too short for anything to be given to nodes. */
  get isTooShort(): boolean {
    return this.leaseMs > 0 && this.leaseMs - guardMs(this.leaseMs) <= takeBackMsOf(this.nodeLeaseMs);
  }

  /** Nodes have nothing of a dataspace, and home has all of it. */
  isDrained(dataspace: bigint): boolean {
    return (this.borrowed.get(dataspace)?.pages.size ?? 0) === 0;
  }

  /** Pages of a dataspace that home lent. */
  lentOf(dataspace: bigint): number {
    let lent = 0;
    for (const { home } of this.borrowed.get(dataspace)?.pages.values() ?? []) if (home !== 'NONE') lent++;
    return lent;
  }

  /** Pages of a dataspace that are being taken from nodes: a directory that lost this holder meanwhile has to be asked anew. */
  takingOf(dataspace: bigint): PageSpan[] {
    const pages = this.borrowed.get(dataspace)?.pages ?? [];
    const taking = [...pages].filter(([, page]) => page.taking).map(([number]) => number);
    return spansOf(taking.sort((a, b) => a - b));
  }

  private get takeAtMs(): number {
    return this.untilMs - takeBackMsOf(this.nodeLeaseMs);
  }

  // ---- the line to home

  private joined(life: bigint): void {
    this.isUp = true;
    // What another gateway of home lent was lent by its lease, and that is not renewed any more.
    if (life !== this.life) {
      this.life = life;
      this.leaseMs = 0;
      this.untilMs = NEVER;
      this.orphanAll();
      if (!this.ended) {
        this.takeAll();
        this.endLease();
      }
    }
    this.renew();
    this.forPages((page, number, dataspace) => {
      if (page.home === 'OWED') this.sayReturned(page, number, dataspace, page.owed);
    });
    for (const [dataspace, pages] of this.debts)
      for (const [number, page] of pages) this.sayReturned(page, number, dataspace, page.owed);
    this.askAll();
  }

  // Home has nothing of what it lent to write, and waits for nothing: what was written is lost.
  private orphanAll(): void {
    this.forPages((page, number, dataspace) => {
      if (page.home === 'OWNED') page.orphaned = true;
      if (page.home === 'OWED') this.done(page, number, dataspace, true);
    });
    for (const [dataspace, pages] of this.debts)
      for (const [number, page] of [...pages]) this.paid(dataspace, number, page, true);
  }

  private lost(): void {
    this.isUp = false;
    this.forPages((page) => {
      page.wants = 'NOTHING';
      page.asks = 0;
    });
  }

  private renew(): void {
    this.actions.push({ type: 'renew', sentMs: Math.floor(this.nowMs) });
    this.renewAtMs = this.nowMs + (this.leaseMs > 0 ? renewEveryMs(this.leaseMs) : RENEW_FIRST_MS);
  }

  private renewed({ sentMs, leaseMs }: EventOf<'renewed'>): void {
    if (!this.isUp) return;
    // What was asked for when it ended home does not remember.
    if (this.ended)
      this.forPages((page) => {
        page.wants = 'NOTHING';
      });
    this.leaseMs = leaseMs;
    this.untilMs = Math.max(this.untilMs, sentMs + leaseMs - guardMs(leaseMs));
    this.look();
    this.askAll();
  }

  private look(): void {
    if (this.nowMs < this.takeAtMs) {
      this.ended = this.ending = false;
      return;
    }
    if (!this.ending) {
      this.ending = true;
      this.takeAll();
    }
    if (!this.ended && this.nowMs >= this.untilMs) this.endLease();
  }

  private takeAll(): void {
    this.forPages((page, number, dataspace) => {
      if (page.given !== 'NOTHING') this.take(page, number, dataspace);
      else if (page.home === 'OWNED') this.owe(page, number, dataspace);
    });
  }

  private endLease(): void {
    this.ended = this.ending = true;
    this.forPages((page, number, dataspace) => {
      if (page.home === 'LENT') this.forget(page, number, dataspace);
    });
  }

  // ---- what nodes ask for

  private askedFor(page: BorrowedPage, number: number, { run, mode }: EventOf<'asked'>): void {
    page.asked = mode;
    if (this.borrowed.get(run.dataspace)?.draining === true) return;
    this.answer(page, number, run.dataspace);
  }

  // As far as it may be answered now.
  private answer(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.asked === undefined) return;
    if (suffices(page, page.asked) && this.mayServe(page)) this.serve(page, number, dataspace);
    else if (page.taking) this.decline(page, number, dataspace);
    else this.ask(page, number, dataspace);
  }

  private mayServe({ taking }: BorrowedPage): boolean {
    return !this.ending || (taking && this.nowMs < this.untilMs - this.nodeLeaseMs - MARGIN_MS);
  }

  private ask(page: BorrowedPage, number: number, dataspace: bigint): void {
    const { asked, wants, home } = page;
    if (asked === undefined || this.ending || !this.isUp || home === 'OWED') return;
    if (this.debts.get(dataspace)?.has(number)) return;
    const mode = asked === 'READ' ? 'READ' : 'WRITE';
    if (wants === 'WRITE' || wants === mode) return;
    if (home === 'NONE' && wants === 'NOTHING' && !this.hasRoom()) return;
    page.wants = mode;
    page.asks++;
    this.say({ type: 'want', run: runOf(dataspace, number), mode });
  }

  private askAll(): void {
    if (!this.ending) this.forPages((page, number, dataspace) => this.answer(page, number, dataspace));
  }

  // One more may be asked for; else one that is older goes, and whoever waits is looked at again when it has gone.
  private hasRoom(): boolean {
    let known = 0;
    for (const { pages } of this.borrowed.values()) known += pages.size;
    if (known <= this.pagesMax) return true;
    this.room ??= this.roomNow();
    const { room } = this;
    if (room.pages < this.pagesMax) {
      room.pages++;
      return true;
    }
    this.waitsForRoom = true;
    if (room.leaving > room.pages - this.pagesMax) return false;
    const oldest = room.oldestLast.pop();
    if (oldest === undefined) return false;
    room.leaving++;
    this.revoked(oldest.page, oldest.number, oldest.dataspace);
    return false;
  }

  private roomNow(): Room {
    const room: Room = { pages: 0, leaving: 0, oldestLast: [] };
    this.forPages((page, number, dataspace) => {
      if (page.home === 'NONE' && page.wants === 'NOTHING') return;
      room.pages++;
      if (page.home === 'OWED' || page.revoked) room.leaving++;
      else if (page.home !== 'NONE' && page.asked === undefined)
        room.oldestLast.push({ page, number, dataspace });
    });
    room.oldestLast.sort((a, b) => b.page.lending - a.page.lending);
    return room;
  }

  // Some page may be of home no more.
  private lookForRoom(): void {
    if (!this.waitsForRoom) return;
    this.waitsForRoom = false;
    this.room = undefined;
    this.askAll();
  }

  private serve(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.asked !== 'READ') {
      page.given = 'WRITE';
      page.written = true;
    } else if (page.given === 'NOTHING') page.given = 'READ';
    page.asked = undefined;
    this.say({ type: 'serve', run: runOf(dataspace, number) });
  }

  private decline(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.asked = undefined;
    this.say({ type: 'decline', run: runOf(dataspace, number) });
  }

  private deny(page: BorrowedPage, number: number, dataspace: bigint, withdrawn = true): void {
    const { asked } = page;
    page.asked = undefined;
    if (asked === undefined) return;
    if (asked !== 'UPGRADE') {
      this.say({ type: 'deny', run: runOf(dataspace, number), withdrawn });
      return;
    }
    // Once it has no copy any more it asks for the page itself.
    this.take(page, number, dataspace);
    this.decline(page, number, dataspace);
  }

  // ---- what home says

  private lent(page: BorrowedPage, number: number, { run, lending, mode }: EventOf<'lent'>): void {
    const { dataspace } = run;
    this.answered(page, number, dataspace);
    if (page.home === 'OWNED' || page.home === 'OWED')
      throw new RangeError(`page ${number} of ${dataspace} comes, and is here to write`);
    page.home = mode === 'WRITE' ? 'OWNED' : 'LENT';
    page.written = false;
    // Who has it to write is asked for nothing more.
    if (page.wants === mode || mode === 'WRITE') page.wants = 'NOTHING';
    page.lending = Math.max(page.lending, lending);
    if (this.borrowed.get(dataspace)?.draining === true) this.revoked(page, number, dataspace);
    else if (this.ending && page.home === 'OWNED' && page.given === 'NOTHING' && !page.taking)
      this.owe(page, number, dataspace);
    else if (this.ended && page.home === 'LENT') this.forget(page, number, dataspace);
    else this.answer(page, number, dataspace);
  }

  private refused(page: BorrowedPage, number: number, { run, withdrawn }: EventOf<'refused'>): void {
    this.answered(page, number, run.dataspace);
    page.wants = 'NOTHING';
    this.deny(page, number, run.dataspace, withdrawn);
  }

  private answered(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.asks === 0) throw new RangeError(`page ${number} of ${dataspace} comes, and was not asked for`);
    page.asks--;
  }

  private revokedBy(page: BorrowedPage, number: number, { run, lending }: EventOf<'revoked'>): void {
    // It is on its way back, by the lending that it is settled by.
    if (page.home === 'OWED') return;
    page.lending = Math.max(page.lending, lending);
    this.revoked(page, number, run.dataspace);
  }

  private revoked(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.home === 'OWED') return;
    if (page.given !== 'NOTHING' || page.taking) {
      page.revoked = true;
      this.take(page, number, dataspace);
      return;
    }
    this.giveBack(page, number, dataspace);
    this.answer(page, number, dataspace);
  }

  private settled(page: BorrowedPage, number: number, { run, lending, gone }: EventOf<'settled'>): void {
    if (page.home !== 'OWED' || page.lending !== lending) return;
    this.done(page, number, run.dataspace, gone);
    this.answer(page, number, run.dataspace);
  }

  // ---- taking back, and returning

  private take(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.taking) return;
    page.taking = true;
    this.say({ type: 'take', run: runOf(dataspace, number) });
    // What waits for home would keep it waiting.
    this.answer(page, number, dataspace);
  }

  private alone(page: BorrowedPage, number: number, dataspace: bigint): void {
    const known = this.borrowed.get(dataspace)!;
    const isOver = page.revoked || this.ending || page.broken || page.orphaned || known.draining;
    page.given = 'NOTHING';
    page.taking = false;
    if (page.revoked || (isOver && page.home === 'OWNED') || page.broken)
      this.giveBack(page, number, dataspace);
    else if (page.home === 'LENT' && this.ended) this.forget(page, number, dataspace);
    page.revoked = page.broken = false;
    this.answer(page, number, dataspace);
  }

  private broken(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.broken = true;
    // What waited is looked at anew, and finds nothing.
    page.asked = undefined;
    this.take(page, number, dataspace);
  }

  // Nodes have nothing of it.
  private giveBack(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.home === 'OWNED') this.owe(page, number, dataspace);
    // What is owed is on its way, whatever else becomes of the page here.
    else if (page.home !== 'OWED') {
      if (page.home === 'LENT') this.forget(page, number, dataspace);
      this.sayReturned(page, number, dataspace, 'READ');
    }
  }

  private owe(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.home = 'OWED';
    page.owed = !page.written ? 'UNWRITTEN' : page.broken ? 'LOST' : 'WRITTEN';
    if (page.owed === 'WRITTEN') this.say({ type: 'keep', run: runOf(dataspace, number) });
    if (page.orphaned) this.done(page, number, dataspace, true);
    else this.sayReturned(page, number, dataspace, page.owed);
  }

  // Home has it, or went on without it.
  private done(page: BorrowedPage, number: number, dataspace: bigint, gone: boolean): void {
    if (gone && page.owed !== 'UNWRITTEN') this.say({ type: 'gone', run: runOf(dataspace, number) });
    page.written = page.orphaned = false;
    this.forget(page, number, dataspace);
  }

  private forget(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.home = 'NONE';
    this.say({ type: 'forget', run: runOf(dataspace, number) });
  }

  // ---- dataspaces

  private open({ dataspace, pageCount }: EventOf<'open'>): void {
    if (!this.borrowed.has(dataspace))
      this.borrowed.set(dataspace, { pageCount, draining: false, pages: new Map() });
  }

  private drain(dataspace: bigint): void {
    const known = this.borrowed.get(dataspace);
    if (known === undefined) return;
    known.draining = true;
    for (const [number, page] of [...known.pages]) {
      if (page.home !== 'NONE' || page.given !== 'NOTHING') this.revoked(page, number, dataspace);
      this.deny(page, number, dataspace);
      this.tidy(known, page, number);
    }
  }

  private close(dataspace: bigint): void {
    const known = this.borrowed.get(dataspace);
    this.borrowed.delete(dataspace);
    // Whoever uses them has an error by now, or nothing.
    for (const [number, page] of known?.pages ?? []) {
      if (page.home === 'OWNED') {
        // Nobody took it from its nodes: whether they wrote it is not known.
        page.broken = true;
        if (page.written && !page.orphaned) this.say({ type: 'gone', run: runOf(dataspace, number) });
        this.owe(page, number, dataspace);
      } else if (page.home === 'LENT') this.forget(page, number, dataspace);
      if (page.home === 'OWED') this.debtsOf(dataspace).set(number, page);
    }
  }

  private debtsOf(dataspace: bigint): Map<number, BorrowedPage> {
    const debts = this.debts.get(dataspace) ?? new Map<number, BorrowedPage>();
    this.debts.set(dataspace, debts);
    return debts;
  }

  // Home has it, or went on without it, which of what died here was said before.
  private paid(dataspace: bigint, number: number, page: BorrowedPage, gone: boolean): void {
    const debts = this.debtsOf(dataspace);
    debts.delete(number);
    if (debts.size === 0) this.debts.delete(dataspace);
    this.done(page, number, dataspace, gone && page.owed === 'WRITTEN');
    const known = this.borrowed.get(dataspace)?.pages.get(number);
    if (known !== undefined) this.answer(known, number, dataspace);
  }

  private settledDebts({ run, lending, gone }: EventOf<'settled'>): void {
    const debts = this.debts.get(run.dataspace);
    for (
      let number = run.firstPage;
      debts !== undefined && number < run.firstPage + run.pageCount;
      number++
    ) {
      const page = debts.get(number);
      if (page?.lending === lending) this.paid(run.dataspace, number, page, gone);
    }
  }

  // Of a dataspace that was closed while that was under way nobody has anything but what is owed.
  private closedMeanwhile(event: Extract<BorrowerEvent, { run: PageRun }>): void {
    if (event.type !== 'revoked' && event.type !== 'lent') return;
    const { dataspace, firstPage, pageCount } = event.run;
    const debts = this.debts.get(dataspace);
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      if (debts?.has(number)) continue;
      const kinds: ReturnedAs[] =
        event.type === 'revoked' ? ['LOST', 'READ'] : [event.mode === 'WRITE' ? 'UNWRITTEN' : 'READ'];
      for (const as of kinds)
        this.say({ type: 'return', run: runOf(dataspace, number), lending: event.lending, as });
    }
  }

  // ---- runs

  private forPages(apply: (page: BorrowedPage, number: number, dataspace: bigint) => void): void {
    for (const [dataspace, known] of this.borrowed)
      for (const [number, page] of [...known.pages]) {
        apply(page, number, dataspace);
        this.tidy(known, page, number);
      }
  }

  private each(
    event: Extract<BorrowerEvent, { run: PageRun }>,
    apply: (page: BorrowedPage, number: number) => void,
  ): void {
    const { dataspace, firstPage, pageCount } = event.run;
    const known = this.borrowed.get(dataspace);
    if (event.type === 'settled') this.settledDebts(event);
    if (known === undefined) {
      this.closedMeanwhile(event);
      return;
    }
    if (firstPage + pageCount > known.pageCount)
      throw new RangeError(
        `pages up to ${firstPage + pageCount} of dataspace ${dataspace}, which has ${known.pageCount}`,
      );
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      let page = known.pages.get(number);
      if (page === undefined) {
        page = newBorrowedPage();
        known.pages.set(number, page);
      }
      apply(page, number);
      if (known.draining) this.deny(page, number, dataspace);
      this.tidy(known, page, number);
    }
  }

  private tidy({ pages }: Borrowed, page: BorrowedPage, number: number): void {
    if (isPlain(page)) pages.delete(number);
  }

  private sayReturned({ lending }: BorrowedPage, number: number, dataspace: bigint, as: ReturnedAs): void {
    if (as === 'READ' || this.isUp) this.say({ type: 'return', run: runOf(dataspace, number), lending, as });
  }

  // To the last of its kind, where that is of the page before.
  private say(action: Exclude<BorrowerAction, { type: 'renew' }>): void {
    const last = this.actions.findLast(({ type }) => type === action.type);
    addOnRun<BorrowerAction>(this.actions, action, last);
  }

  private taken(): BorrowerAction[] {
    this.lookForRoom();
    const { actions } = this;
    this.actions = [];
    return actions;
  }
}
