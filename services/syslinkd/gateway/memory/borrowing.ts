// Dataspaces of other clusters that are mapped in this one: for each a dataspace of this cluster is made, NAME@CLUSTER, whose pages are all
// this gateway's; nodes get them as libs/coherency/lending/borrower.ts decides.
import { borrowedName } from '@odonata/coherency/gateway.ts';
import { PageBorrower } from '@odonata/coherency/lending/borrower.ts';
import type { BorrowerAction, BorrowerEvent } from '@odonata/coherency/lending/borrower-messages.ts';
import { type HeldWord, HeldWords, type WordAnswer } from '@odonata/coherency/lending/held-words.ts';
import { takeBackMsOf } from '@odonata/coherency/lending/home-lease.ts';
import type { RunEvent } from '@odonata/coherency/node/lines/holder-wire.ts';
import {
  type AccessMode,
  mayWrite,
  PAGE_BYTES,
  type PageRun,
  pageCountOf,
  unreachable,
} from '@odonata/coherency/page.ts';
import { homeShardOf } from '@odonata/coherency/shard.ts';
import type { DeskLetter, DeskWords, DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, fromServiceError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { PeerMeter } from '../peer-meter.ts';
import type { Policy } from '../policy.ts';
import { GatewayHolder, type HolderOptions, type HolderPorts } from './holder.ts';
import { PageStore } from './page-store.ts';
import { expectBytes, runOf, type Word } from './word.ts';
import type { Words } from './words.ts';

type Offer = Extract<Word, { case: 'offer' }>['value'];

/** A dataspace of another cluster, as it is here. */
interface Import {
  readonly peer: string;
  readonly name: string;
  /** There. */
  homeId: bigint;
  sizeBytes: bigint;
  /** Here; 0: not made. */
  id: bigint;
  /** It is to go, and nothing is given to nodes any more. */
  leaving: boolean;
  /** Programs here may write it. */
  readonly writable: boolean;
  trouble: string;
  /** What the own directory says of its pages, and what waits for home. */
  readonly words: HeldWords;
}

/** Another cluster of which dataspaces are mapped here. */
interface Home {
  readonly machine: PageBorrower;
  /** What was written here, until home has heard it; by its dataspaces, also of those that are closed here. */
  readonly owed: PageStore;
  /** Of these as they are called there. */
  readonly names: Map<bigint, string>;
  offered: ReadonlyMap<string, { id: bigint; sizeBytes: bigint; writable: boolean }>;
  /** When there was a lease at the last look. */
  leasedAtMs: number;
  timer: NodeJS.Timeout | undefined;
}

export interface BorrowingOptions {
  readonly policy: () => Policy;
  readonly holder: Omit<HolderOptions, 'ports'>;
  readonly store: PageStore;
  readonly client: () => Client<typeof DirectoryService> | undefined;
  /** To a cluster, while its line is up. */
  readonly words: (peer: string) => Words | undefined;
  readonly meter: (peer: string) => PeerMeter;
  /** Pages that were written here, and that home does not have. */
  readonly lost: (peer: string, dataspace: string, run: PageRun) => void;
  readonly log: Logger;
}

/** Who needs a page waits so long for a line that is down, and gets an error then. */
export const GIVE_UP_MS = 60_000;
const ASK_MS = 5_000;
/** A gateway that ends waits so long for what was written here to be heard at home. */
const BRING_MS = 4_000;
const BRING_LOOK_MS = 20;
/** Words about a dataspace that is being made; what is dropped the directory says again. */
const EARLY_MAX = 10_000;
/** Dataspaces of a home of which it is remembered how they are called: the last ones. */
const NAMES_MAX = 4_096;
/** What everybody of this cluster may read, and nobody write; and what they may write, too. */
const READ_MODE = 0o444;
const WRITE_MODE = 0o666;

export class Borrowing {
  private readonly o: BorrowingOptions;
  private readonly holder: GatewayHolder;
  private readonly homes = new Map<string, Home>();
  /** By the name here. */
  private readonly imports = new Map<string, Import>();
  private readonly byId = new Map<bigint, Import>();
  /** That wait for the own directory. */
  private readonly offers = new Map<string, Offer>();
  private making = 0;
  private readonly early: RunEvent[] = [];

  constructor(options: BorrowingOptions) {
    this.o = options;
    this.holder = new GatewayHolder({ ...options.holder, ports: this.ports() });
  }

  /** What is mapped here of a cluster. */
  of(peer: string): { name: string; sizeBytes: bigint; pages: bigint; trouble: string }[] {
    const home = this.homes.get(peer);
    return [...(this.o.policy().peers.get(peer)?.borrows ?? [])].map((name) => {
      const known = this.imports.get(borrowedName(name, peer));
      const { sizeBytes = 0n, homeId = 0n, trouble = '', id = 0n } = known ?? {};
      const pages = BigInt(home?.machine.lentOf(homeId) ?? 0);
      const why = trouble || (id === 0n ? this.whyNot(home, name) : '');
      return { name: borrowedName(name, peer), sizeBytes, pages, trouble: why };
    });
  }

  private whyNot(home: Home | undefined, name: string): string {
    if (home === undefined) return 'there was no line to its cluster yet';
    if (!home.offered.has(name)) return 'its cluster does not export it to us, or has none of that name';
    if (home.machine.isTooShort)
      return `the lease of its cluster is too short: nodes here may use pages for ${takeBackMsOf(this.nodeLeaseMs)} ms after a failure`;
    return 'it is being made';
  }

  private get nodeLeaseMs(): number {
    return this.holder.directories.lines.leaseMs;
  }

  /** Takes pages that nodes bring. */
  get receiver(): GatewayHolder {
    return this.holder;
  }

  /** True of a dataspace that was made here. */
  has(dataspace: bigint): boolean {
    return this.byId.has(dataspace);
  }

  /** A replica of the own directory that is there. */
  get replica(): string | undefined {
    return this.holder.directories.lines.anyReplica;
  }

  /** There is a line to a cluster. */
  heard(peer: string, word: Word): boolean {
    switch (word.case) {
      case 'offer':
        this.offers.set(peer, word.value);
        this.takeOffers();
        return true;
      case 'renewed': {
        const { sentMs, leaseMs } = word.value;
        // What was not sent by us, or not yet, renews nothing.
        if (Number(sentMs) > monotonicMs()) throw new RangeError('a renewal of the future');
        this.step(peer, { type: 'renewed', sentMs: Number(sentMs), leaseMs });
        return true;
      }
      case 'lent': {
        const { pages, data, lending, writing } = word.value;
        const run = runOf(pages);
        expectBytes(run, data);
        this.lent(peer, run, data, { lending: Number(lending), mode: writing ? 'WRITE' : 'READ' });
        return true;
      }
      case 'refused': {
        const { pages, withdrawn } = word.value;
        this.step(peer, { type: 'refused', run: runOf(pages), withdrawn });
        return true;
      }
      case 'revoked':
        this.step(peer, {
          ...{ type: 'revoked', run: runOf(word.value.pages), lending: Number(word.value.lending) },
        });
        return true;
      case 'deskAnswered': {
        const { dataspace, node, words } = word.value;
        const known = this.knownAs(peer, dataspace);
        if (known !== undefined && words !== undefined) this.toNode({ dataspace: known.id, node, words });
        return true;
      }
      case 'settled': {
        const { pages, lending, gone } = word.value;
        this.step(peer, { type: 'settled', run: runOf(pages), lending: Number(lending), gone });
        return true;
      }
      default:
        return false;
    }
  }

  lost(peer: string): void {
    this.offers.delete(peer);
    if (this.homes.has(peer)) this.step(peer, { type: 'lost' });
  }

  /** Makes what is to be here, and removes what is not. */
  async look(): Promise<void> {
    this.takeOffers();
    for (const home of this.homes.values()) if (home.machine.isLeased) home.leasedAtMs = monotonicMs();
    for (const [key, each] of [...this.imports]) await this.lookAt(key, each);
    if (!this.holder.directories.allUsable) return;
    for (const each of this.byId.values()) this.takeAgain(each);
    for (const [peer, home] of this.homes)
      for (const [name, { id, sizeBytes, writable }] of home.offered) {
        const key = borrowedName(name, peer);
        if (this.imports.has(key) || this.o.policy().peers.get(peer)?.borrows.has(name) !== true) continue;
        const made: Import = {
          ...{ peer, name, homeId: id, sizeBytes, writable, id: 0n, leaving: false, trouble: '' },
          words: new HeldWords(),
        };
        this.imports.set(key, made);
        await this.make(key, made, home);
      }
  }

  /** What was asked of a directory that has buried this gateway since nobody answers; asked twice is asked once. */
  private takeAgain({ peer, homeId, id }: Import): void {
    for (const span of this.homes.get(peer)?.machine.takingOf(homeId) ?? [])
      this.holder.want({ dataspace: id, ...span }, 'WRITE', mayWrite);
  }

  /** Another policy is in force, or another offer. */
  policyChanged(): void {
    for (const each of this.imports.values()) if (!this.isWanted(each)) this.leave(each);
  }

  /** Who uses it gets an error. What was written here is brought home before, where there is a line. */
  async stop(): Promise<void> {
    for (const each of this.imports.values()) this.leave(each);
    const endMs = monotonicMs() + BRING_MS;
    while (monotonicMs() < endMs && this.isBringing()) await delay(BRING_LOOK_MS);
    for (const { timer } of this.homes.values()) clearTimeout(timer);
    await Promise.allSettled([...this.imports].map(([key, each]) => this.removeHere(key, each)));
    this.holder.close();
  }

  private isBringing(): boolean {
    for (const { peer, homeId } of this.byId.values())
      if (this.o.words(peer) !== undefined && this.homes.get(peer)?.machine.isDrained(homeId) === false)
        return true;
    return false;
  }

  // ---- what is here

  private isWanted({ peer, name, homeId, writable }: Import): boolean {
    if (this.o.policy().peers.get(peer)?.borrows.has(name) !== true) return false;
    const offered = this.homes.get(peer)?.offered.get(name);
    return offered?.id === homeId && offered.writable === writable;
  }

  private async lookAt(key: string, each: Import): Promise<void> {
    const home = this.homes.get(each.peer)!;
    if (each.id === 0n) {
      if (this.isWanted(each)) await this.make(key, each, home);
      else this.imports.delete(key);
      return;
    }
    if (!this.isWanted(each)) this.leave(each);
    const isOver = monotonicMs() > home.machine.endMs;
    const isDone = each.leaving && (isOver || home.machine.isDrained(each.homeId));
    if (!isDone && monotonicMs() < home.leasedAtMs + GIVE_UP_MS) return;
    await this.removeHere(key, each);
  }

  private leave(each: Import): void {
    if (each.leaving || each.id === 0n) return;
    each.leaving = true;
    this.step(each.peer, { type: 'drain', dataspace: each.homeId });
  }

  private async make(key: string, each: Import, home: Home): Promise<void> {
    const client = this.o.client();
    if (client === undefined || !home.machine.isLeased) return;
    const { name: creator, incarnation: creatorIncarnation } = this.o.holder;
    const { sizeBytes, homeId } = each;
    const mode = each.writable ? WRITE_MODE : READ_MODE;
    this.making += 1;
    try {
      const about = { name: key, sizeBytes, creator, creatorIncarnation, exclusive: true, mode };
      const { dataspace } = await client.createDataspace(about, { deadlineMs: ASK_MS });
      each.id = dataspace!.id;
      each.trouble = '';
      this.byId.set(each.id, each);
      home.names.set(homeId, each.name);
      if (home.names.size > NAMES_MAX) home.names.delete(home.names.keys().next().value!);
      this.holder.open(each.id, pageCountOf(sizeBytes), true);
      this.step(each.peer, { type: 'open', dataspace: homeId, pageCount: pageCountOf(sizeBytes) });
      this.o.log.info({ dataspace: key, sizeBytes }, 'a dataspace of another cluster may be mapped');
    } catch (error) {
      const { code, details } = fromServiceError(error);
      each.trouble = details;
      // Of an earlier start of this gateway, or of a call whose answer was lost.
      if (code === Code.AlreadyExists) await this.removeNamed(key);
    } finally {
      this.making -= 1;
      for (const event of this.early.splice(0)) this.heed(event);
    }
  }

  private async removeHere(key: string, each: Import): Promise<void> {
    const { id, peer, homeId } = each;
    this.imports.delete(key);
    if (id === 0n) return;
    await this.removeNamed(key, id);
    this.forget(each);
    this.o.log.info({ dataspace: key, peer, homeId }, 'a dataspace of another cluster is not there any more');
  }

  private async removeNamed(name: string, dataspace = 0n): Promise<void> {
    try {
      await this.o.client()?.deleteDataspace({ name, dataspace }, { deadlineMs: ASK_MS });
    } catch (error) {
      this.o.log.debug({ name, err: error }, 'could not be removed');
    }
  }

  private forget({ id, peer, homeId }: Import): void {
    if (!this.byId.has(id)) return;
    this.step(peer, { type: 'close', dataspace: homeId });
    this.byId.delete(id);
    this.holder.remove(id);
  }

  // ---- the other cluster

  // How long nodes may use pages is known when the own directory has said so.
  private takeOffers(): void {
    if (this.nodeLeaseMs === 0) return;
    for (const [peer, offer] of this.offers) {
      this.offers.delete(peer);
      this.offered(peer, offer);
    }
  }

  private offered(peer: string, { life, dataspaces }: Offer): void {
    let home = this.homes.get(peer);
    if (home === undefined) {
      home = {
        machine: new PageBorrower(this.nodeLeaseMs, this.pagesOfOne()),
        owed: new PageStore(),
        names: new Map(),
        offered: new Map(),
        leasedAtMs: monotonicMs(),
        timer: undefined,
      };
      this.homes.set(peer, home);
    }
    home.offered = new Map(dataspaces.map(({ name, ...about }) => [name, about]));
    this.step(peer, { type: 'joined', life });
    this.policyChanged();
  }

  // The memory of this gateway is for all clusters of which it maps something, alike.
  private pagesOfOne(): number {
    const { peers, memory } = this.o.policy();
    const homes = [...peers.values()].filter(({ borrows }) => borrows.size > 0).length;
    return Math.floor(memory / PAGE_BYTES / Math.max(1, homes));
  }

  private lent(
    peer: string,
    run: PageRun,
    data: Uint8Array,
    as: { lending: number; mode: AccessMode },
  ): void {
    const known = this.knownAs(peer, run.dataspace);
    if (known !== undefined && run.firstPage + run.pageCount <= pageCountOf(known.sizeBytes))
      this.o.store.write({ ...run, dataspace: known.id }, data);
    this.o.meter(peer).borrowedPages += run.pageCount;
    this.step(peer, { type: 'lent', run, ...as });
  }

  private knownAs(peer: string, homeId: bigint): Import | undefined {
    return [...this.byId.values()].find((each) => each.peer === peer && each.homeId === homeId);
  }

  // Of locks, waits and barriers, which nodes and the home settle among themselves: what is lost they say again.
  private toNode(letter: { dataspace: bigint; node: string; words: DeskWords }): void {
    const { directories } = this.holder;
    directories.sendTo(homeShardOf(letter.dataspace, this.o.holder.shards), { case: 'desk', value: letter });
  }

  private toHome({ dataspace, node, words }: DeskLetter): void {
    const each = this.byId.get(dataspace);
    if (each !== undefined && words !== undefined)
      this.o.words(each.peer)?.desk('deskAsked', { dataspace: each.homeId, node, words });
  }

  // ---- the machines

  private ports(): HolderPorts {
    return {
      keeps: (event) => {
        if (this.making > 0 && !this.byId.has(event.run.dataspace)) {
          if (this.early.length < EARLY_MAX) this.early.push(event);
          return true;
        }
        if (event.type !== 'recall' && event.type !== 'invalidate') return false;
        this.said(event);
        return true;
      },
      ready: (run) => this.alone(run, this.holder.spansIn(run, mayWrite)),
      failed: () => {},
      // Nobody has them: they begin anew with what home has.
      lost: (run, version) => {
        const each = this.byId.get(run.dataspace);
        if (each === undefined) return;
        this.step(each.peer, { type: 'broken', run: { ...run, dataspace: each.homeId } });
        this.holder.beginAnew(run, version);
      },
      removed: (dataspace) => {
        const each = this.byId.get(dataspace);
        if (each === undefined) return;
        this.imports.delete(borrowedName(each.name, each.peer));
        this.forget(each);
      },
      letter: (letter) => this.toHome(letter),
      rejoined: (sameLeader) => {
        if (!sameLeader) for (const { words } of this.byId.values()) words.clear();
      },
      suspended: () => {},
      // What was made is not whole any more: it goes, and is made anew.
      voided: () => {
        for (const { peer, homeId } of this.byId.values())
          this.step(peer, { type: 'voided', dataspace: homeId });
        for (const each of this.imports.values()) this.leave(each);
      },
    };
  }

  private heed(event: RunEvent): void {
    if (event.type === 'recall' || event.type === 'invalidate') this.said(event);
    else this.holder.heed(event);
  }

  private said(word: HeldWord): void {
    const each = this.byId.get(word.run.dataspace);
    if (each === undefined) {
      this.holder.heed(word);
      return;
    }
    const atHome = (run: PageRun): PageRun => ({ ...run, dataspace: each.homeId });
    if (word.type === 'invalidate' && word.anew) {
      this.holder.heed(word);
      this.step(each.peer, { type: 'broken', run: atHome(word.run) });
      return;
    }
    const { heed, asked, answers } = each.words.hear(word, this.holder);
    for (const event of heed) this.holder.heed(event);
    this.answerAll(answers);
    for (const { run, mode } of asked) this.step(each.peer, { type: 'asked', run: atHome(run), mode });
  }

  private answerAll(answers: readonly WordAnswer[]): void {
    for (const answer of answers) this.holder.answer(answer);
  }

  private alone({ dataspace }: PageRun, spans: readonly PageRun[]): void {
    const each = this.byId.get(dataspace);
    if (each === undefined) return;
    for (const span of spans)
      this.step(each.peer, { type: 'alone', run: { ...span, dataspace: each.homeId } });
  }

  /** @throws RangeError where the other cluster says what it cannot */
  private step(peer: string, event: BorrowerEvent): void {
    const home = this.homes.get(peer);
    if (home !== undefined) this.performAll(peer, home, home.machine.step(event, monotonicMs()));
  }

  private performAll(peer: string, home: Home, actions: readonly BorrowerAction[]): void {
    for (const action of actions) this.perform(peer, home, action);
    clearTimeout(home.timer);
    const { nextMs } = home.machine;
    if (!Number.isFinite(nextMs)) return;
    home.timer = setTimeout(
      ownTurn({ timer: 'lease of another cluster' }, () =>
        this.performAll(peer, home, home.machine.tick(monotonicMs())),
      ),
      Math.max(1, nextMs - monotonicMs() + 1),
    );
  }

  private perform(peer: string, home: Home, action: BorrowerAction): void {
    const words = this.o.words(peer);
    if (action.type === 'renew') {
      words?.atOnce({ case: 'renew', value: { sentMs: BigInt(action.sentMs) } });
      return;
    }
    const each = this.knownAs(peer, action.run.dataspace);
    const here = { ...action.run, dataspace: each?.id ?? 0n };
    switch (action.type) {
      case 'want':
        words?.want(action.run, action.mode === 'WRITE');
        return;
      case 'return':
        words?.giveBack(action.run, action.lending, action.as, (run) => home.owed.read(run));
        return;
      case 'serve':
        for (const word of each?.words.serve(here) ?? []) this.holder.heed(word);
        return;
      case 'deny':
        this.answerAll(each?.words.deny(here, action.withdrawn) ?? []);
        return;
      case 'decline':
        this.answerAll(each?.words.decline(here) ?? []);
        return;
      case 'take':
        if (each !== undefined) this.holder.want(here, 'WRITE', mayWrite);
        return;
      case 'keep':
        home.owed.write(action.run, this.o.store.read(here));
        return;
      case 'forget':
        if (each !== undefined) this.o.store.drop(here);
        home.owed.drop(action.run);
        return;
      case 'gone':
        this.o.meter(peer).lostPages += action.run.pageCount;
        this.o.lost(peer, borrowedName(home.names.get(action.run.dataspace) ?? '', peer), here);
        return;
      default:
        unreachable(action);
    }
  }
}
