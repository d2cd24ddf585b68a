// Two clusters around a lender and a borrower: the directories and holders that are shipped, programs on nodes of both that read and write,
// a line that delays, breaks and is silent, nodes that are cut off, and gateways that die. All by one clock and one source of chance.
import assert from 'node:assert/strict';
import { Directory } from '../../directory/directory.ts';
import type { DirectoryAction, DirectoryEvent, RefuseReason } from '../../directory/directory-messages.ts';
import { Holder } from '../../holder/holder.ts';
import type { HolderAction, HolderEvent } from '../../holder/holder-messages.ts';
import { type AccessMode, mayRead, mayWrite, type PageRun, type PageState } from '../../page.ts';
import { PageBorrower } from '../borrower.ts';
import type { BorrowerAction, BorrowerEvent } from '../borrower-messages.ts';
import { type HeldWord, HeldWords } from '../held-words.ts';
import { Lender } from '../lender.ts';
import { type Borrower, borrowerOf, type LenderAction, type LenderEvent } from '../lender-messages.ts';

export const NODE_LEASE_MS = 1_000;
export const HOME_LEASE_MS = 6_000;
const PAGES = 2;
const HOME = 7n;
const TURN_MS = 10;

/** A number below `most`. */
export type Chance = (most: number) => number;
export type Taken = Extract<HolderEvent, { type: 'recall' | 'invalidate' }>;

export interface Making {
  lender?: () => Lender<Taken>;
  borrower?: () => PageBorrower;
  words?: () => HeldWords;
  directory?: () => Directory;
  /** Which faults may come. */
  faults?: { cut?: boolean; nodes?: boolean; lender?: boolean; borrower?: boolean };
}

type Said = { to: 'lender'; event: LenderEvent<Taken> } | { to: 'borrower'; event: BorrowerEvent };

/** A holder, its bytes, and what waits there. */
class Member {
  readonly id: number;
  readonly holder = new Holder();
  readonly bytes = new Map<number, number>();
  readonly retained = new Map<number, number>();
  readonly waits = new Map<number, { mode: AccessMode; sinceMs: number }>();
  dead = false;

  constructor(id: number) {
    this.id = id;
  }
}

/** What is said in one cluster: in order on each stream, pages by ways of their own. */
interface Letter {
  dueMs: number;
  from: number;
  to: number;
  deliver: () => void;
}

class Cluster {
  readonly directory: Directory;
  readonly members = new Map<number, Member>();
  letters: Letter[] = [];
  dataspace: bigint;
  lastId = 0;

  constructor(directory: Directory, dataspace: bigint) {
    this.directory = directory;
    this.dataspace = dataspace;
  }
}

export class TwoClusters {
  nowMs = 0;
  reads = 0;
  writes = { home: 0, far: 0 };
  /** Pages that were said to be lost. */
  losses = 0;
  declined = 0;
  refusals = 0;
  /** The longest that somebody at home waited, and somebody of the other cluster. */
  waitedMs = { home: 0, far: 0 };
  private readonly chance: Chance;
  private readonly make: Making;
  private readonly home: Cluster;
  private readonly far: Cluster;
  private readonly truth: number[] = Array.from({ length: PAGES }, () => 0);
  /** It was said that a page is lost: it may begin anew. */
  private readonly told: boolean[] = Array.from({ length: PAGES }, () => false);
  private value = 0;
  private lender!: Lender<Taken>;
  private lenderMember!: Member;
  private lenderDiedAtMs: number | undefined;
  private life = 0n;
  private homeUntilMs = HOME_LEASE_MS;
  private borrower!: PageBorrower;
  private borrowerMember!: Member;
  private borrowerDiedAtMs: number | undefined;
  private borrowerDies: 'NOTED' | undefined;
  private borrowerLife = 0;
  private words!: HeldWords;
  private owed = new Map<number, number>();
  private readonly cutNodes = new Map<Member, number>();
  private readonly line: { dueMs: number; said: Said; values?: number[] }[] = [];
  private isUp = false;
  private isSilent = false;

  constructor(chance: Chance, make: Making = {}) {
    this.chance = chance;
    this.make = make;
    const directory = make.directory ?? (() => new Directory({ home: false }));
    this.home = new Cluster(directory(), HOME);
    this.far = new Cluster(directory(), 100n);
    for (let i = 0; i < 2; i++) this.join(this.home, i === 0);
    this.direct(this.home, { type: 'create', dataspace: HOME, pageCount: PAGES, creator: 1 });
    for (let i = 0; i < 3; i++) this.join(this.far);
    this.beginLender();
    this.beginBorrower();
    this.connect();
  }

  private get peer(): Borrower {
    return borrowerOf('far', String(this.borrowerLife));
  }

  // ---- what chance does

  /** One thing happens, and some time goes by. */
  step(): void {
    const { faults = {} } = this.make;
    const what = this.chance(200);
    if (what < 120) this.act();
    else if (what < 124 && faults.cut) this.breakLine();
    else if (what < 127 && faults.cut) this.isSilent = !this.isSilent;
    else if (what < 130 && faults.nodes) this.cutNode();
    else if (what < 131 && faults.lender) this.killLender();
    else if (what < 132 && faults.borrower) this.killBorrower();
    this.pass(faults.cut && this.chance(40) === 0 ? this.chance(3_000) : this.chance(60));
  }

  /** Somebody reads or writes. */
  act(): void {
    const cluster = this.chance(2) === 0 ? this.home : this.far;
    const nodes = this.nodesOf(cluster);
    const node = nodes[this.chance(nodes.length)];
    if (node === undefined) return;
    const page = this.chance(PAGES);
    if (node.waits.has(page)) return;
    node.waits.set(page, { mode: this.chance(2) === 0 ? 'READ' : 'WRITE', sinceMs: this.nowMs });
    this.look(cluster, node, page);
  }

  /** No more faults: all who wait are served, and everybody may use every page again. */
  settle(): void {
    this.isSilent = false;
    for (let i = 0; i < 70; i++) this.pass(500);
    for (const cluster of [this.home, this.far])
      for (const node of this.nodesOf(cluster))
        for (const [page, { mode }] of node.waits)
          assert.fail(`node ${node.id} of ${this.nameOf(cluster)} waits for page ${page} to ${mode}`);
    for (const cluster of [this.home, this.far, this.home])
      for (const node of this.nodesOf(cluster))
        for (let page = 0; page < PAGES; page++) {
          node.waits.set(page, { mode: 'WRITE', sinceMs: this.nowMs });
          this.look(cluster, node, page);
          for (let i = 0; i < 40 && node.waits.has(page); i++) this.pass(100);
          assert(!node.waits.has(page), `node ${node.id} of ${this.nameOf(cluster)} waits for ${page}`);
        }
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    while (this.nowMs < untilMs) {
      this.nowMs = Math.min(untilMs, this.nowMs + TURN_MS);
      this.turn();
    }
  }

  private turn(): void {
    const { lenderDiedAtMs, borrowerDiedAtMs } = this;
    if (lenderDiedAtMs === undefined) this.homeUntilMs = this.nowMs + HOME_LEASE_MS;
    else if (this.nowMs >= this.homeUntilMs) this.buryLender();
    for (const [node, sinceMs] of this.cutNodes) this.endNode(node, sinceMs);
    if (borrowerDiedAtMs !== undefined) this.buryBorrower(borrowerDiedAtMs);
    for (const cluster of [this.home, this.far]) {
      this.deliverIn(cluster);
      this.direct(cluster, { type: 'tick', nowMs: this.nowMs });
    }
    this.deliver();
    if (this.lenderDiedAtMs === undefined) this.performLender(this.lender.tick(this.nowMs));
    if (this.borrowerDiedAtMs === undefined) this.performBorrower(this.borrower.tick(this.nowMs));
    if (!this.isUp && lenderDiedAtMs === undefined && borrowerDiedAtMs === undefined && this.chance(30) === 0)
      this.connect();
    this.check();
  }

  // One writer, or readers, over both; and whoever may read has what was written last.
  private check(): void {
    for (let page = 0; page < PAGES; page++) {
      const has = [this.home, this.far].flatMap((cluster) =>
        this.nodesOf(cluster, true)
          .filter((node) => mayRead(this.stateOf(cluster, node, page)))
          .map((node) => ({ cluster, node, writes: mayWrite(this.stateOf(cluster, node, page)) })),
      );
      const writer = has.find(({ writes }) => writes);
      if (writer !== undefined && has.length > 1) {
        const [other] = has.filter((each) => each !== writer);
        assert.fail(
          `page ${page} is with node ${writer.node.id} of ${this.nameOf(writer.cluster)}, to write, and with node ${other!.node.id} of ${this.nameOf(other!.cluster)}, at ${this.nowMs}`,
        );
      }
      for (const { cluster, node } of has) this.read(cluster, node, page);
    }
  }

  private read(cluster: Cluster, node: Member, page: number): void {
    this.reads++;
    assert.equal(
      node.bytes.get(page),
      this.truth[page],
      `node ${node.id} of ${this.nameOf(cluster)} reads page ${page} as it was, at ${this.nowMs}`,
    );
  }

  private nameOf = (cluster: Cluster): string => (cluster === this.home ? 'home' : 'far');
  private stateOf = (cluster: Cluster, { holder }: Member, page: number): PageState =>
    holder.state(cluster.dataspace, page);

  // ---- a cluster

  private join(cluster: Cluster, whole = false, lender = false): Member {
    const member = new Member(++cluster.lastId);
    cluster.members.set(member.id, member);
    this.direct(cluster, { type: 'join', holder: member.id, lender });
    this.step_(cluster, member, { type: 'open', dataspace: cluster.dataspace, pageCount: PAGES, whole });
    if (whole && cluster === this.home) for (let page = 0; page < PAGES; page++) member.bytes.set(page, 0);
    return member;
  }

  /** @param also those that are cut off, and use what they have */
  private nodesOf(cluster: Cluster, also = false): Member[] {
    return [...cluster.members.values()].filter(
      (member) =>
        member !== this.lenderMember &&
        member !== this.borrowerMember &&
        (also ? !member.dead : !this.cutNodes.has(member)),
    );
  }

  private post(cluster: Cluster, from: number, to: number, deliver: () => void, inOrder = true): void {
    const last = inOrder
      ? (cluster.letters.findLast((each) => each.from === from && each.to === to)?.dueMs ?? 0)
      : 0;
    cluster.letters.push({ dueMs: Math.max(last, this.nowMs + 1 + this.chance(30)), from, to, deliver });
  }

  private deliverIn(cluster: Cluster): void {
    for (;;) {
      let next: Letter | undefined;
      for (const letter of cluster.letters)
        if (letter.dueMs <= this.nowMs && (next === undefined || letter.dueMs < next.dueMs)) next = letter;
      if (next === undefined) return;
      cluster.letters.splice(cluster.letters.indexOf(next), 1);
      const hears = (id: number): boolean => id === 0 || this.hears(cluster.members.get(id));
      if (hears(next.from < 0 ? -next.from : next.from) && hears(next.to < 0 ? -next.to : next.to))
        next.deliver();
    }
  }

  private hears(member: Member | undefined): boolean {
    if (member === undefined || this.cutNodes.has(member)) return false;
    if (member === this.lenderMember) return this.lenderDiedAtMs === undefined;
    return member !== this.borrowerMember || this.borrowerDiedAtMs === undefined;
  }

  private direct(cluster: Cluster, event: DirectoryEvent): void {
    for (const action of cluster.directory.step(event)) this.told_(cluster, action);
  }

  private told_(cluster: Cluster, action: DirectoryAction): void {
    const say = (id: number, event: HolderEvent): void =>
      this.post(cluster, 0, id, () => this.heard(cluster, cluster.members.get(id)!, event));
    if (action.type === 'invalidate') {
      const { run, version, anew } = action;
      for (const id of action.holders) say(id, { type: 'invalidate', run, version, anew });
    } else say(action.holder, action as HolderEvent);
  }

  private heard(cluster: Cluster, member: Member, event: HolderEvent): void {
    if (event.type === 'refuse' && isLost(event.reason))
      for (const page of pagesOf(event.run)) {
        this.refusals++;
        if (cluster === this.home) this.told[page] = true;
      }
    if (event.type === 'recall' || event.type === 'invalidate') {
      if (member === this.lenderMember) this.lenderHeard(event);
      else if (member === this.borrowerMember) this.borrowerHeard(event);
      else this.step_(cluster, member, event);
    } else this.step_(cluster, member, event);
  }

  private step_(cluster: Cluster, member: Member, event: HolderEvent, values?: number[]): void {
    for (const action of member.holder.step(event)) this.perform(cluster, member, action, values);
  }

  private perform(cluster: Cluster, member: Member, action: HolderAction, values?: number[]): void {
    switch (action.type) {
      case 'acquire': {
        const { run, mode, needed, storedVersion, lostVersion } = action;
        const about = { run, mode, neededPages: needed ? run.pageCount : 0, storedVersion, lostVersion };
        const event = { type: 'acquire', holder: member.id, alone: true, ...about } as const;
        this.post(cluster, member.id, 0, () => this.direct(cluster, event));
        return;
      }
      case 'ack':
        this.post(cluster, member.id, 0, () => this.direct(cluster, { ...action, holder: member.id }));
        return;
      case 'send':
      case 'resend': {
        const { run, receiver, version, state } = action;
        const bytes = action.type === 'send' ? member.bytes : member.retained;
        const sent = pagesOf(run).map((page) => bytes.get(page)!);
        if (action.type === 'send' && action.retain)
          for (const [i, page] of pagesOf(run).entries()) member.retained.set(page, sent[i]!);
        const data = { type: 'data', run, state, version, zero: false } as const;
        // It is a way of its own, and one for each.
        const way = -member.id;
        this.post(
          cluster,
          way,
          -receiver,
          () => this.step_(cluster, cluster.members.get(receiver)!, data, sent),
          false,
        );
        return;
      }
      case 'install':
        for (const [i, page] of pagesOf(action.run).entries())
          member.bytes.set(page, action.zero ? 0 : values![i]!);
        return;
      case 'install-stored':
        for (const page of pagesOf(action.run)) this.beganAnew(cluster, member, page);
        return;
      case 'restore':
        for (const page of pagesOf(action.run)) member.bytes.set(page, member.retained.get(page)!);
        return;
      case 'drop':
        for (const page of pagesOf(action.run)) member.bytes.delete(page);
        return;
      case 'forget':
        for (const page of pagesOf(action.run)) member.retained.delete(page);
        return;
      case 'ready':
        for (const page of pagesOf(action.run)) this.ready(cluster, member, page);
        return;
      case 'failed':
        for (const page of pagesOf(action.run)) this.failed(cluster, member, page, action);
        return;
      case 'revoke':
      case 'report':
        return;
    }
  }

  private beganAnew(cluster: Cluster, member: Member, page: number): void {
    member.bytes.set(page, 0);
    if (cluster !== this.home) return;
    assert(this.told[page], `page ${page} begins anew, and nobody was told that it was lost`);
    this.told[page] = false;
    this.truth[page] = 0;
  }

  private ready(cluster: Cluster, member: Member, page: number): void {
    const run = runOf(cluster.dataspace, page);
    const state = this.stateOf(cluster, member, page);
    if (member === this.lenderMember) {
      if (mayRead(state)) this.tell({ type: 'ready', run: runOf(HOME, page), mode: modeOf(state) });
    } else if (member === this.borrowerMember) {
      if (mayWrite(state)) this.hear({ type: 'alone', run: runOf(HOME, page) });
    } else this.look(cluster, member, page);
    void run;
  }

  private failed(
    cluster: Cluster,
    member: Member,
    page: number,
    { reason, version }: Extract<HolderAction, { type: 'failed' }>,
  ): void {
    const stored = { type: 'stored', run: runOf(cluster.dataspace, page), version: 0 } as const;
    if (member === this.lenderMember)
      this.tell({ type: 'failed', run: runOf(HOME, page), lost: reason === 'LOST' });
    else if (member === this.borrowerMember) {
      if (isLost(reason)) this.step_(cluster, member, { ...stored, lostVersion: version });
    } else if (cluster === this.home && reason === 'LOST' && member.waits.has(page))
      // Somebody accepts that.
      this.step_(cluster, member, { ...stored, lostVersion: version });
    else member.waits.delete(page);
  }

  /** Whoever waits on a node looks again. */
  private look(cluster: Cluster, node: Member, page: number): void {
    const wait = node.waits.get(page);
    if (wait === undefined) return;
    const { mode, sinceMs } = wait;
    const state = this.stateOf(cluster, node, page);
    if (!(mode === 'READ' ? mayRead(state) : mayWrite(state))) {
      const run = runOf(cluster.dataspace, page);
      this.step_(cluster, node, { type: 'want', run, mode, neededPages: 1 });
      return;
    }
    node.waits.delete(page);
    const where = this.nameOf(cluster) as 'home' | 'far';
    this.waitedMs[where] = Math.max(this.waitedMs[where], this.nowMs - sinceMs);
    this.read(cluster, node, page);
    if (mode === 'READ') return;
    this.truth[page] = ++this.value;
    node.bytes.set(page, this.value);
    this.writes[where]++;
    this.step_(cluster, node, { type: 'wrote', run: runOf(cluster.dataspace, page) });
    this.check();
  }

  // ---- nodes that are cut off

  private cutNode(): void {
    const cluster = this.chance(3) === 0 ? this.home : this.far;
    const nodes = this.nodesOf(cluster);
    const node = nodes[this.chance(nodes.length)];
    if (node !== undefined && nodes.length > 1) this.cutNodes.set(node, this.nowMs);
  }

  // It takes its access away itself, and its directory takes it for dead after that.
  private endNode(node: Member, sinceMs: number): void {
    if (this.nowMs >= sinceMs + NODE_LEASE_MS * 0.88 && !node.dead) {
      node.dead = true;
      node.bytes.clear();
    }
    if (this.nowMs < sinceMs + NODE_LEASE_MS) return;
    const cluster = this.home.members.get(node.id) === node ? this.home : this.far;
    this.cutNodes.delete(node);
    cluster.members.delete(node.id);
    this.direct(cluster, { type: 'leave', holder: node.id });
    this.join(cluster);
  }

  // ---- the gateway of home

  private beginLender(): void {
    this.life++;
    this.lenderDiedAtMs = undefined;
    this.homeUntilMs = this.nowMs + HOME_LEASE_MS;
    this.lender = this.make.lender?.() ?? new Lender<Taken>(Number.MAX_SAFE_INTEGER);
    this.lenderMember = this.join(this.home, false, true);
    const far = new Set(['far']);
    this.tell({ type: 'export', dataspace: HOME, pageCount: PAGES, to: far, writers: far });
  }

  private killLender(): void {
    if (this.lenderDiedAtMs !== undefined) return;
    this.breakLine();
    this.lenderDiedAtMs = this.nowMs;
  }

  private buryLender(): void {
    const { id } = this.lenderMember;
    this.direct(this.home, { type: 'dies', holder: id });
    this.home.members.delete(id);
    this.direct(this.home, { type: 'leave', holder: id });
    this.beginLender();
  }

  private lenderHeard(event: Taken): void {
    const { holder } = this.lenderMember;
    for (const number of pagesOf(event.run)) {
      const run = runOf(HOME, number);
      const isWrite = event.type === 'invalidate' || event.mode === 'WRITE';
      if (isWrite && holder.version(HOME, number) >= event.version)
        this.step_(this.home, this.lenderMember, { ...event, run });
      else this.tell({ type: 'taken', run, mode: isWrite ? 'WRITE' : 'READ', word: { ...event, run } });
    }
  }

  private tell(event: LenderEvent<Taken>, values?: number[]): void {
    if (this.lenderDiedAtMs === undefined) this.performLender(this.lender.step(event, this.nowMs), values);
  }

  private performLender(actions: readonly LenderAction<Taken>[], values?: number[]): void {
    for (const action of actions) {
      const says = (event: BorrowerEvent, sent?: number[]): void => {
        // There is no line to a gateway that is no more.
        if ('peer' in action && action.peer === this.peer) this.send({ to: 'borrower', event }, sent);
      };
      switch (action.type) {
        case 'lend': {
          const { run, lending, mode } = action;
          const member = this.lenderMember;
          for (const page of pagesOf(run)) {
            const state = this.stateOf(this.home, member, page);
            assert(mode === 'READ' ? mayRead(state) : mayWrite(state), `page ${page} is lent, and not here`);
            if (mode === 'WRITE') this.step_(this.home, member, { type: 'wrote', run: runOf(HOME, page) });
          }
          says(
            { type: 'lent', run, lending, mode },
            pagesOf(run).map((page) => member.bytes.get(page)!),
          );
          break;
        }
        case 'refuse':
          says({ type: 'refused', run: action.run, withdrawn: action.withdrawn });
          break;
        case 'revoke':
          says({ type: 'revoked', run: action.run, lending: action.lending });
          break;
        case 'settle':
          says({ type: 'settled', run: action.run, lending: action.lending, gone: action.gone });
          break;
        case 'renewed':
          says({ type: 'renewed', sentMs: action.sentMs, leaseMs: action.leaseMs });
          break;
        case 'want':
          for (const page of pagesOf(action.run)) this.lenderWants(page, action.mode);
          break;
        case 'take':
          for (const page of pagesOf(action.run)) this.lenderMember.bytes.set(page, values![page]!);
          break;
        case 'leave':
          for (const page of pagesOf(action.run)) this.lenderLeaves(page);
          break;
        case 'lose':
          this.losses += action.run.pageCount;
          for (const page of pagesOf(action.run)) this.told[page] = true;
          this.step_(this.home, this.lenderMember, { type: 'forfeit', run: action.run });
          break;
        case 'release':
          this.step_(this.home, this.lenderMember, { ...action.word, run: action.run });
          break;
        case 'overdue':
          break;
      }
    }
  }

  // A copy is given up; what it owns a node takes over.
  private lenderLeaves(page: number): void {
    const state = this.stateOf(this.home, this.lenderMember, page);
    if (state === 'SHARED' || state === 'SLAVE')
      this.step_(this.home, this.lenderMember, { type: 'release', run: runOf(HOME, page) });
    const [node] = this.nodesOf(this.home);
    if (!mayRead(state) || state === 'SHARED' || state === 'SLAVE' || node === undefined) return;
    node.waits.set(page, { mode: 'WRITE', sinceMs: this.nowMs });
    this.look(this.home, node, page);
  }

  private lenderWants(page: number, mode: AccessMode): void {
    const member = this.lenderMember;
    const run = runOf(HOME, page);
    this.step_(this.home, member, { type: 'want', run, mode, neededPages: 1 });
    const state = this.stateOf(this.home, member, page);
    if (mode === 'READ' ? mayRead(state) : mayWrite(state)) this.ready(this.home, member, page);
  }

  // ---- the gateway of the other cluster

  private beginBorrower(): void {
    this.borrowerLife++;
    this.borrowerDiedAtMs = undefined;
    this.borrowerDies = undefined;
    this.borrower = this.make.borrower?.() ?? new PageBorrower(NODE_LEASE_MS);
    this.words = this.make.words?.() ?? new HeldWords();
    this.owed = new Map();
    this.far.dataspace++;
    const { dataspace } = this.far;
    this.borrowerMember = this.join(this.far, true);
    this.direct(this.far, {
      ...{ type: 'create', dataspace, pageCount: PAGES, creator: this.borrowerMember.id, borrowed: true },
    });
    for (const node of this.nodesOf(this.far))
      this.step_(this.far, node, { type: 'open', dataspace, pageCount: PAGES, whole: false });
    this.hear({ type: 'open', dataspace: HOME, pageCount: PAGES });
  }

  private killBorrower(): void {
    if (this.borrowerDiedAtMs !== undefined) return;
    this.breakLine();
    this.borrowerDiedAtMs = this.nowMs;
  }

  // All that it had is taken from all, who answer, or whose lease ends.
  private buryBorrower(diedMs: number): void {
    const { id } = this.borrowerMember;
    if (this.nowMs < diedMs + NODE_LEASE_MS) return;
    if (this.borrowerDies === undefined) {
      this.borrowerDies = 'NOTED';
      this.direct(this.far, { type: 'dies', holder: id });
    }
    if (this.nowMs < diedMs + 2 * NODE_LEASE_MS + 300) return;
    const { dataspace } = this.far;
    for (const node of this.nodesOf(this.far, true)) {
      for (let page = 0; page < PAGES; page++)
        assert(
          !mayRead(this.stateOf(this.far, node, page)),
          `node ${node.id} has page ${page} of a dead gateway`,
        );
      node.waits.clear();
      this.step_(this.far, node, { type: 'remove', dataspace });
    }
    this.far.members.delete(id);
    this.direct(this.far, { type: 'leave', holder: id });
    this.direct(this.far, { type: 'remove', dataspace });
    this.beginBorrower();
  }

  private borrowerHeard(event: HeldWord): void {
    const member = this.borrowerMember;
    if (event.run.dataspace !== this.far.dataspace) return;
    if (event.type === 'invalidate' && event.anew) {
      this.step_(this.far, member, event);
      this.hear({ type: 'broken', run: { ...event.run, dataspace: HOME } });
      return;
    }
    const { heed, asked, answers } = this.words.hear(event, member.holder);
    for (const word of heed) this.step_(this.far, member, word);
    for (const answer of answers) this.answer(answer);
    for (const { run, mode } of asked) this.hear({ type: 'asked', run: { ...run, dataspace: HOME }, mode });
  }

  private answer(answer: ReturnType<HeldWords['deny']>[number]): void {
    if (answer.kind === 'DECLINED') this.declined++;
    const { id } = this.borrowerMember;
    this.post(this.far, id, 0, () => this.direct(this.far, { type: 'ack', holder: id, ...answer }));
  }

  private hear(event: BorrowerEvent): void {
    if (this.borrowerDiedAtMs === undefined) this.performBorrower(this.borrower.step(event, this.nowMs));
  }

  private performBorrower(actions: readonly BorrowerAction[]): void {
    const member = this.borrowerMember;
    for (const action of actions) {
      if (action.type === 'renew') {
        const { sentMs } = action;
        this.send({ to: 'lender', event: { type: 'renew', peer: this.peer, sentMs, homeLeaseMs: 0 } });
        continue;
      }
      const here = { ...action.run, dataspace: this.far.dataspace };
      switch (action.type) {
        case 'want':
          this.send({
            to: 'lender',
            event: { type: 'wanted', peer: this.peer, run: action.run, mode: action.mode },
          });
          break;
        case 'return': {
          const { run, lending, as } = action;
          for (const page of pagesOf(run))
            for (const node of this.nodesOf(this.far, true))
              assert(
                !mayRead(this.stateOf(this.far, node, page)),
                `page ${page} is returned, and nodes have it`,
              );
          const values: number[] = [];
          if (as === 'WRITTEN') for (const page of pagesOf(run)) values[page] = this.owed.get(page)!;
          this.send({ to: 'lender', event: { type: 'returned', peer: this.peer, run, lending, as } }, values);
          break;
        }
        case 'serve':
          for (const word of this.words.serve(here)) this.step_(this.far, member, word);
          break;
        case 'deny':
          for (const answer of this.words.deny(here, action.withdrawn)) this.answer(answer);
          break;
        case 'decline':
          for (const answer of this.words.decline(here)) this.answer(answer);
          break;
        case 'take':
          for (const page of pagesOf(action.run)) this.borrowerTakes(page);
          break;
        case 'keep':
          for (const page of pagesOf(action.run)) {
            const value = member.bytes.get(page);
            assert(value !== undefined, `page ${page} is kept, and is not here`);
            this.owed.set(page, value);
          }
          break;
        case 'forget':
          for (const page of pagesOf(action.run)) {
            member.bytes.delete(page);
            this.owed.delete(page);
          }
          break;
        case 'gone':
          for (const page of pagesOf(action.run)) this.told[page] = true;
      }
    }
  }

  private borrowerTakes(page: number): void {
    const member = this.borrowerMember;
    const run = runOf(this.far.dataspace, page);
    this.step_(this.far, member, { type: 'want', run, mode: 'WRITE', neededPages: 1 });
    if (mayWrite(this.stateOf(this.far, member, page))) this.ready(this.far, member, page);
  }

  // ---- the line

  private connect(): void {
    this.isUp = true;
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
    this.line.push({ dueMs, said, ...(values && { values }) });
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
          for (const [i, page] of pagesOf(said.event.run).entries())
            this.borrowerMember.bytes.set(page, values![i]!);
        this.hear(said.event);
      } else if (said.event.type === 'renew')
        this.tell({ ...said.event, homeLeaseMs: this.homeUntilMs - this.nowMs });
      else this.tell(said.event, values);
    }
  }
}

const isLost = (reason: RefuseReason): boolean => reason === 'LOST' || reason === 'WITHDRAWN';
const modeOf = (state: PageState): AccessMode => (mayWrite(state) ? 'WRITE' : 'READ');
const runOf = (dataspace: bigint, firstPage: number): PageRun => ({ dataspace, firstPage, pageCount: 1 });
const pagesOf = ({ firstPage, pageCount }: PageRun): number[] =>
  Array.from({ length: pageCount }, (_, i) => firstPage + i);
