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
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { PageoutStatsSchema } from '@odonata/proto/pmap/v1/pmap';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Frames } from '../frames/frames.ts';
import type { Short } from '../frames/shortage.ts';
import { AskedProcesses } from './asked-processes.ts';
import { bringSpace } from './bring-all.ts';
import { type PagedMemory, type PagedSession, PagedSpace } from './paged-space.ts';
import { SwapError, type SwapFile } from './swap-file.ts';

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
/** Pages that come along for who goes through them in order. */
const AHEAD_PAGES = 8;

export interface PageoutCounts {
  activations: number;
  pageouts: number;
  dropped: number;
  swapIns: number;
  refaults: number;
}

export interface PageoutOptions {
  readonly frames: Frames;
  readonly swap: SwapFile;
  sessions(): Iterable<PagedSession>;
  short(short: Short): void;
  /** A process is over its quota. */
  ended(vmspace: PagedMemory, reason: string): void;
}

export class Pageout {
  readonly counts: PageoutCounts = { activations: 0, pageouts: 0, dropped: 0, swapIns: 0, refaults: 0 };
  readonly swap: SwapFile;
  private readonly o: PageoutOptions;
  private readonly policy: PageoutPolicy;
  private readonly spaces = new Map<bigint, PagedSpace>();
  private readonly asked: AskedProcesses;
  private looking = false;
  private stopped = false;
  private readonly low: number;
  private readonly high: number;

  constructor(options: PageoutOptions) {
    this.o = options;
    this.swap = options.swap;
    this.asked = new AskedProcesses(options);
    const { total } = options.frames;
    this.low = Math.floor(total * LOW_PART);
    this.high = Math.floor(total * HIGH_PART);
    this.policy = new PageoutPolicy(Math.min(INACTIVE_MAX, Math.floor(total * INACTIVE_PART)));
  }

  get hasSwap(): boolean {
    return this.swap.slots > 0;
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
        swapUsedBytes: BigInt(this.swap.usedSlots * PAGE_BYTES),
        swapBytes: BigInt(this.swap.slots * PAGE_BYTES),
      },
    };
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
    for (const space of this.spaces.values()) this.scan(space);
    this.perform(this.policy.age((id) => this.overdraftOf(id)));
    if (frames.free >= this.low) return;
    this.asked.askSome();
    const before = frames.free;
    this.reclaim(Math.min(TURN_PAGES, this.high - before));
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
    if (this.swap.freeSlots === 0) return false;
    if (!this.asked.askSome()) return true;
    if (this.policy.activePages + this.policy.inactivePages > 0) {
      this.lookSoon();
      return true;
    }
    return this.asked.mayAnswer;
  }

  /** Why pages do not leave, where they cannot. */
  noRoom(): string {
    return this.swap.freeSlots > 0 ? '' : ` and its swap is full (vkctl up --node-swap gives more)`;
  }

  // ---- who is paged

  /** The virtual kernel fills no page of it by itself any more. @returns false: it was not asked, or too long ago */
  answered(session: PagedSession, vmspace: PagedMemory, base: bigint): boolean {
    if (!this.asked.delete(vmspace.id) || this.stopped) return false;
    const space = new PagedSpace(vmspace, session, base, this.swap);
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
    const pages = Math.min(want, this.swap.freeSlots);
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
  }

  private evict(space: PagedSpace, page: number): void {
    const { counts } = this;
    const where = space.evict(page, counts.pageouts + counts.dropped);
    if (where === undefined) {
      // It was not taken out, or has nowhere to go: it stays.
      if (space.aside.has(page)) this.bringBack(space, page);
      return;
    }
    if (where === 'swap') counts.pageouts++;
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
    const refused = space.swapped.has(page) ? undefined : this.overQuota(space);
    if (refused !== undefined) this.refuse(space, address, refused);
    else if (!this.bringNew(space, page)) this.short(space, page, address);
    else {
      const inOrder = page === space.nextPage;
      space.nextPage = page + 1;
      if (inOrder) this.ahead(space, page + 1);
    }
  }

  // A page in swap, or one that was never touched.
  private bringNew(space: PagedSpace, page: number): boolean {
    const { privateFrames } = space.session;
    // Nothing leaves any more, and nobody is refused for that.
    if (this.stopped) privateFrames.resume(1);
    else if (privateFrames.take(1) === 0) {
      this.reclaim(TURN_PAGES / 8);
      if (privateFrames.take(1) === 0) return false;
    }
    const swapped = space.swapped.get(page);
    if (!space.bring(page)) {
      privateFrames.lend(1);
      return false;
    }
    space.lent--;
    if (swapped !== undefined) {
      this.counts.swapIns++;
      const left = this.counts.pageouts + this.counts.dropped - swapped.leftBefore;
      if (left <= this.o.frames.total) this.counts.refaults++;
    }
    this.policy.came(space.vmspace.id, page);
    space.wake(page);
    return true;
  }

  private ahead(space: PagedSpace, firstPage: number): void {
    // The memory may end where a wasm page ends.
    const end = Math.min(firstPage + AHEAD_PAGES, Math.ceil(firstPage / 16) * 16);
    for (let page = firstPage; page < end; page++) {
      if (this.o.frames.free <= this.low || space.aside.has(page) || space.isResident(page)) return;
      if (!space.swapped.has(page) && this.overQuota(space) !== undefined) return;
      if (!this.bringNew(space, page)) return;
      space.nextPage = page + 1;
    }
  }

  private overQuota({ vmspace, swapped }: PagedSpace): string | undefined {
    const { charge } = vmspace;
    if (charge.frames + swapped.size < charge.quotaFrames) return undefined;
    const quota = `${(charge.quotaFrames * PAGE_BYTES) / 2 ** 20} MiB`;
    return `out of memory: it touched more than its quota of ${quota}, in memory and in swap (raise it with --memory)`;
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

  // ---- another pmap manager

  /**
   * Brings all pages of a virtual kernel back, for another pmap manager knows nothing of swap: before the virtual kernel hears of
   * it, and fills pages by itself again. A process whose pages find no room ends.
   */
  async bringAll(session: PagedSession, pause: () => Promise<void>): Promise<void> {
    for (const space of [...this.spaces.values()]) {
      const { vmspace } = space;
      const goesOn = () => this.spaces.get(vmspace.id) === space;
      if (space.session !== session || !goesOn()) continue;
      if (await bringSpace(space, pause, goesOn)) this.unpage(space, session);
      if (!goesOn()) continue;
      const reason = 'another pmap manager goes on, and what it has in swap cannot be brought back';
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
  }

  end(): void {
    this.stop();
    this.swap.close();
  }
}
