// Two clusters around a lender and a borrower, as far as these see of them: a directory each, a writer at home, readers on nodes of the
// other cluster, a line that delays, breaks and is silent, and gateways that die. All by one clock and one source of chance.
import assert from 'node:assert/strict';
import type { PageRun } from '../../page.ts';
import { PageBorrower } from '../borrower.ts';
import type { BorrowerAction, BorrowerEvent } from '../borrower-messages.ts';
import { Lender } from '../lender.ts';
import { type Borrower, borrowerOf, type LenderAction, type LenderEvent } from '../lender-messages.ts';

export const NODE_LEASE_MS = 1_000;
export const HOME_LEASE_MS = 6_000;
const PAGES = 3;
const DATASPACE = 7n;
const NODES = 3;

/** A number below `most`. */
export type Chance = (most: number) => number;

type Said = { to: 'lender'; event: LenderEvent<number> } | { to: 'borrower'; event: BorrowerEvent };

interface HomePage {
  value: number;
  /** The lender has it. */
  shared: boolean;
  /** A write waits for the lender since then. */
  writingSinceMs: number | undefined;
  wanted: boolean;
}

interface FarPage {
  /** What a node has. */
  copies: Map<number, number>;
  /** In order: reads of nodes, and takings of the gateway. */
  queue: (number | 'take')[];
  /** The gateway was asked for the page, for this node. */
  asked: boolean;
  /** Nodes whose answer a taking waits for, until then at most. */
  unacked: Set<number> | undefined;
}

export class TwoClusters {
  nowMs = 0;
  reads = 0;
  writes = 0;
  /** The longest that a writer waited. */
  waitedMs = 0;
  private readonly chance: Chance;
  private readonly makeBorrower: () => PageBorrower;
  private readonly makeLender: () => Lender<number>;
  private lender: Lender<number>;
  private borrower: PageBorrower;
  private life = 1n;
  /** When the lender's own lease ends, should it be renewed no more. */
  private homeUntilMs = HOME_LEASE_MS;
  private lenderLives = true;
  private readonly lenderMayDie: boolean;
  private borrowerDiedAtMs: number | undefined;
  private borrowerLife = 1;
  private readonly home: HomePage[] = [];
  private readonly far: FarPage[] = [];
  /** What the gateway of the other cluster has. */
  private readonly store = new Map<number, number>();
  /** Values that are lent, in order of the line. */
  private readonly line: { dueMs: number; said: Said; values?: number[]; line: number }[] = [];
  private lineNumber = 0;
  private isUp = false;
  private isSilent = false;
  /** Nodes that hear nothing of their directory, since then. */
  private readonly cut = new Map<number, number>();

  constructor(
    chance: Chance,
    make: { lender?: () => Lender<number>; borrower?: () => PageBorrower; lenderMayDie?: boolean } = {},
  ) {
    this.chance = chance;
    this.lenderMayDie = make.lenderMayDie ?? true;
    this.makeLender = make.lender ?? (() => new Lender<number>(Number.MAX_SAFE_INTEGER));
    this.makeBorrower = make.borrower ?? (() => new PageBorrower(NODE_LEASE_MS));
    this.lender = this.makeLender();
    this.borrower = this.makeBorrower();
    for (let i = 0; i < PAGES; i++) {
      this.home.push({ value: 0, shared: false, writingSinceMs: undefined, wanted: false });
      this.far.push({ copies: new Map(), queue: [], asked: false, unacked: undefined });
    }
    this.begin();
  }

  private begin(): void {
    this.tell({ type: 'export', dataspace: DATASPACE, pageCount: PAGES, to: new Set(['far']) });
    this.hear({ type: 'open', dataspace: DATASPACE, pageCount: PAGES });
    this.connect();
  }

  private get peer(): Borrower {
    return borrowerOf('far', String(this.borrowerLife));
  }

  // ---- what chance does

  /** One thing happens, and some time goes by. */
  step(): void {
    const what = this.chance(100);
    const page = this.chance(PAGES);
    if (what < 30) this.read(page, this.chance(NODES));
    else if (what < 45) this.write(page);
    else if (what < 48) this.breakLine();
    else if (what < 50) this.isSilent = !this.isSilent;
    else if (what < 53) this.cutNode(this.chance(NODES));
    else if (what < 54) this.killLender();
    else if (what < 55) this.killBorrower();
    const passMs = this.chance(20) === 0 ? this.chance(3_000) : this.chance(60);
    this.pass(passMs);
  }

  /** No more faults: all who wait are served. */
  settle(): void {
    this.isSilent = false;
    for (let i = 0; i < 60; i++) this.pass(500);
    for (const [page, { queue, copies }] of this.far.entries()) {
      assert.deepEqual(queue, [], `somebody waits for page ${page}`);
      for (const node of copies.keys()) this.look(page, node);
    }
    for (const { writingSinceMs } of this.home) assert.equal(writingSinceMs, undefined, 'a writer waits');
  }

  private pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + 20);
      this.turn();
    }
  }

  private turn(): void {
    if (this.lenderLives) this.homeUntilMs = this.nowMs + HOME_LEASE_MS;
    else if (this.nowMs >= this.homeUntilMs) this.buryLender();
    for (const [node, sinceMs] of this.cut) {
      if (this.nowMs < sinceMs + NODE_LEASE_MS) continue;
      // It takes its access away itself, and its directory takes it for dead after that.
      this.cut.delete(node);
      for (const [number, page] of this.far.entries()) {
        page.copies.delete(node);
        if (page.unacked?.delete(node) && page.unacked.size === 0) this.tookAll(number);
        if (page.queue[0] === node && page.asked) this.next(number);
        page.queue = page.queue.filter((each) => each !== node);
      }
    }
    const diedMs = this.borrowerDiedAtMs;
    if (diedMs !== undefined && this.nowMs >= diedMs + NODE_LEASE_MS) this.buryBorrower();
    this.deliver();
    if (this.lenderLives) this.performLender(this.lender.tick(this.nowMs));
    if (diedMs === undefined) this.performBorrower(this.borrower.tick(this.nowMs));
    if (!this.isUp && this.lenderLives && this.borrowerDiedAtMs === undefined && this.chance(30) === 0)
      this.connect();
    for (let page = 0; page < PAGES; page++) this.goOn(page);
    // Whoever has a page reads it now.
    for (const [page, { copies }] of this.far.entries())
      for (const node of copies.keys()) this.look(page, node);
  }

  /** A node reads what it has: it must be what was written last. */
  private look(page: number, node: number): void {
    const value = this.far[page]!.copies.get(node);
    if (value === undefined) return;
    this.reads++;
    assert.equal(
      value,
      this.home[page]!.value,
      `node ${node} reads page ${page} as it was, at ${this.nowMs}`,
    );
  }

  // ---- home

  private write(number: number): void {
    const page = this.home[number]!;
    if (page.writingSinceMs !== undefined) return;
    page.writingSinceMs = this.nowMs;
    if (!page.shared) this.wrote(page);
    else this.tell({ type: 'taken', run: runOf(number), word: page.value });
  }

  private wrote(page: HomePage): void {
    this.waitedMs = Math.max(this.waitedMs, this.nowMs - page.writingSinceMs!);
    page.writingSinceMs = undefined;
    page.shared = false;
    page.value++;
    this.writes++;
  }

  private give(number: number): void {
    const page = this.home[number]!;
    if (!page.wanted || page.writingSinceMs !== undefined || !this.lenderLives) return;
    page.wanted = false;
    page.shared = true;
    this.tell({ type: 'ready', run: runOf(number) });
  }

  private killLender(): void {
    if (!this.lenderLives || !this.lenderMayDie) return;
    this.breakLine();
    this.lenderLives = false;
  }

  private buryLender(): void {
    for (const page of this.home) {
      page.wanted = false;
      page.shared = false;
      if (page.writingSinceMs !== undefined) this.wrote(page);
    }
    this.lender = this.makeLender();
    this.life++;
    this.lenderLives = true;
    this.homeUntilMs = this.nowMs + HOME_LEASE_MS;
    this.tell({ type: 'export', dataspace: DATASPACE, pageCount: PAGES, to: new Set(['far']) });
  }

  private tell(event: LenderEvent<number>): void {
    if (this.lenderLives) this.performLender(this.lender.step(event, this.nowMs));
  }

  private performLender(actions: readonly LenderAction<number>[]): void {
    for (const action of actions) {
      // There is no line to a gateway that is no more.
      if ('peer' in action && action.peer !== this.peer) continue;
      switch (action.type) {
        case 'lend': {
          const pages = pagesOf(action.run);
          for (const page of pages) assert(this.home[page]!.shared, `page ${page} is lent, and not here`);
          this.send(
            { to: 'borrower', event: { type: 'lent', run: action.run, lending: action.lending } },
            this.valuesOf(pages),
          );
          break;
        }
        case 'refuse':
          this.send({ to: 'borrower', event: { type: 'refused', run: action.run } });
          break;
        case 'revoke':
          this.send({ to: 'borrower', event: { type: 'revoked', run: action.run, lending: action.lending } });
          break;
        case 'renewed': {
          const { sentMs, leaseMs } = action;
          this.send({ to: 'borrower', event: { type: 'renewed', sentMs, leaseMs } });
          break;
        }
        case 'want':
          for (const page of pagesOf(action.run)) this.home[page]!.wanted = true;
          break;
        case 'release':
          for (const page of pagesOf(action.run)) {
            assert(this.home[page]!.writingSinceMs !== undefined, 'a release that nobody waits for');
            this.wrote(this.home[page]!);
          }
      }
    }
  }

  private valuesOf = (pages: readonly number[]): number[] => pages.map((page) => this.home[page]!.value);

  // ---- the other cluster

  private read(number: number, node: number): void {
    const page = this.far[number]!;
    if (this.cut.has(node) || page.copies.has(node) || page.queue.includes(node)) return;
    page.queue.push(node);
  }

  private cutNode(node: number): void {
    if (!this.cut.has(node)) this.cut.set(node, this.nowMs);
  }

  private killBorrower(): void {
    if (this.borrowerDiedAtMs !== undefined) return;
    this.breakLine();
    this.borrowerDiedAtMs = this.nowMs;
  }

  // All that it had is taken from all, who answer, or whose lease ends.
  private buryBorrower(): void {
    for (const page of this.far) {
      for (const node of [...page.copies.keys()]) if (!this.cut.has(node)) page.copies.delete(node);
      Object.assign(page, { queue: [], asked: false, unacked: undefined });
    }
    this.store.clear();
    this.borrowerLife++;
    this.borrower = this.makeBorrower();
    this.borrowerDiedAtMs = undefined;
    this.hear({ type: 'open', dataspace: DATASPACE, pageCount: PAGES });
  }

  /** The directory of the other cluster: one change of a page after the other. */
  private goOn(number: number): void {
    const page = this.far[number]!;
    this.give(number);
    const first = page.queue[0];
    if (first === undefined || this.borrowerDiedAtMs !== undefined) return;
    if (first === 'take') {
      if (page.unacked !== undefined) {
        // Nodes answer when they hear it.
        for (const node of [...page.unacked])
          if (!this.cut.has(node) && this.chance(3) === 0) {
            page.copies.delete(node);
            page.unacked.delete(node);
          }
      } else page.unacked = new Set(page.copies.keys());
      if (page.unacked.size === 0) this.tookAll(number);
    } else if (!page.asked) {
      page.asked = true;
      this.hear({ type: 'asked', run: runOf(number) });
    }
  }

  private tookAll(number: number): void {
    this.far[number]!.unacked = undefined;
    this.next(number);
    this.hear({ type: 'alone', run: runOf(number) });
  }

  private next(number: number): void {
    const page = this.far[number]!;
    page.queue.shift();
    page.asked = false;
  }

  private hear(event: BorrowerEvent): void {
    if (this.borrowerDiedAtMs === undefined) this.performBorrower(this.borrower.step(event, this.nowMs));
  }

  private performBorrower(actions: readonly BorrowerAction[]): void {
    for (const action of actions)
      switch (action.type) {
        case 'renew':
          this.send({
            to: 'lender',
            event: { type: 'renew', peer: this.peer, sentMs: action.sentMs, homeLeaseMs: 0 },
          });
          break;
        case 'want':
          this.send({ to: 'lender', event: { type: 'wanted', peer: this.peer, run: action.run } });
          break;
        case 'return':
          for (const page of pagesOf(action.run))
            assert.equal(this.far[page]!.copies.size, 0, `page ${page} is returned, and nodes have it`);
          this.send({
            to: 'lender',
            event: { type: 'returned', peer: this.peer, run: action.run, lending: action.lending },
          });
          break;
        case 'serve':
          for (const page of pagesOf(action.run)) this.serve(page);
          break;
        case 'deny':
          for (const page of pagesOf(action.run)) if (this.far[page]!.asked) this.next(page);
          break;
        case 'take':
          for (const page of pagesOf(action.run)) this.far[page]!.queue.push('take');
          break;
        case 'forget':
          for (const page of pagesOf(action.run)) this.store.delete(page);
      }
  }

  private serve(number: number): void {
    const page = this.far[number]!;
    const [node] = page.queue;
    // Who asked may have died: then nobody hears it.
    if (typeof node !== 'number' || !page.asked) return;
    const value = this.store.get(number);
    assert(value !== undefined, `page ${number} is given, and is not here`);
    page.copies.set(node, value);
    this.next(number);
  }

  // ---- the line

  private connect(): void {
    this.isUp = true;
    this.lineNumber++;
    this.send({ to: 'borrower', event: { type: 'joined', life: this.life } });
    this.tell({ type: 'joined', peer: this.peer });
  }

  private breakLine(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.line.length = 0;
    this.hear({ type: 'lost' });
  }

  private send(said: Said, values?: number[]): void {
    if (!this.isUp) return;
    const last = this.line.findLast((each) => each.said.to === said.to)?.dueMs ?? 0;
    const dueMs = Math.max(last, this.nowMs + 10 + this.chance(100));
    this.line.push({ dueMs, said, line: this.lineNumber, ...(values && { values }) });
  }

  private deliver(): void {
    if (this.isSilent) return;
    for (;;) {
      const at = this.line.findIndex(({ dueMs }) => dueMs <= this.nowMs);
      const [each] = at < 0 ? [] : this.line.splice(at, 1);
      if (each === undefined) return;
      const { said, values } = each;
      if (said.to === 'borrower') {
        if (said.event.type === 'lent')
          for (const [i, page] of pagesOf(said.event.run).entries()) this.store.set(page, values![i]!);
        this.hear(said.event);
      } else if (said.event.type === 'renew')
        this.tell({ ...said.event, homeLeaseMs: this.homeUntilMs - this.nowMs });
      else this.tell(said.event);
    }
  }
}

const runOf = (page: number): PageRun => ({ dataspace: DATASPACE, firstPage: page, pageCount: 1 });
const pagesOf = ({ firstPage, pageCount }: PageRun): number[] =>
  Array.from({ length: pageCount }, (_, i) => firstPage + i);
