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
// ends it takes back all that they have (home-lease.ts).
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
import { type PageRun, type PageSpan, unreachable } from '../page.ts';
import { type BorrowedPage, suffices } from './borrowed-page.ts';
import { BorrowedPages } from './borrowed-pages.ts';
import type { BorrowerAction, BorrowerEvent } from './borrower-messages.ts';
import { HomeLease } from './home-lease.ts';
import type { ReturnedAs } from './lender-messages.ts';
import { addOnRun, runOf } from './run-actions.ts';

type EventOf<Type extends BorrowerEvent['type']> = Extract<BorrowerEvent, { type: Type }>;

export class PageBorrower {
  private readonly pages: BorrowedPages;
  private readonly lease: HomeLease;
  /** OWED pages of dataspaces that were closed. */
  private readonly debts = new Map<bigint, Map<number, BorrowedPage>>();
  private life: bigint | undefined;
  private nowMs = Number.NEGATIVE_INFINITY;
  private actions: BorrowerAction[] = [];

  /**
   * @param nodeLeaseMs of the own directory
   * @param pagesMax of home at a time: for more the oldest are given back
   */
  constructor(nodeLeaseMs: number, pagesMax = Number.POSITIVE_INFINITY) {
    this.lease = new HomeLease(nodeLeaseMs);
    this.pages = new BorrowedPages(pagesMax);
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
    if (this.lease.isDue(nowMs)) this.renew();
    return this.taken();
  }

  private begin(nowMs: number): void {
    this.actions = [];
    this.nowMs = nowMs;
    this.pages.begin();
    this.look();
  }

  /** When `tick` is to be called. */
  get nextMs(): number {
    return this.lease.nextMs;
  }

  /** What is lent may be given to nodes. */
  get isLeased(): boolean {
    return !this.lease.ended;
  }

  /** Until when anything that is lent may be used. */
  get endMs(): number {
    return this.lease.endMs;
  }

  /** The last lease was too short for anything to be given to nodes. */
  get isTooShort(): boolean {
    return this.lease.isTooShort;
  }

  /** Nodes have nothing of a dataspace, and home has all of it. */
  isDrained(dataspace: bigint): boolean {
    return this.pages.countOf(dataspace) === 0;
  }

  /** Pages of a dataspace that home lent. */
  lentOf(dataspace: bigint): number {
    return this.pages.lentOf(dataspace);
  }

  /** Pages of a dataspace that are being taken from nodes: a directory that lost this holder meanwhile has to be asked anew. */
  takingOf(dataspace: bigint): PageSpan[] {
    return this.pages.takingOf(dataspace);
  }

  // ---- the line to home

  private joined(life: bigint): void {
    this.lease.joined();
    // What another gateway of home lent was lent by its lease, and that is not renewed any more.
    if (life !== this.life) {
      this.life = life;
      this.lease.forfeit();
      this.orphanAll();
      if (!this.lease.ended) {
        this.takeAll();
        this.lease.end();
        this.forgetRead();
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
    this.lease.lost();
    this.forPages((page) => {
      page.wants = 'NOTHING';
      page.asks = 0;
    });
  }

  private renew(): void {
    this.actions.push({ type: 'renew', sentMs: Math.floor(this.nowMs) });
    this.lease.asked(this.nowMs);
  }

  private renewed(renewal: EventOf<'renewed'>): void {
    if (!this.lease.isUp) return;
    // What was asked for when it ended home does not remember.
    if (this.lease.ended)
      this.forPages((page) => {
        page.wants = 'NOTHING';
      });
    this.lease.renewed(renewal);
    this.look();
    this.askAll();
  }

  private look(): void {
    const { mustTake, isOver } = this.lease.look(this.nowMs);
    if (mustTake) this.takeAll();
    if (isOver) this.forgetRead();
  }

  private takeAll(): void {
    this.forPages((page, number, dataspace) => {
      if (page.given !== 'NOTHING') this.take(page, number, dataspace);
      else if (page.home === 'OWNED') this.owe(page, number, dataspace);
    });
  }

  // What was lent to read goes with the lease.
  private forgetRead(): void {
    this.forPages((page, number, dataspace) => {
      if (page.home === 'LENT') this.forget(page, number, dataspace);
    });
  }

  // ---- what nodes ask for

  private askedFor(page: BorrowedPage, number: number, { run, mode }: EventOf<'asked'>): void {
    page.asked = mode;
    if (this.pages.get(run.dataspace)?.draining === true) return;
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
    return !this.lease.ending || (taking && this.lease.mayStillServe(this.nowMs));
  }

  private ask(page: BorrowedPage, number: number, dataspace: bigint): void {
    const { asked, wants, home } = page;
    if (asked === undefined || this.lease.ending || !this.lease.isUp || home === 'OWED') return;
    if (this.debts.get(dataspace)?.has(number)) return;
    const mode = asked === 'READ' ? 'READ' : 'WRITE';
    if (wants === 'WRITE' || wants === mode) return;
    if (home === 'NONE' && wants === 'NOTHING' && !this.hasRoom()) return;
    page.wants = mode;
    page.asks++;
    this.say({ type: 'want', run: runOf(dataspace, number), mode });
  }

  private askAll(): void {
    if (!this.lease.ending) this.forPages((page, number, dataspace) => this.answer(page, number, dataspace));
  }

  // One more may be asked for; else one that is older goes, and whoever waits is looked at again when it has gone.
  private hasRoom(): boolean {
    const { may, oldest } = this.pages.takeRoom();
    if (oldest !== undefined) this.revoked(oldest.page, oldest.number, oldest.dataspace);
    return may;
  }

  // Some page may be of home no more.
  private lookForRoom(): void {
    if (this.pages.endWaiting()) this.askAll();
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
    if (this.pages.get(dataspace)?.draining === true) this.revoked(page, number, dataspace);
    else if (this.lease.ending && page.home === 'OWNED' && page.given === 'NOTHING' && !page.taking)
      this.owe(page, number, dataspace);
    else if (this.lease.ended && page.home === 'LENT') this.forget(page, number, dataspace);
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
    const known = this.pages.get(dataspace)!;
    const isOver = page.revoked || this.lease.ending || page.broken || page.orphaned || known.draining;
    page.given = 'NOTHING';
    page.taking = false;
    if (page.revoked || (isOver && page.home === 'OWNED') || page.broken)
      this.giveBack(page, number, dataspace);
    else if (page.home === 'LENT' && this.lease.ended) this.forget(page, number, dataspace);
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
    this.pages.open(dataspace, pageCount);
  }

  private drain(dataspace: bigint): void {
    const known = this.pages.get(dataspace);
    if (known === undefined) return;
    known.draining = true;
    for (const [number, page] of [...known.pages]) {
      if (page.home !== 'NONE' || page.given !== 'NOTHING') this.revoked(page, number, dataspace);
      this.deny(page, number, dataspace);
      this.pages.tidy(known, page, number);
    }
  }

  private close(dataspace: bigint): void {
    const known = this.pages.get(dataspace);
    this.pages.close(dataspace);
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
    const known = this.pages.get(dataspace)?.pages.get(number);
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
    this.pages.each(apply);
  }

  private each(
    event: Extract<BorrowerEvent, { run: PageRun }>,
    apply: (page: BorrowedPage, number: number) => void,
  ): void {
    const { dataspace, firstPage, pageCount } = event.run;
    const known = this.pages.get(dataspace);
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
      const page = this.pages.of(known, number);
      apply(page, number);
      if (known.draining) this.deny(page, number, dataspace);
      this.pages.tidy(known, page, number);
    }
  }

  private sayReturned({ lending }: BorrowedPage, number: number, dataspace: bigint, as: ReturnedAs): void {
    if (as === 'READ' || this.lease.isUp)
      this.say({ type: 'return', run: runOf(dataspace, number), lending, as });
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
