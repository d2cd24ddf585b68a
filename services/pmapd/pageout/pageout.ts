// Pageout: carries out what `libs/coherency/node/pageout/pageout.ts` decides of the private memory of processes, when frames run
// short.
//
//   free frames below HIGH    pages are deactivated, so that used ones have time to show
//               below LOW     pages leave until HIGH is reached; processes that are not paged yet are asked to be
//
// A process that is not paged fills its memory by itself. One that is sends each fault here: only so does nobody fill a page with
// zeros that is in swap. It is asked first, and nothing of it leaves before it has answered.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { PageoutPolicy, type PageoutStep } from '@odonata/coherency/node/pageout/pageout.ts';
import { PAGE_BYTES, type PageSpan } from '@odonata/coherency/page.ts';
import type { PageoutStatsSchema } from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Frames } from '../frames/frames.ts';
import type { Short } from '../frames/shortage.ts';
import { AskedProcesses } from './asked-processes.ts';
import { AwayFaults } from './away-faults.ts';
import { type AwayOptions, AwayPages } from './away-pages.ts';
import { bringSpace, FETCH_PAGES } from './bring-all.ts';
import type { DataspacePageout } from './dataspace-pageout.ts';
import { type PagedMemory, type PagedSession, PagedSpace } from './paged-space.ts';
import { SwapError, type SwapFile } from './swap-file.ts';
import { takeBack } from './take-back.ts';

/** Of all frames. */
const LOW_PART = 1 / 16;
const HIGH_PART = 1 / 8;
/** Of all frames, and in all: pages that are aside are in the memory of this process. */
const INACTIVE_PART = 1 / 8;
const INACTIVE_MAX = 4_096;
/** Pages that leave in one turn, and that are looked for in one memory file. */
const TURN_PAGES = 512;
/** Pages that are taken out of the page tables at once. */
const RUN_PAGES = 64;
/** Private pages that are on their way to neighbours. */
const AWAY_MAX = 1_024;
/** Neighbours say with each renewal of their lease how much room they have. */
const FULL_MS = 3_000;
/** Pages that come along for who goes through them in order. */
const AHEAD_PAGES = 8;

export interface PageoutCounts {
  activations: number;
  pageouts: number;
  dropped: number;
  swapIns: number;
  refaults: number;
  neighbourOuts: number;
  neighbourIns: number;
}

export interface PageoutOptions {
  readonly frames: Frames;
  /** Absent: the node has none. */
  readonly swap: SwapFile | undefined;
  /** Pages of dataspaces, which private ones become that leave for a neighbour. */
  readonly dataspaces: Pick<
    DataspacePageout,
    'mayTake' | 'leavingPages' | 'hasNeighbours' | 'lookAround' | 'mayGetRoom'
  >;
  readonly away: AwayOptions;
  sessions(): Iterable<PagedSession>;
  short(short: Short): void;
  /** A process is over its quota. */
  ended(vmspace: PagedMemory, reason: string): void;
}

export class Pageout {
  readonly counts: PageoutCounts = {
    ...{ activations: 0, pageouts: 0, dropped: 0, swapIns: 0, refaults: 0 },
    ...{ neighbourOuts: 0, neighbourIns: 0 },
  };
  readonly swap: SwapFile | undefined;
  private readonly o: PageoutOptions;
  private readonly policy: PageoutPolicy;
  private readonly spaces = new Map<bigint, PagedSpace>();
  private readonly asked: AskedProcesses;
  private readonly awayFaults: AwayFaults;
  private looking = false;
  private stopped = false;
  /** Since when nobody has room, as far as is known. */
  private fullMs: number | undefined;
  private readonly low: number;
  private readonly high: number;

  constructor(options: PageoutOptions) {
    this.o = options;
    this.swap = options.swap;
    this.asked = new AskedProcesses(options);
    this.awayFaults = new AwayFaults({
      came: (space, page, address, along) => this.cameBack(space, page, address, along),
      lost: (space, address, reason) => this.refuse(space, address, reason),
      short: (space, page, address) => this.short(space, page, address),
      lives: (space) => this.spaces.get(space.vmspace.id) === space,
    });
    const { total } = options.frames;
    this.low = Math.floor(total * LOW_PART);
    this.high = Math.floor(total * HIGH_PART);
    this.policy = new PageoutPolicy(Math.min(INACTIVE_MAX, Math.floor(total * INACTIVE_PART)));
  }

  get hasSwap(): boolean {
    return this.swap !== undefined;
  }

  get activePages(): number {
    return this.policy.activePages;
  }

  get inactivePages(): number {
    return this.policy.inactivePages;
  }

  /** For people. */
  get stats(): MessageInitShape<typeof PageoutStatsSchema> {
    const { activations, pageouts, dropped, swapIns, refaults } = this.counts;
    return {
      ...{ activePages: BigInt(this.activePages), inactivePages: BigInt(this.inactivePages) },
      ...{ activations: BigInt(activations), pageouts: BigInt(pageouts), droppedPages: BigInt(dropped) },
      ...{ swapIns: BigInt(swapIns), refaults: BigInt(refaults) },
      ...{
        swapUsedBytes: BigInt((this.swap?.usedSlots ?? 0) * PAGE_BYTES),
        swapBytes: BigInt((this.swap?.slots ?? 0) * PAGE_BYTES),
      },
    };
  }

  /** Private pages that are at neighbours. */
  get awayPages(): number {
    let pages = 0;
    for (const { away } of this.spaces.values()) pages += away.pages.size;
    return pages;
  }

  // Pages that may leave now.
  private get roomElsewhere(): number {
    const { mayTake, leavingPages } = this.o.dataspaces;
    return (this.swap?.freeSlots ?? 0) + (mayTake ? Math.max(0, AWAY_MAX - leavingPages) : 0);
  }

  /** Frames were taken. */
  taken(): void {
    if (this.o.frames.free < this.high) this.lookSoon();
  }

  private lookSoon(): void {
    if (this.looking || this.stopped) return;
    this.looking = true;
    setImmediate(
      ownTurn({ turn: 'pageout' }, () => {
        this.looking = false;
        this.look();
      }),
    );
  }

  private look(): void {
    const { frames } = this.o;
    if (this.stopped || frames.free >= this.high) return;
    if (this.swap === undefined) {
      this.o.dataspaces.lookAround();
      // It is alone, and has no swap.
      if (!this.o.dataspaces.hasNeighbours) return;
    }
    for (const space of this.spaces.values()) this.scan(space);
    this.perform(this.policy.age((id) => this.overdraftOf(id)));
    if (frames.free >= this.low) return;
    if (this.roomElsewhere > 0) this.asked.askSome();
    const before = frames.free;
    this.reclaim(Math.min(TURN_PAGES, this.high - before - this.o.dataspaces.leavingPages));
    if (frames.free > before && frames.free < this.high) this.lookSoon();
  }

  private overdraftOf(id: bigint): number {
    const space = this.spaces.get(id);
    return space === undefined ? Number.NEGATIVE_INFINITY : this.o.frames.overdraft(space.vmspace.charge);
  }

  /** True where somebody who waits for a frame may get one in time. */
  canMakeRoom(): boolean {
    // Another pmap manager is about to see to it.
    if (this.stopped) return true;
    if (this.swap === undefined) this.o.dataspaces.lookAround();
    if (this.o.dataspaces.leavingPages > 0) return true;
    if (this.roomElsewhere === 0) return this.mayHearOfRoom();
    this.fullMs = undefined;
    if (!this.asked.askSome()) return true;
    if (this.policy.activePages + this.policy.inactivePages > 0) {
      this.lookSoon();
      return true;
    }
    return this.asked.mayAnswer;
  }

  // What neighbours said last may be seconds old.
  private mayHearOfRoom(): boolean {
    if (!this.o.dataspaces.hasNeighbours) return false;
    const nowMs = monotonicMs();
    if (this.fullMs === undefined || nowMs - this.fullMs > 10 * FULL_MS) this.fullMs = nowMs;
    if (nowMs - this.fullMs > FULL_MS) return false;
    this.o.dataspaces.lookAround();
    return true;
  }

  /** Why pages do not leave, where they cannot. */
  noRoom(): string {
    return this.swap === undefined || this.swap.freeSlots > 0
      ? ''
      : ` and its swap is full (vkctl up --node-swap gives more)`;
  }

  // ---- who is paged

  /** The virtual kernel fills no page of it by itself any more. @returns false: it was not asked, or too long ago */
  answered(session: PagedSession, vmspace: PagedMemory, base: bigint): boolean {
    if (!this.asked.delete(vmspace.id) || this.stopped) return false;
    const away = new AwayPages(this.o.away, vmspace.id, vmspace.sizeBytes);
    const space = new PagedSpace(vmspace, session, base, { swap: this.swap, away });
    this.spaces.set(vmspace.id, space);
    vmspace.paged = space;
    this.policy.open(vmspace.id);
    this.scan(space);
    this.lookSoon();
    return true;
  }

  // What was filled before is found in its memory file, some at a time.
  private scan(space: PagedSpace): void {
    if (space.scanned >= space.pageCount) return;
    for (let found = 0; found < TURN_PAGES; ) {
      const next = space.vmspace.residentFrom(space.scanned * PAGE_BYTES);
      if (next === undefined) {
        space.scanned = space.pageCount;
        return;
      }
      const first = next.offsetBytes / PAGE_BYTES;
      const end = Math.min(first + TURN_PAGES - found, Math.ceil(next.endBytes / PAGE_BYTES));
      for (let page = first; page < end; page++) this.policy.came(space.vmspace.id, page);
      found += end - first;
      space.scanned = end;
    }
  }

  /** The process is over, or somebody else goes on with it. */
  close(vmspace: PagedMemory): void {
    this.asked.delete(vmspace.id);
    const space = this.spaces.get(vmspace.id);
    if (space === undefined) return;
    this.spaces.delete(vmspace.id);
    this.policy.close(vmspace.id);
    space.forget(0, space.pageCount);
    void space.away.close();
    vmspace.paged = undefined;
    // What its virtual kernel gives back soon is what it filled itself.
    space.session.privateFrames.settle(space.lent);
  }

  /** A dataspace was mapped over private pages: those are zeros when it goes. */
  covered({ id }: PagedMemory, address: bigint, lengthBytes: bigint): void {
    const space = this.spaces.get(id);
    const firstPage = space?.pageAt(address);
    if (space === undefined || firstPage === undefined) return;
    const pageCount = Number(lengthBytes) / PAGE_BYTES;
    space.forget(firstPage, pageCount);
    for (let page = firstPage; page < firstPage + pageCount; page++) this.policy.gone(id, page);
  }

  // ---- pages leave

  /** @returns how many frames are free for it */
  private reclaim(want: number, overdraftOf = (id: bigint) => this.overdraftOf(id)): void {
    const pages = Math.min(want, this.roomElsewhere);
    if (pages > 0 && !this.stopped) this.perform(this.policy.reclaim(pages, overdraftOf));
  }

  private perform(steps: readonly PageoutStep[]): void {
    for (let i = 0; i < steps.length; ) {
      const { type, space: id, page } = steps[i]!;
      const space = this.spaces.get(id)!;
      if (type === 'evict') {
        this.evict(space, page);
        i++;
        continue;
      }
      let count = 1;
      for (; count < RUN_PAGES; count++) {
        const next = steps[i + count];
        if (next?.type !== 'deactivate' || next.space !== id || next.page !== page + count) break;
      }
      if (!space.deactivate(page, count))
        for (let each = page; each < page + count; each++) this.policy.gone(id, each);
      i += count;
    }
    for (const { away } of this.spaces.values()) away.flush();
  }

  // Pages that left so far.
  private get left(): number {
    const { pageouts, dropped, neighbourOuts } = this.counts;
    return pageouts + dropped + neighbourOuts;
  }

  private evict(space: PagedSpace, page: number): void {
    const { counts } = this;
    if ((this.swap?.freeSlots ?? 0) === 0) space.away.open();
    const where = space.evict(page, this.left);
    if (where === undefined) {
      // It was not taken out, or has nowhere to go: it stays.
      if (space.aside.has(page)) this.bringBack(space, page);
      return;
    }
    if (where === 'swap') counts.pageouts++;
    else if (where === 'away') counts.neighbourOuts++;
    else counts.dropped++;
    space.lent++;
    space.session.privateFrames.lend(1);
  }

  // A page that is aside is put back; it has its frame still.
  private bringBack(space: PagedSpace, page: number): boolean {
    if (!space.bring(page)) return false;
    this.policy.came(space.vmspace.id, page);
    space.wake(page);
    return true;
  }

  // ---- pages come

  /** Serves a fault of private memory. @returns false: it is none of a process that is paged */
  fault(vmspace: PagedMemory, address: bigint): boolean {
    const space = this.spaces.get(vmspace.id);
    const page = space?.pageAt(address);
    if (space === undefined || page === undefined) return false;
    this.serve(space, page, address);
    this.taken();
    return true;
  }

  private serve(space: PagedSpace, page: number, address: bigint): void {
    try {
      this.bringFor(space, page, address);
    } catch (error) {
      if (!(error instanceof SwapError)) throw error;
      this.refuse(space, address, `page ${page} of its memory is lost: ${error.message}`, 'SIGBUS');
    }
  }

  private bringFor(space: PagedSpace, page: number, address: bigint): void {
    if (this.spaces.get(space.vmspace.id) !== space) return;
    if (space.aside.has(page)) {
      if (!this.bringBack(space, page)) this.short(space, page, address);
      else this.counts.activations++;
      return;
    }
    if (space.isResident(page)) {
      space.release(page);
      return;
    }
    if (space.away.pages.has(page) && !space.away.fetched.has(page)) {
      this.awayFaults.serve(space, page, address);
      return;
    }
    const isBack = space.swapped.has(page) || space.away.pages.has(page);
    const refused = isBack ? undefined : this.overQuota(space);
    if (refused !== undefined) this.refuse(space, address, refused);
    else if (!this.bringNew(space, page)) this.short(space, page, address);
    else {
      const inOrder = page === space.nextPage;
      space.nextPage = page + 1;
      if (inOrder) this.ahead(space, page + 1);
    }
  }

  // Pages that were away are here, without frames.
  private cameBack(space: PagedSpace, page: number, address: bigint, along: readonly number[]): void {
    this.serve(space, page, address);
    for (const each of along) {
      const bytes = space.away.fetched.get(each);
      if (bytes === undefined) continue;
      if (this.o.frames.free > this.low && this.bringNew(space, each)) space.nextPage = each + 1;
      else space.away.put(each, bytes, this.left);
    }
    space.away.flush();
    this.taken();
  }

  // A page in swap, one that came back, or one that was never touched.
  private bringNew(space: PagedSpace, page: number): boolean {
    const { privateFrames } = space.session;
    // Nothing leaves any more, and nobody is refused for that.
    if (this.stopped) privateFrames.resume(1);
    else if (privateFrames.take(1) === 0) {
      this.reclaim(TURN_PAGES / 8);
      if (privateFrames.take(1) === 0) return false;
    }
    const [swapped, away] = [space.swapped.get(page), space.away.pages.get(page)];
    if (!space.bring(page)) {
      privateFrames.lend(1);
      return false;
    }
    space.lent--;
    if (swapped !== undefined) this.counts.swapIns++;
    else if (away !== undefined) this.counts.neighbourIns++;
    const before = (swapped ?? away)?.leftBefore;
    if (before !== undefined && this.left - before <= this.o.frames.total) this.counts.refaults++;
    this.policy.came(space.vmspace.id, page);
    space.wake(page);
    return true;
  }

  private ahead(space: PagedSpace, firstPage: number): void {
    // The memory may end where a wasm page ends.
    const end = Math.min(firstPage + AHEAD_PAGES, Math.ceil(firstPage / 16) * 16);
    for (let page = firstPage; page < end; page++) {
      if (this.o.frames.free <= this.low || space.aside.has(page) || space.isResident(page)) return;
      if (space.away.pages.has(page)) return;
      if (!space.swapped.has(page) && this.overQuota(space) !== undefined) return;
      if (!this.bringNew(space, page)) return;
      space.nextPage = page + 1;
    }
  }

  private overQuota({ vmspace, swapped, away }: PagedSpace): string | undefined {
    const { charge } = vmspace;
    if (charge.frames + swapped.size + away.pages.size < charge.quotaFrames) return undefined;
    const quota = `${(charge.quotaFrames * PAGE_BYTES) / 2 ** 20} MiB`;
    return `out of memory: it touched more than its quota of ${quota}, in memory, in swap and at neighbours (raise it with --memory)`;
  }

  private refuse({ vmspace }: PagedSpace, address: bigint, reason: string, signal = 'SIGKILL'): void {
    if (signal === 'SIGKILL') this.o.ended(vmspace, reason);
    vmspace.session.send({
      event: { case: 'faultError', value: { vmspace: vmspace.id, address, signal, reason } },
    });
  }

  private short(space: PagedSpace, page: number, address: bigint): void {
    const { vmspace } = space;
    this.o.short({
      ...{ key: `private ${vmspace.id} ${page}`, charge: vmspace.charge, what: 'private memory' },
      retry: () => this.serve(space, page, address),
      refuse: (reason) =>
        vmspace.session.send({
          event: { case: 'faultError', value: { vmspace: vmspace.id, address, signal: 'SIGKILL', reason } },
        }),
    });
  }

  // ---- a neighbour gives back what it had

  /** Takes private pages back that a neighbour had. @returns false: there is no room for them, and their process ends */
  async takeBack(dataspace: string, runs: readonly PageSpan[], by: string): Promise<boolean> {
    const space = [...this.spaces.values()].find(({ away }) => away.name === dataspace);
    if (space === undefined) return true;
    const lives = (): boolean => this.spaces.get(space.vmspace.id) === space;
    const ports = {
      lives,
      place: (page: number) => this.place(space, page),
      flush: () => space.away.flush(),
      mayMakeRoom: () => this.o.dataspaces.mayGetRoom,
    };
    if (await takeBack(space, runs, ports)) return true;
    if (!lives() || space.isEnding) return true;
    space.isEnding = true;
    const { vmspace, session } = space;
    const reason = `out of memory: ${by} needs the frames back that it had for this process, and there is no room here, in swap, or at another node (vkctl up --node-memory gives a node more)`;
    this.o.ended(vmspace, reason);
    session.endForFrames(vmspace.id, reason);
    return false;
  }

  // Its bytes are here, without a frame.
  private place(space: PagedSpace, page: number): boolean {
    if (space.swapFetched(page, this.left)) return true;
    if (this.o.frames.free > 0 && this.bringNew(space, page)) return true;
    return this.o.dataspaces.mayTake && space.away.put(page, space.away.fetched.get(page)!, this.left);
  }

  // ---- another pmap manager

  /**
   * Brings back what has left, as much as there is time for, while everything goes on: so the rest takes little. From now on
   * nothing leaves.
   */
  async bringAhead(pause: () => Promise<void>, untilMs: number): Promise<void> {
    this.stop();
    // A page that was away passes through a frame of its dataspace, and all frames may be taken by those that came before it.
    this.o.frames.passing = FETCH_PAGES;
    for (const space of [...this.spaces.values()]) {
      const goesOn = () => this.spaces.get(space.vmspace.id) === space && monotonicMs() < untilMs;
      await bringSpace(space, pause, goesOn);
    }
  }

  /**
   * Brings all pages of a virtual kernel back, for another pmap manager knows nothing of swap: before the virtual kernel hears of
   * it, and fills pages by itself again. A process whose pages find no room ends.
   */
  async bringAll(session: PagedSession, pause: () => Promise<void>): Promise<void> {
    for (const space of [...this.spaces.values()]) {
      const { vmspace } = space;
      const goesOn = () => this.spaces.get(vmspace.id) === space;
      if (space.session !== session || !goesOn()) continue;
      if (await bringSpace(space, pause, goesOn)) {
        this.unpage(space, session);
        await space.away.close();
      }
      if (!goesOn()) continue;
      const reason =
        'another pmap manager goes on, and what it has in swap or at neighbours cannot be brought back';
      this.o.ended(vmspace, reason);
      session.endForFrames(vmspace.id, reason);
      this.close(vmspace);
    }
  }

  // All of it is in the memory file. From now on its virtual kernel counts what is there.
  private unpage({ vmspace, lent }: PagedSpace, session: PagedSession): void {
    this.spaces.delete(vmspace.id);
    this.policy.close(vmspace.id);
    vmspace.paged = undefined;
    const value = { vmspace: vmspace.id, ends: true, charge: BigInt(-lent) };
    session.send({ event: { case: 'pageVmspace', value } });
  }

  /** From now on nothing leaves. */
  stop(): void {
    this.stopped = true;
    this.asked.clear();
  }

  /** No other pmap manager goes on. */
  goOn(): void {
    this.stopped = false;
    this.o.frames.passing = 0;
    this.taken();
  }

  end(): void {
    this.stop();
    this.swap?.close();
  }
}
