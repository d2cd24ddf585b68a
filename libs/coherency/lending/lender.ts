// Pages that the gateway of a cluster lends to other clusters: it is a holder of its own directory, has them to read, and lets others read
// them, each by a lease of its own.
//
//   a page       at its own directory             at each other cluster
//   -            nobody asked for it              may want it: then it is asked for
//   readable     SHARED here                      wants it: gets it. Has it: until it gives it back, or its lease ends
//   taken        somebody writes it, and waits    is told to give it back. Then the directory hears that it is gone here; who wants
//                                                 it meanwhile waits until it is here again
//
// A lease of another cluster is told as a duration, which runs there from when it was asked for, and here from when that was heard: so it
// ends there first (lease.ts). It is never longer than what is left of the gateway's own lease: where the gateway dies, its directory
// waits for that, and then nobody has the pages any more.
//
// Who does not give a page back for too long has its lease renewed no more: so a writer at home waits for that, and for what is left of the
// lease, and no longer.
//
// What others say is looked at here: a page that is not exported, or past the end of its dataspace, is refused. Pure.
import { type PageRun, type PageSpan, spansOf, unreachable } from '../page.ts';
import {
  type Borrower,
  clusterOf,
  type LenderAction,
  type LenderEvent,
  type Taking,
} from './lender-messages.ts';

/** Whoever does not give back what is written at home for so long gets no longer lease. */
export const PATIENCE_MS = 1_000;

interface LentPage<Word> {
  readable: boolean;
  asked: boolean;
  /** Who has it, by which lending. */
  lent: Map<Borrower, number>;
  wanted: Set<Borrower>;
  taking: Word | undefined;
  /** Since when somebody who has it was told to give it back. */
  revokedAtMs: number | undefined;
}

interface Exported<Word> {
  pageCount: number;
  to: ReadonlySet<string>;
  pages: Map<number, LentPage<Word>>;
}

export class Lender<Word> {
  private readonly leaseMs: number;
  private readonly exported = new Map<bigint, Exported<Word>>();
  private readonly untilMs = new Map<Borrower, number>();
  private lendings = 0;
  private actions: LenderAction<Word>[] = [];

  /** @param leaseMs for which others are believed, at most */
  constructor(leaseMs: number) {
    this.leaseMs = leaseMs;
  }

  /** Applies one event. */
  step(event: LenderEvent<Word>, nowMs: number): LenderAction<Word>[] {
    this.actions = [];
    this.endLeases(nowMs);
    switch (event.type) {
      case 'export':
        this.export(event, nowMs);
        break;
      case 'remove':
        this.remove(event.dataspace);
        break;
      case 'joined':
        this.joined(event.peer);
        break;
      case 'renew':
        this.renew(event, nowMs);
        break;
      case 'wanted':
        this.wanted(event.peer, event.run, nowMs);
        break;
      case 'returned':
        this.returned(event);
        break;
      case 'ready':
        this.ready(event.run, nowMs);
        break;
      case 'failed':
        this.failed(event.run);
        break;
      case 'taken':
        this.taken(event, nowMs);
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
    return this.actions;
  }

  /** Ends leases whose time has come. */
  tick(nowMs: number): LenderAction<Word>[] {
    this.actions = [];
    this.endLeases(nowMs);
    return this.actions;
  }

  /** When the next lease ends. */
  get nextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.untilMs.values());
  }

  /** Pages of a dataspace that a cluster has. */
  lentTo(cluster: string, dataspace: bigint): number {
    let pages = 0;
    for (const { lent } of this.exported.get(dataspace)?.pages.values() ?? [])
      if ([...lent.keys()].some((peer) => clusterOf(peer) === cluster)) pages++;
    return pages;
  }

  // ---- what is exported

  private export(
    { dataspace, pageCount, to }: Extract<LenderEvent<Word>, { type: 'export' }>,
    nowMs: number,
  ): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) {
      if (to.size > 0) this.exported.set(dataspace, { pageCount, to, pages: new Map() });
      return;
    }
    known.to = to;
    const revoked = new Map<Borrower, number[]>();
    for (const [number, { lent, wanted }] of known.pages)
      for (const peer of [...lent.keys(), ...wanted])
        if (!to.has(clusterOf(peer))) listOf(revoked, peer).push(number);
    for (const [peer, pages] of revoked) {
      for (const number of pages) {
        const page = known.pages.get(number)!;
        page.wanted.delete(peer);
        page.revokedAtMs ??= nowMs;
      }
      this.say('revoke', peer, dataspace, pages);
    }
  }

  private remove(dataspace: bigint): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) return;
    this.exported.delete(dataspace);
    for (const peer of new Set([...known.pages.values()].flatMap(({ lent }) => [...lent.keys()])))
      this.say(
        'revoke',
        peer,
        dataspace,
        [...known.pages].flatMap(([page, { lent }]) => (lent.has(peer) ? [page] : [])),
      );
  }

  // ---- the other cluster

  private joined(peer: Borrower): void {
    for (const [dataspace, { pages, to }] of this.exported) {
      const due = [...pages].flatMap(([number, page]) => {
        // What it asked for on an earlier line it asks for again.
        page.wanted.delete(peer);
        return page.lent.has(peer) && (page.taking !== undefined || !to.has(clusterOf(peer))) ? [number] : [];
      });
      this.say('revoke', peer, dataspace, due);
    }
  }

  private renew(
    { peer, sentMs, homeLeaseMs }: Extract<LenderEvent<Word>, { type: 'renew' }>,
    nowMs: number,
  ): void {
    const leaseMs = Math.floor(Math.min(this.leaseMs, homeLeaseMs));
    if (leaseMs <= 0 || this.isOverdue(peer, nowMs)) return;
    this.untilMs.set(peer, Math.max(this.untilMs.get(peer) ?? 0, nowMs + leaseMs));
    this.actions.push({ type: 'renewed', peer, sentMs, leaseMs });
  }

  private isOverdue(peer: Borrower, nowMs: number): boolean {
    for (const { pages } of this.exported.values())
      for (const { lent, revokedAtMs } of pages.values())
        if (revokedAtMs !== undefined && nowMs - revokedAtMs > PATIENCE_MS && lent.has(peer)) return true;
    return false;
  }

  private wanted(peer: Borrower, run: PageRun, nowMs: number): void {
    const known = this.exported.get(run.dataspace);
    if (known?.to.has(clusterOf(peer)) !== true || run.firstPage + run.pageCount > known.pageCount) {
      this.actions.push({ type: 'refuse', peer, run });
      return;
    }
    // It asks again when it has one.
    if (!this.isLeased(peer, nowMs)) return;
    const lend: number[] = [];
    const want: number[] = [];
    for (let number = run.firstPage; number < run.firstPage + run.pageCount; number++) {
      const page = this.pageOf(known, number);
      if (page.readable && page.taking === undefined) {
        page.lent.set(peer, this.lendings + 1);
        lend.push(number);
      } else {
        page.wanted.add(peer);
        if (this.mustAsk(page)) want.push(number);
      }
    }
    this.say('lend', peer, run.dataspace, lend);
    this.want(run.dataspace, want);
  }

  private returned({ peer, run, lending }: Extract<LenderEvent<Word>, { type: 'returned' }>): void {
    const known = this.exported.get(run.dataspace);
    if (known === undefined) return;
    const end = Math.min(run.firstPage + run.pageCount, known.pageCount);
    for (let number = run.firstPage; number < end; number++)
      this.back(peer, run.dataspace, known, number, lending);
  }

  private back(
    peer: Borrower,
    dataspace: bigint,
    known: Exported<Word>,
    number: number,
    upTo = Number.POSITIVE_INFINITY,
  ): boolean {
    const page = known.pages.get(number);
    if (page === undefined || (page.lent.get(peer) ?? 0) > upTo) return false;
    if (!page.lent.delete(peer)) return false;
    if (page.lent.size === 0) page.revokedAtMs = undefined;
    if (page.taking === undefined) return false;
    if (page.lent.size === 0) this.release(dataspace, known, number, page, page.taking);
    return true;
  }

  private isLeased(peer: Borrower, nowMs: number): boolean {
    return nowMs < (this.untilMs.get(peer) ?? Number.NEGATIVE_INFINITY);
  }

  private endLeases(nowMs: number): void {
    for (const [peer, untilMs] of [...this.untilMs]) {
      if (nowMs < untilMs) continue;
      this.untilMs.delete(peer);
      let pages = 0;
      for (const [dataspace, known] of this.exported)
        for (const [number, { wanted }] of [...known.pages]) {
          wanted.delete(peer);
          if (this.back(peer, dataspace, known, number)) pages++;
        }
      if (pages > 0) this.actions.push({ type: 'overdue', peer, pages });
    }
  }

  // ---- the own directory

  private ready({ dataspace, firstPage, pageCount }: PageRun, nowMs: number): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) return;
    const lend = new Map<Borrower, number[]>();
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = this.pageOf(known, number);
      page.readable = true;
      page.asked = false;
      for (const peer of page.wanted) {
        if (!known.to.has(clusterOf(peer)) || !this.isLeased(peer, nowMs)) continue;
        listOf(lend, peer).push(number);
      }
      page.wanted.clear();
    }
    for (const [peer, pages] of lend) {
      for (const number of pages) known.pages.get(number)!.lent.set(peer, this.lendings + 1);
      this.say('lend', peer, dataspace, pages);
    }
  }

  private failed({ dataspace, firstPage, pageCount }: PageRun): void {
    const known = this.exported.get(dataspace);
    if (known === undefined) return;
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = known.pages.get(number);
      if (page === undefined) continue;
      page.asked = false;
      for (const peer of page.wanted) this.say('refuse', peer, dataspace, [number]);
      page.wanted.clear();
    }
  }

  private taken({ run, word }: Taking<Word>, nowMs: number): void {
    const { dataspace, firstPage, pageCount } = run;
    const known = this.exported.get(dataspace);
    if (known === undefined) {
      this.actions.push({ type: 'release', run, word });
      return;
    }
    const revoke = new Map<Borrower, number[]>();
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = this.pageOf(known, number);
      // Said before: they know.
      const isNews = page.taking === undefined;
      if (page.lent.size === 0) this.release(dataspace, known, number, page, word);
      else {
        page.taking = word;
        page.revokedAtMs ??= nowMs;
      }
      if (isNews) for (const peer of page.lent.keys()) listOf(revoke, peer).push(number);
    }
    for (const [peer, pages] of revoke) this.say('revoke', peer, dataspace, pages);
  }

  private release(
    dataspace: bigint,
    known: Exported<Word>,
    number: number,
    page: LentPage<Word>,
    word: Word,
  ): void {
    page.readable = false;
    page.taking = undefined;
    this.actions.push({ type: 'release', run: { dataspace, firstPage: number, pageCount: 1 }, word });
    if (page.wanted.size > 0 && this.mustAsk(page)) this.want(dataspace, [number]);
    else if (!page.asked) known.pages.delete(number);
  }

  // What an earlier leader said must not be answered to this one.
  private rejoined(): void {
    for (const { pages } of this.exported.values())
      for (const page of pages.values()) page.taking = undefined;
  }

  private voided(): void {
    this.untilMs.clear();
    for (const { pages } of this.exported.values()) pages.clear();
  }

  // ---- pages

  private mustAsk(page: LentPage<Word>): boolean {
    if (page.asked || page.taking !== undefined) return false;
    page.asked = true;
    return true;
  }

  private pageOf({ pages }: Exported<Word>, number: number): LentPage<Word> {
    let page = pages.get(number);
    if (page === undefined) {
      page = {
        readable: false,
        asked: false,
        lent: new Map(),
        wanted: new Set(),
        taking: undefined,
        revokedAtMs: undefined,
      };
      pages.set(number, page);
    }
    return page;
  }

  private want(dataspace: bigint, pages: readonly number[]): void {
    for (const span of spansOf(pages)) this.actions.push({ type: 'want', run: { dataspace, ...span } });
  }

  private say(
    type: 'lend' | 'refuse' | 'revoke',
    peer: Borrower,
    dataspace: bigint,
    pages: readonly number[],
  ): void {
    if (pages.length === 0) return;
    if (type === 'lend') this.lendings++;
    const { lendings: lending } = this;
    for (const span of spansOf(pages)) {
      const run = runOf(dataspace, span);
      this.actions.push(type === 'refuse' ? { type, peer, run } : { type, peer, run, lending });
    }
  }
}

function listOf(map: Map<Borrower, number[]>, peer: Borrower): number[] {
  let list = map.get(peer);
  if (list === undefined) {
    list = [];
    map.set(peer, list);
  }
  return list;
}

const runOf = (dataspace: bigint, span: PageSpan): PageRun => ({ dataspace, ...span });
