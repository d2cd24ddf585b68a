// Pages that the gateway of a cluster borrows of another one, their home: in its own directory it owns each page of a dataspace that stands
// for the one at home, and gives it to nodes that read it, as long as it has it of home.
//
//   home          of home the gateway has    nodes of its cluster
//   NONE          nothing                    nothing: who asks waits
//   ASKED         nothing yet                nothing: who asks waits
//   LENT          the page, to read          nothing, or (`shared`) the page, to read: by its own directory, which asked the gateway for it
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
// While a page is being taken the own directory may ask for it for a node that came first: what is not given then would keep the taking
// waiting. Home waits for the return, or for the end of the lease, so it may be given. Pure.
import { guardMs, renewEveryMs } from '../lease.ts';
import { type PageRun, type PageSpan, spansOf, unreachable } from '../page.ts';
import type { BorrowerAction, BorrowerEvent } from './borrower-messages.ts';

interface BorrowedPage {
  home: 'NONE' | 'ASKED' | 'LENT';
  /** So often home was asked for it on this line, and has not answered. */
  asks: number;
  /** Nodes may have it. */
  shared: boolean;
  taking: boolean;
  /** Nodes wait for it. */
  asked: boolean;
  /** Home waits for it. */
  revoked: boolean;
  /** By which it was lent, or revoked. */
  lending: number;
}

interface Borrowed {
  pageCount: number;
  draining: boolean;
  pages: Map<number, BorrowedPage>;
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
  private readonly borrowed = new Map<bigint, Borrowed>();
  private life: bigint | undefined;
  private isUp = false;
  private leaseMs = 0;
  private untilMs = NEVER;
  private renewAtMs = Number.POSITIVE_INFINITY;
  private actions: BorrowerAction[] = [];
  /** Pages are taken back, or are. */
  private ending = true;
  private ended = true;

  /** @param nodeLeaseMs of the own directory */
  constructor(nodeLeaseMs: number) {
    this.nodeLeaseMs = nodeLeaseMs;
  }

  /**
   * Applies one event.
   * @throws RangeError where home says what it cannot: its line is to end
   */
  step(event: BorrowerEvent, nowMs: number): BorrowerAction[] {
    this.actions = [];
    this.look(nowMs);
    switch (event.type) {
      case 'open':
        if (!this.borrowed.has(event.dataspace))
          this.borrowed.set(event.dataspace, {
            pageCount: event.pageCount,
            draining: false,
            pages: new Map(),
          });
        break;
      case 'drain':
        this.drain(event.dataspace);
        break;
      case 'close':
        this.close(event.dataspace);
        break;
      case 'joined':
        this.joined(event.life, nowMs);
        break;
      case 'lost':
        this.lost();
        break;
      case 'renewed':
        this.renewed(event, nowMs);
        break;
      case 'lent':
        this.each(event, (page, number) => this.lent(page, number, event, nowMs));
        break;
      case 'refused':
        this.each(event, (page, number) => this.refused(page, number, event.run.dataspace));
        break;
      case 'revoked':
        this.each(event, (page, number) => this.revokedBy(page, number, event));
        break;
      case 'asked':
        this.each(event, (page, number) => this.askedFor(page, number, event.run.dataspace, nowMs));
        break;
      case 'alone':
        this.each(event, (page, number) => this.alone(page, number, event.run.dataspace));
        break;
      default:
        unreachable(event);
    }
    return this.taken();
  }

  /** The time has come, or not. */
  tick(nowMs: number): BorrowerAction[] {
    this.actions = [];
    this.look(nowMs);
    if (this.isUp && nowMs >= this.renewAtMs) this.renew(nowMs);
    return this.taken();
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
    for (const { home } of this.borrowed.get(dataspace)?.pages.values() ?? []) if (home === 'LENT') lent++;
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

  private joined(life: bigint, nowMs: number): void {
    this.isUp = true;
    // What another gateway of home lent was lent by its lease, and that is not renewed any more.
    if (life !== this.life) {
      this.life = life;
      this.leaseMs = 0;
      if (!this.ended) {
        this.untilMs = NEVER;
        this.takeAll();
        this.endLease();
      }
    }
    this.renew(nowMs);
    this.askAll();
  }

  private lost(): void {
    this.isUp = false;
    this.forgetAsked();
    for (const { pages } of this.borrowed.values()) for (const page of pages.values()) page.asks = 0;
  }

  private forgetAsked(): void {
    for (const { pages } of this.borrowed.values())
      for (const page of pages.values()) if (page.home === 'ASKED') page.home = 'NONE';
  }

  private renew(nowMs: number): void {
    this.actions.push({ type: 'renew', sentMs: Math.floor(nowMs) });
    this.renewAtMs = nowMs + (this.leaseMs > 0 ? renewEveryMs(this.leaseMs) : RENEW_FIRST_MS);
  }

  private renewed({ sentMs, leaseMs }: { sentMs: number; leaseMs: number }, nowMs: number): void {
    if (!this.isUp) return;
    // What was asked for when it ended home does not remember.
    if (this.ended) this.forgetAsked();
    this.leaseMs = leaseMs;
    this.untilMs = Math.max(this.untilMs, sentMs + leaseMs - guardMs(leaseMs));
    this.look(nowMs);
    this.askAll();
  }

  private look(nowMs: number): void {
    if (nowMs < this.takeAtMs) {
      this.ended = this.ending = false;
      return;
    }
    if (!this.ending) {
      this.ending = true;
      this.takeAll();
    }
    if (!this.ended && nowMs >= this.untilMs) this.endLease();
  }

  private takeAll(): void {
    for (const [dataspace, { pages }] of this.borrowed)
      for (const [number, page] of pages) if (page.shared) this.take(page, number, dataspace);
  }

  private endLease(): void {
    this.ended = this.ending = true;
    for (const [dataspace, { pages }] of this.borrowed) {
      for (const [number, page] of pages) if (page.home === 'LENT') this.forget(page, number, dataspace);
    }
  }

  // ---- pages

  private askedFor(page: BorrowedPage, number: number, dataspace: bigint, nowMs: number): void {
    page.asked = true;
    if (this.borrowed.get(dataspace)?.draining === true) return;
    if (page.home === 'LENT' && this.mayServe(page, nowMs)) this.serve(page, number, dataspace);
    else this.ask(page, number, dataspace);
  }

  private mayServe({ taking }: BorrowedPage, nowMs: number): boolean {
    return !this.ending || (taking && nowMs < this.untilMs - this.nodeLeaseMs - MARGIN_MS);
  }

  private ask(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (!page.asked || this.ending || !this.isUp) return;
    if (page.home === 'LENT') this.serve(page, number, dataspace);
    else if (page.home === 'NONE') {
      page.home = 'ASKED';
      page.asks++;
      this.say('want', dataspace, number);
    }
  }

  private askAll(): void {
    if (this.ending) return;
    for (const [dataspace, { pages }] of this.borrowed)
      for (const [number, page] of pages) this.ask(page, number, dataspace);
  }

  private serve(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.asked = false;
    page.shared = true;
    this.say('serve', dataspace, number);
  }

  private lent(
    page: BorrowedPage,
    number: number,
    { run: { dataspace }, lending }: Extract<BorrowerEvent, { type: 'lent' }>,
    nowMs: number,
  ): void {
    this.answered(page, number, dataspace);
    page.home = 'LENT';
    page.lending = Math.max(page.lending, lending);
    if (this.borrowed.get(dataspace)?.draining === true) this.revoked(page, number, dataspace);
    else if (this.ended) this.forget(page, number, dataspace);
    else if (page.asked && this.mayServe(page, nowMs)) this.serve(page, number, dataspace);
  }

  private refused(page: BorrowedPage, number: number, dataspace: bigint): void {
    this.answered(page, number, dataspace);
    if (page.home === 'ASKED') page.home = 'NONE';
    if (page.asked) this.say('deny', dataspace, number);
    page.asked = false;
  }

  private answered(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.asks === 0) throw new RangeError(`page ${number} of ${dataspace} comes, and was not asked for`);
    page.asks--;
  }

  private revokedBy(
    page: BorrowedPage,
    number: number,
    { run, lending }: Extract<BorrowerEvent, { type: 'revoked' }>,
  ): void {
    page.lending = Math.max(page.lending, lending);
    this.revoked(page, number, run.dataspace);
  }

  private revoked(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.shared) {
      page.revoked = true;
      this.take(page, number, dataspace);
      return;
    }
    if (page.home === 'LENT') this.forget(page, number, dataspace);
    this.sayReturned(page, number, dataspace);
    this.ask(page, number, dataspace);
  }

  private take(page: BorrowedPage, number: number, dataspace: bigint): void {
    if (page.taking) return;
    page.taking = true;
    this.say('take', dataspace, number);
  }

  private alone(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.shared = page.taking = false;
    if (page.home === 'LENT' && (page.revoked || this.ended)) this.forget(page, number, dataspace);
    if (page.revoked) this.sayReturned(page, number, dataspace);
    page.revoked = false;
    this.ask(page, number, dataspace);
  }

  private forget(page: BorrowedPage, number: number, dataspace: bigint): void {
    page.home = 'NONE';
    this.say('forget', dataspace, number);
  }

  private drain(dataspace: bigint): void {
    const known = this.borrowed.get(dataspace);
    if (known === undefined) return;
    known.draining = true;
    for (const [number, page] of [...known.pages]) {
      if (page.asked) this.say('deny', dataspace, number);
      page.asked = false;
      if (page.home === 'LENT' || page.shared) this.revoked(page, number, dataspace);
      this.tidy(known, page, number);
    }
  }

  private close(dataspace: bigint): void {
    const known = this.borrowed.get(dataspace);
    this.borrowed.delete(dataspace);
    // Whoever reads them has an error by now, or nothing.
    for (const [number, { home }] of known?.pages ?? [])
      if (home === 'LENT') this.say('forget', dataspace, number);
  }

  // ---- runs

  private each(
    event: Extract<BorrowerEvent, { run: PageRun }>,
    apply: (page: BorrowedPage, number: number) => void,
  ): void {
    const { dataspace, firstPage, pageCount } = event.run;
    const known = this.borrowed.get(dataspace);
    // It was closed while that was under way, and nobody has any of it.
    if (known === undefined) {
      if (event.type === 'revoked')
        this.actions.push({ type: 'return', run: { ...event.run }, lending: event.lending });
      return;
    }
    if (firstPage + pageCount > known.pageCount)
      throw new RangeError(
        `pages ${firstPage} to ${firstPage + pageCount} of ${dataspace}, which has ${known.pageCount}`,
      );
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      let page = known.pages.get(number);
      if (page === undefined) {
        page = {
          home: 'NONE',
          asks: 0,
          shared: false,
          taking: false,
          asked: false,
          revoked: false,
          lending: 0,
        };
        known.pages.set(number, page);
      }
      apply(page, number);
      if (page.asked && known.draining) {
        page.asked = false;
        this.say('deny', dataspace, number);
      }
      this.tidy(known, page, number);
    }
  }

  private tidy({ pages }: Borrowed, { home, asks, shared, asked }: BorrowedPage, number: number): void {
    if (home === 'NONE' && asks === 0 && !shared && !asked) pages.delete(number);
  }

  private sayReturned({ lending }: BorrowedPage, number: number, dataspace: bigint): void {
    const last = this.actions.findLast(({ type }) => type === 'return');
    if (last?.type === 'return' && last.lending === lending && extend(last.run, dataspace, number)) return;
    this.actions.push({ type: 'return', run: { dataspace, firstPage: number, pageCount: 1 }, lending });
  }

  private say(
    type: Exclude<BorrowerAction['type'], 'renew' | 'return'>,
    dataspace: bigint,
    number: number,
  ): void {
    const last = this.actions.findLast((action) => action.type === type);
    if (last !== undefined && 'run' in last && extend(last.run, dataspace, number)) return;
    this.actions.push({ type, run: { dataspace, firstPage: number, pageCount: 1 } });
  }

  private taken(): BorrowerAction[] {
    const { actions } = this;
    this.actions = [];
    return actions;
  }
}

/** True where the page comes right after a run, which has it then. */
function extend(run: PageRun, dataspace: bigint, page: number): boolean {
  if (run.dataspace !== dataspace || run.firstPage + run.pageCount !== page) return false;
  run.pageCount++;
  return true;
}
