// Faults of the processes of a node: served with what is here, or when their page arrives.
//
//   fault -> may it be used?  yes: mapped, the guest wakes; its neighbours follow when it runs again
//                             no:  a frame is kept, the page is asked for, the fault waits -> ready: from the start
import { type AccessMode, mayRead, mayWrite, type PageSpan, spansOf } from '../../page.ts';
import { DENSE_BLOCK_PAGES, DENSE_MISSING_LEAST } from '../readahead/dense-blocks.ts';
import type { Wanted } from '../readahead/readahead.ts';
import type { WritePrediction } from '../readahead/write-prediction.ts';
import type { MemoryContext } from './memory-context.ts';
import type { Ahead, EventOf } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { Mapping } from './page-tables.ts';
import { type Fault, type FaultPlace, PAGE_WAITERS_MAX } from './waiting.ts';
import { whyRemoved } from './why-gone.ts';

export class Faults<M extends Mapping, B> {
  private readonly context: MemoryContext<M, B>;

  constructor(context: MemoryContext<M, B>) {
    this.context = context;
  }

  /** Serves a fault, now or when its page arrives. */
  serve(fault: Fault<M>): void {
    const { context } = this;
    const { entry, page, write } = fault;
    const dataspace = context.dataspaces.get(entry.dataspace.id);
    if (dataspace === undefined) {
      this.fail(fault, whyRemoved(entry.dataspace.name));
      return;
    }
    if (write && !entry.writable) {
      const reason = `write to page ${page} of dataspace ${dataspace.name}, which is mapped read-only`;
      context.say({ type: 'fault-error', fault, signal: 'SIGSEGV', reason });
      return;
    }
    entry.readahead.access(page, dataspace.contested.has(page), write);
    if (context.mayUse(dataspace.id, page, write)) this.resolve(dataspace, fault, 'node');
    else this.request(dataspace, fault, this.isUpgrade(dataspace, fault) ? 'upgrade' : 'remote');
  }

  private isUpgrade({ id }: NodeDataspace<M, B>, { page, write }: Fault<M>): boolean {
    return write && mayRead(this.context.holder.state(id, page));
  }

  /** The permission of its page changed, or there may be a frame for it. */
  again(fault: Fault<M>, place: FaultPlace): void {
    const { context } = this;
    const { entry, page, write } = fault;
    // Its mapping went, perhaps with its virtual kernel: nobody waits.
    if (!context.ports.tables.has(entry)) return;
    const dataspace = context.dataspaces.get(entry.dataspace.id);
    if (dataspace === undefined) this.fail(fault, whyRemoved(entry.dataspace.name));
    else if (context.mayUse(dataspace.id, page, write)) this.resolve(dataspace, fault, place);
    else this.request(dataspace, fault, place);
  }

  /** @param limit where it is for one */
  fail(fault: Fault<M>, reason: string, limit?: string): void {
    const { context } = this;
    if (context.ports.tables.has(fault.entry))
      context.say({ type: 'fault-error', fault, signal: 'SIGBUS', reason, ...(limit && { limit }) });
  }

  private request(dataspace: NodeDataspace<M, B>, fault: Fault<M>, place: FaultPlace): void {
    const { entry, page } = fault;
    // What comes must have a frame: so before it is asked for.
    if (!this.context.room.reserve(dataspace, page, 1, entry.charged)) {
      this.short(fault, place);
      return;
    }
    if (place === 'upgrade') {
      dataspace.prediction.upgraded(page);
      dataspace.contested.note(page);
    }
    const forWriting = this.asksForWriting(dataspace, fault);
    if (!forWriting) dataspace.prediction.read(page);
    const mode: AccessMode = forWriting ? 'WRITE' : 'READ';
    if (!dataspace.waiting.add(page, { fault, place, mode }))
      this.fail(
        fault,
        `${PAGE_WAITERS_MAX} faults wait for one page, the most; let fewer processes touch it before it is here`,
        'page-waiters',
      );
    this.want(dataspace, entry, page, mode, place === 'upgrade');
  }

  /** True where a write will follow: then the page moves once instead of twice. */
  protected asksForWriting(dataspace: NodeDataspace<M, B>, { entry, page, write }: Fault<M>): boolean {
    if (write) return true;
    if (!entry.writable) return false;
    return this.context.ports.permissions.modifies(entry, page) || dataspace.prediction.expects(page);
  }

  // The node has no frame for the page of a fault, or the process may have none.
  private short(fault: Fault<M>, place: FaultPlace): void {
    const { context } = this;
    context.say({ type: 'short', fault, place, sharedOnly: context.ports.budget.sharedIsFull });
  }

  // The page that is waited for comes first, and its neighbours when the guest runs again; but whoever goes through
  // pages in order is served best by all of them in one step.
  private resolve(dataspace: NodeDataspace<M, B>, fault: Fault<M>, place: FaultPlace): void {
    const { entry, page, write } = fault;
    const { readahead } = entry;
    const inOrder = readahead.sequential;
    const pageCount = inOrder ? this.readyPages(dataspace, entry, page, readahead.mapPages, write) : 1;
    const mapped = this.map(dataspace, entry, page, pageCount, 1, write);
    if (mapped === undefined) {
      this.short(fault, place);
      return;
    }
    readahead.mapped(page, Math.max(1, mapped));
    this.mapBefore(dataspace, fault);
    this.context.say({ type: 'resolved', fault, place, neighbours: !inOrder });
    // Who found the page here keeps the pages after it coming.
    if (inOrder && place === 'node') this.want(dataspace, entry, page, write ? 'WRITE' : 'READ');
  }

  /** Of whoever goes through pages from the last one to the first. */
  private mapBefore(dataspace: NodeDataspace<M, B>, { entry, page, write }: Fault<M>): void {
    const { readahead } = entry;
    if (readahead.mapBefore === 0) return;
    const pageCount = this.readyBefore(dataspace, entry, page, readahead.mapBefore, write);
    if (pageCount === 0) return;
    const mapped = this.map(dataspace, entry, page - pageCount, pageCount, 0, write);
    if (mapped === pageCount) readahead.mappedBefore(page, pageCount);
  }

  /** The guest of a fault runs again. */
  mapNeighbours({ entry, page, write }: Fault<M>): void {
    const dataspace = this.context.dataspaces.get(entry.dataspace.id);
    if (dataspace === undefined || !this.context.ports.tables.has(entry)) return;
    const { readahead } = entry;
    const pageCount = this.readyPages(dataspace, entry, page + 1, readahead.mapPages - 1, write);
    if (pageCount === 0) return;
    const mapped = this.map(dataspace, entry, page + 1, pageCount, 0, write);
    readahead.mapped(page, 1 + (mapped ?? 0));
  }

  /**
   * Maps pages that are here, as far as that disturbs nobody.
   * @returns how many from the first on; undefined: there is no frame for the first one
   */
  private map(
    dataspace: NodeDataspace<M, B>,
    entry: M,
    firstPage: number,
    maxPages: number,
    neededPages: number,
    write: boolean,
  ): number | undefined {
    const { room, home, ports } = this.context;
    const pageCount = room.fill(dataspace, firstPage, maxPages, entry.charged);
    if (pageCount === 0) return undefined;
    const run = { dataspace: dataspace.id, firstPage, pageCount };
    const alone = this.mapsAlone(dataspace, entry, firstPage);
    if (write || alone) this.context.wrote(run);
    const mode = write ? 'WRITE' : 'READ';
    let mapped = 0;
    for (const grant of home.takeFor(entry.holder, run, mode, neededPages, alone)) {
      const writable = entry.writable && (write || alone) && mayWrite(grant.state);
      const count = ports.tables.map(entry, grant.run.firstPage, grant.run.pageCount, writable);
      if (grant.run.firstPage === firstPage + mapped) mapped += count;
    }
    return mapped;
  }

  /** A page that nobody else has is mapped for writing at its first read: most are written next. */
  protected mapsAlone({ id }: NodeDataspace<M, B>, entry: M, page: number): boolean {
    return entry.writable && mayWrite(this.context.holder.state(id, page));
  }

  // The page that is waited for is asked for first, and those after it when that is under way.
  private want(
    dataspace: NodeDataspace<M, B>,
    entry: M,
    page: number,
    mode: AccessMode,
    shared = false,
  ): void {
    const wanted = entry.readahead
      .wanted(page, entry, shared, mode === 'WRITE')
      .map((each) => this.withinSpare(each, entry));
    const together = Math.max(1, this.roomFor(dataspace, entry, page, wanted[0]?.neededPages ?? 1));
    const run = { dataspace: dataspace.id, firstPage: page, pageCount: together };
    this.context.want(run, mode, together);
    for (let each = page; each < page + together; each++) dataspace.lostLately.asked(each);
    if (wanted.some(({ firstPage, pageCount }) => firstPage !== page || pageCount > together))
      this.context.say({ type: 'ahead', entry, wanted, mode });
    if (mode !== 'READ') return;
    this.bringLost(dataspace, entry);
    if (entry.readahead.scattered && dataspace.dense.fault(page)) this.bringBlock(dataspace, entry, page);
  }

  /** What is a mere guess: nothing that is used leaves for it. */
  private withinSpare(wanted: Wanted, { charged }: M): Wanted {
    const { pageCount, neededPages } = wanted;
    if (pageCount <= neededPages || this.context.ports.budget.spareFor(charged) >= pageCount) return wanted;
    return { ...wanted, pageCount: neededPages };
  }

  // Of the page itself there is.
  private roomFor(dataspace: NodeDataspace<M, B>, { charged }: M, page: number, pageCount: number): number {
    return pageCount > 1 ? this.context.room.reserve(dataspace, page, pageCount, charged) : 1;
  }

  /** What was read here and lost comes along with what is read now. */
  protected bringLost({ lostLately, prediction }: NodeDataspace<M, B>, entry: M): void {
    if (lostLately.size === 0) return;
    this.bring(prediction, entry, lostLately.take(entry.endPage));
  }

  /** To be read, and needed; but nothing that is used leaves for it. */
  private bring(prediction: WritePrediction, entry: M, runs: readonly PageSpan[]): void {
    if (runs.length === 0) return;
    let spare = this.context.ports.budget.spareFor(entry.charged);
    const wanted: Wanted[] = [];
    for (const { firstPage, pageCount } of runs) {
      if (pageCount > spare) break;
      spare -= pageCount;
      wanted.push({ firstPage, pageCount, neededPages: pageCount });
      for (let page = firstPage; page < firstPage + pageCount; page++) prediction.read(page);
    }
    if (wanted.length > 0) this.context.say({ type: 'ahead', entry, wanted, mode: 'READ' });
  }

  /** What is missing of the block of a page. */
  private bringBlock({ id, prediction }: NodeDataspace<M, B>, entry: M, page: number): void {
    const first = page - (page % DENSE_BLOCK_PAGES);
    const end = Math.min(entry.endPage, first + DENSE_BLOCK_PAGES);
    const missing: number[] = [];
    for (let each = first; each < end; each++)
      if (each !== page && !mayRead(this.context.holder.state(id, each))) missing.push(each);
    if (missing.length >= DENSE_MISSING_LEAST) this.bring(prediction, entry, spansOf(missing));
  }

  /** What nobody waits for yet comes where there is room. */
  askAhead({ entry, wanted, mode }: Ahead<M>): void {
    if (!this.context.ports.tables.has(entry)) return;
    for (const { firstPage, pageCount, neededPages } of wanted) {
      const asked = this.ask(entry, firstPage, pageCount, neededPages, mode);
      if (asked < pageCount) entry.readahead.cutShort(firstPage + asked, firstPage + pageCount);
    }
  }

  /** Asks for pages that will be used. */
  advise({ entry, firstPage, pageCount, mode }: EventOf<'advise', M, B>): void {
    if (this.context.ports.tables.has(entry)) this.ask(entry, firstPage, pageCount, pageCount, mode);
  }

  /** @returns for how many pages from the first on there was room */
  private ask(entry: M, firstPage: number, pageCount: number, neededPages: number, mode: AccessMode): number {
    const { id } = entry.dataspace;
    const dataspace = this.context.dataspaces.get(id);
    if (dataspace === undefined) return 0;
    const count = this.context.room.reserve(dataspace, firstPage, pageCount, entry.charged);
    if (count > 0)
      this.context.want({ dataspace: id, firstPage, pageCount: count }, mode, Math.min(count, neededPages));
    return count;
  }

  /** How many pages from the first on may be mapped in one step: none, where the first may not. */
  protected readyPages(
    dataspace: NodeDataspace<M, B>,
    entry: M,
    firstPage: number,
    maxPages: number,
    write: boolean,
  ): number {
    const end = Math.min(entry.endPage, firstPage + maxPages);
    const forWriting = write || this.mapsAlone(dataspace, entry, firstPage);
    let next = firstPage;
    for (; next < end; next++) {
      if (!this.isReady(dataspace, next, forWriting)) break;
      if (next > firstPage && this.isKeptHole(dataspace, entry, next)) break;
    }
    return next - firstPage;
  }

  /** How many pages before one may be mapped in one step, all of them in the same way. */
  private readyBefore(
    dataspace: NodeDataspace<M, B>,
    entry: M,
    endPage: number,
    maxPages: number,
    write: boolean,
  ): number {
    const first = Math.max(entry.firstPage, endPage - maxPages);
    const alone = this.mapsAlone(dataspace, entry, endPage - 1);
    let next = endPage;
    for (; next > first; next--) {
      if (!this.isReady(dataspace, next - 1, write || alone)) break;
      if (!this.isAlike(dataspace, entry, next - 1, alone)) break;
      if (this.isKeptHole(dataspace, entry, next - 1)) break;
    }
    return endPage - next;
  }

  protected isAlike(dataspace: NodeDataspace<M, B>, entry: M, page: number, alone: boolean): boolean {
    return this.mapsAlone(dataspace, entry, page) === alone;
  }

  protected isReady({ id }: NodeDataspace<M, B>, page: number, forWriting: boolean): boolean {
    const { holder, ports } = this.context;
    return this.context.permits(holder.state(id, page), forWriting) && ports.permissions.usable(id, page);
  }

  /** A hole that nobody may write through this mapping keeps its frame until it is touched. */
  private isKeptHole({ id, frames }: NodeDataspace<M, B>, entry: M, page: number): boolean {
    return !entry.writable && mayWrite(this.context.holder.state(id, page)) && !frames.has(page);
  }
}
