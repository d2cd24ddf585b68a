// The shared memory of a node: the holder towards cohd, the directory towards the virtual kernels,
// and the frames between them.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { PageToStore } from '@odonata/backing-store/page-store.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import type { HolderSnapshot } from '@odonata/coherency/holder-snapshot.ts';
import type { AccessMode, HolderId, PageRun, PageSpan, PageState } from '@odonata/coherency/page.ts';
import { mayRead, mayWrite, PAGE_BYTES, pageCountOf, spansOf, unreachable } from '@odonata/coherency/page.ts';
import { runsOfShard } from '@odonata/coherency/shard.ts';
import { ShardedHolder } from '@odonata/coherency/sharded-holder.ts';
import { storedVersionOf } from '@odonata/coherency/stored-version.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { CHARGED_TO_NODE } from './charge.ts';
import type { Frames } from './frames.ts';
import { MemoryFile } from './memory-file.ts';
import { NodePmap } from './node-pmap.ts';
import { PageRoom } from './page-room.ts';
import type { Wanted } from './readahead.ts';
import { type PageWaiter, SharedDataspace } from './shared-dataspace.ts';
import { mib, type Short } from './shortage.ts';
import type { FaultPlace, Statistics } from './statistics.ts';
import type { Delivery } from './transfer.ts';
import type { MapEntry } from './vmspace.ts';

export interface FaultAt {
  entry: MapEntry;
  page: number;
  write: boolean;
  /** CLOCK_MONOTONIC when the handler read it. */
  atNs: bigint;
}

/** Where the holder's actions go that leave the node. */
export interface Outside {
  /** `shard`: of a report. */
  toDirectory(action: Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>, shard?: number): void;
  /** True while what the directory permitted of a page may be used. */
  usable(dataspace: bigint, page: number): boolean;
  /** A message with pages for another holder; undefined when that one is unknown by now. */
  delivery(
    receiver: HolderId,
    run: PageRun,
    zero: boolean,
    version: number,
    state: PageState,
  ): Delivery | undefined;
  /** True where the process of a fault holds a lock under which it writes there. */
  modifies(fault: FaultAt): boolean;
  /** The epoch of the leader of a page. */
  epochOf(dataspace: bigint, page: number): bigint;
  /** Pages of a durable dataspace are LOST at a version: `takeStored` or `failPage` follows for each. */
  fetchStored(dataspace: SharedDataspace, run: PageRun, lostVersion: number): void;
  /** Somebody needed a page that is lost. */
  pageLost(reason: string, about: { dataspace: string; page: number }): void;
  /** The node itself has no frame for pages of a dataspace that somebody asked it for. */
  refused(reason: string, dataspace: string): void;
  /** There is no frame for a page: who needs it is refused, or tries again. `sharedOnly`: see Shortage. */
  short(short: Short, sharedOnly: boolean): void;
  /** A fault became an error of its process. */
  faultError(fault: FaultAt, signal: string, reason: string): void;
}

export class CoherentMemory {
  readonly pmap = new NodePmap();
  private readonly holder: ShardedHolder;
  private readonly dataspaces = new Map<bigint, SharedDataspace>();
  private readonly memoryDir: string;
  private readonly outside: Outside;
  private readonly statistics: Statistics;
  private frozen = false;
  private arriving: { firstPage: number; data: Uint8Array } | undefined;
  private operations = 0;
  private readonly frames: Frames;
  private readonly room: PageRoom;

  constructor(
    memoryDir: string,
    outside: Outside,
    statistics: Statistics,
    { shards, frames }: { shards: number; frames: Frames },
  ) {
    this.holder = new ShardedHolder(shards);
    this.frames = frames;
    this.room = new PageRoom(frames, this.holder);
    this.memoryDir = memoryDir;
    this.outside = outside;
    this.statistics = statistics;
  }

  get(id: bigint): SharedDataspace | undefined {
    return this.dataspaces.get(id);
  }

  all(): Iterable<SharedDataspace> {
    return this.dataspaces.values();
  }

  /** Dataspaces that are known here. */
  get count(): number {
    return this.dataspaces.size;
  }

  /** True while the directory was asked for a page, and has not answered. */
  isAsked(dataspace: bigint, page: number): boolean {
    return this.holder.pending(dataspace, page);
  }

  residentPages(): number {
    let pages = 0;
    for (const dataspace of this.dataspaces.values()) pages += dataspace.file.residentPages;
    return pages;
  }

  private pathOf(id: bigint): string {
    return join(this.memoryDir, `ds-${id}`);
  }

  /** Makes a dataspace known on this node. `whole`: this node made it and holds all of it. */
  open(
    about: { id: bigint; name: string; sizeBytes: bigint; durable: boolean },
    whole: boolean,
  ): SharedDataspace {
    const known = this.dataspaces.get(about.id);
    if (known !== undefined) return known;
    const pageCount = pageCountOf(about.sizeBytes);
    const file = new MemoryFile(this.pathOf(about.id), pageCount, undefined, this.frames);
    const dataspace = new SharedDataspace({ ...about, pageCount, file });
    this.dataspaces.set(about.id, dataspace);
    this.pmap.addDataspace(dataspace);
    this.step({ type: 'open', dataspace: about.id, pageCount, whole });
    return dataspace;
  }

  /**
   * Goes on with a dataspace of another pmap manager of this node: its frames are in the memory file. `resumeHolder`
   * follows.
   */
  adopt(about: { id: bigint; name: string; sizeBytes: bigint; durable: boolean }): SharedDataspace {
    const pageCount = pageCountOf(about.sizeBytes);
    const file = new MemoryFile(this.pathOf(about.id), pageCount, true, this.frames);
    const dataspace = new SharedDataspace({ ...about, pageCount, file });
    this.dataspaces.set(about.id, dataspace);
    this.pmap.addDataspace(dataspace);
    return dataspace;
  }

  /** The cluster removed a dataspace before this pmap manager went on with it. */
  disown(dataspace: SharedDataspace): void {
    dataspace.unfollow();
    this.pmap.removeDataspace(dataspace.id);
    this.dataspaces.delete(dataspace.id);
    dataspace.file.close();
  }

  /** Of one shard. @see Holder.resume */
  resumeHolder(shard: number, snapshot: HolderSnapshot): void {
    this.holder.resumeShard(shard, snapshot);
  }

  /** What is known of the pages of a shard; `freeze` tells what is new since then. */
  followHolder(shard: number): HolderSnapshot {
    return this.holder.follow(shard);
  }

  /**
   * Another pmap manager goes on with what is here: from now on nothing changes, neither here nor in the page tables of
   * virtual kernels. They can write nothing any more.
   * @returns what is new of pages, by shard, where they were followed; else all
   */
  freeze(): HolderSnapshot[] {
    this.frozen = true;
    for (const dataspace of this.dataspaces.values()) this.pmap.protectAll(dataspace);
    return this.holder.changed();
  }

  /** False: some pages have no room in the memory files, and only this process has them. */
  placeAll(): boolean {
    return [...this.dataspaces.values()].every(({ file }) => file.placeAll());
  }

  /** Nobody goes on but this one. Who waits looks again. */
  unfreeze(): void {
    this.frozen = false;
    this.unfollow();
    for (const dataspace of this.dataspaces.values()) this.resumeAll(dataspace);
  }

  /** Nobody wants to know any more what is new. */
  unfollow(): void {
    this.holder.unfollow();
    for (const { file } of this.dataspaces.values()) file.unfollow();
  }

  /** The cluster removed a dataspace. */
  remove(id: bigint): void {
    const dataspace = this.dataspaces.get(id);
    if (dataspace === undefined) return;
    this.step({ type: 'remove', dataspace: id });
    dataspace.unfollow();
    this.pmap.removeDataspace(id);
    this.dataspaces.delete(id);
    this.room.forget(dataspace);
    dataspace.file.remove();
  }

  /** Serves a fault, now or when its page arrives. */
  fault(fault: FaultAt): void {
    // The next pmap manager lets who waits fault once more.
    if (this.frozen) return;
    const { entry, page, write } = fault;
    const { dataspace, writable } = entry;
    if (write && !writable) {
      this.outside.faultError(
        fault,
        'SIGSEGV',
        `write to page ${page} of dataspace ${dataspace.name}, which is mapped read-only`,
      );
      return;
    }
    entry.readahead.access(page);
    if (this.mayUse(dataspace.id, page, write)) this.resolve(fault, 'node');
    else this.request(fault, write && mayRead(this.holder.state(dataspace.id, page)) ? 'upgrade' : 'remote');
  }

  private mayUse(dataspace: bigint, page: number, write: boolean): boolean {
    return this.permits(this.holder.state(dataspace, page), write) && this.outside.usable(dataspace, page);
  }

  private permits(state: PageState, write: boolean): boolean {
    return write ? mayWrite(state) : mayRead(state);
  }

  private request(fault: FaultAt, place: FaultPlace): void {
    const { entry, page, write } = fault;
    const { dataspace } = entry;
    // What comes must have a frame: so before it is asked for.
    if (!this.room.reserve(dataspace, page, 1, entry.vmspace.charge.number)) {
      this.short(fault, place);
      return;
    }
    if (place === 'upgrade') dataspace.prediction.upgraded(page);
    const forWriting =
      write || (entry.writable && (this.outside.modifies(fault) || dataspace.prediction.expects(page)));
    if (!forWriting) dataspace.prediction.read(page);
    const mode: AccessMode = forWriting ? 'WRITE' : 'READ';
    dataspace.wait(page, {
      key: `${entry.vmspace.id} ${entry.address}`,
      mode,
      fault,
      retry: () => this.again(fault, place),
      fail: (reason) => this.failFault(fault, reason),
    });
    this.want(entry, page, mode);
  }

  private again(fault: FaultAt, place: FaultPlace): void {
    const { entry, page, write } = fault;
    // Its mapping went, perhaps with its virtual kernel: nobody waits.
    if (this.frozen || !entry.dataspace.entries.has(entry)) return;
    if (this.mayUse(entry.dataspace.id, page, write)) this.resolve(fault, place);
    else this.request(fault, place);
  }

  private failFault(fault: FaultAt, reason: string): void {
    if (fault.entry.dataspace.entries.has(fault.entry)) this.outside.faultError(fault, 'SIGBUS', reason);
  }

  // The node has no frame for the page of a fault, or the process may have none.
  private short(fault: FaultAt, place: FaultPlace): void {
    const { entry, page } = fault;
    const { frames } = this;
    this.outside.short(
      {
        key: `${entry.vmspace.id} ${entry.address} ${page}`,
        charge: entry.vmspace.charge,
        what: `page ${page} of dataspace ${entry.dataspace.name}`,
        fault,
        retry: () => this.again(fault, place),
        refuse: (reason) => this.failFault(fault, reason),
      },
      frames.sharedIsFull,
    );
  }

  // The page that is waited for comes first, and its neighbours when the guest runs again; but whoever goes through
  // pages in order is served best by all of them in one step.
  private resolve(fault: FaultAt, place: FaultPlace): void {
    const { entry, page, write } = fault;
    const inOrder = entry.readahead.sequential;
    const pageCount = inOrder ? this.readyPages(entry, page, entry.readahead.mapPages, write) : 1;
    const mapped = this.map(entry, { firstPage: page, pageCount, neededPages: 1 }, write);
    if (mapped === undefined) {
      this.short(fault, place);
      return;
    }
    entry.readahead.mapped(page, Math.max(1, mapped));
    this.statistics.fault(place, Number(process.hrtime.bigint() - fault.atNs));
    if (!inOrder) this.soon(entry, () => this.mapNeighbours(fault));
    // Who found the page here keeps the pages after it coming.
    else if (place === 'node') this.want(entry, page, write ? 'WRITE' : 'READ');
  }

  private mapNeighbours({ entry, page, write }: FaultAt): void {
    const pageCount = this.readyPages(entry, page + 1, entry.readahead.mapPages - 1, write);
    if (pageCount === 0) return;
    const mapped = this.map(entry, { firstPage: page + 1, pageCount, neededPages: 0 }, write);
    entry.readahead.mapped(page, 1 + (mapped ?? 0));
  }

  /**
   * Maps pages that are here, as far as that disturbs nobody.
   * @returns how many from the first on; undefined: there is no frame for the first one
   */
  private map(entry: MapEntry, wanted: Wanted, write: boolean): number | undefined {
    const { dataspace, vmspace } = entry;
    const { firstPage, neededPages } = wanted;
    const pageCount = this.room.fill(dataspace, firstPage, wanted.pageCount, vmspace.charge.number);
    if (pageCount === 0) return undefined;
    const run = { dataspace: dataspace.id, firstPage, pageCount };
    // A page that nobody else has is mapped for writing at its first read: most are written next.
    const alone = entry.writable && mayWrite(this.holder.state(dataspace.id, firstPage));
    if (write || alone) this.step({ type: 'wrote', run });
    const mode = write ? 'WRITE' : 'READ';
    let mapped = 0;
    for (const grant of this.pmap.takeFor(vmspace.session, run, mode, neededPages, alone)) {
      const writable = entry.writable && (write || alone) && mayWrite(grant.state);
      const count = this.pmap.map(entry, grant.run.firstPage, grant.run.pageCount, writable);
      if (grant.run.firstPage === firstPage + mapped) mapped += count;
    }
    return mapped;
  }

  // When what this turn has for others is on its way.
  private soon(entry: MapEntry, work: () => void): void {
    setImmediate(() => {
      if (!this.frozen && entry.dataspace.entries.has(entry)) work();
    });
  }

  // The page that is waited for is asked for first, and those after it when that is under way.
  private want(entry: MapEntry, page: number, mode: AccessMode): void {
    const { id: dataspace } = entry.dataspace;
    const ask = (firstPage: number, pageCount: number, neededPages: number) =>
      this.step({ type: 'want', run: { dataspace, firstPage, pageCount }, mode, neededPages });
    ask(page, 1, 1);
    const wanted = entry.readahead.wanted(page, entry.endPage);
    if (wanted.every((each) => each.pageCount === 1)) return;
    this.soon(entry, () => {
      const charged = entry.vmspace.charge.number;
      for (const each of wanted) {
        // What nobody waits for yet comes where there is room.
        const count = this.room.reserve(entry.dataspace, each.firstPage, each.pageCount, charged);
        if (count > 0) ask(each.firstPage, count, Math.min(count, each.neededPages));
      }
    });
  }

  // How many pages from the first on may be mapped in one step: none, where the first may not.
  private readyPages(entry: MapEntry, firstPage: number, maxPages: number, write: boolean): number {
    const { dataspace } = entry;
    const end = Math.min(entry.endPage, firstPage + maxPages);
    const forWriting = write || (entry.writable && mayWrite(this.holder.state(dataspace.id, firstPage)));
    let next = firstPage;
    for (; next < end; next++) {
      const state = this.holder.state(dataspace.id, next);
      if (!this.permits(state, forWriting) || !this.outside.usable(dataspace.id, next)) break;
      // A hole that nobody may write through this mapping keeps its frame until it is touched.
      if (next > firstPage && !entry.writable && mayWrite(state) && !dataspace.file.has(next)) break;
    }
    return next - firstPage;
  }

  /**
   * Runs `use` while the node itself may read or write a run of pages; it must not wait for anything. Where such pages
   * are LOST, those of `anew` begin anew with zeros: somebody accepts that, or writes them whole.
   * @throws Error with the reason when pages are lost or the dataspace goes away; RpcError RESOURCE_EXHAUSTED where the
   * node has no frames for them
   */
  async withPages<T>(
    dataspace: SharedDataspace,
    firstPage: number,
    pageCount: number,
    mode: AccessMode,
    use: () => T,
    anew?: PageSpan,
  ): Promise<T> {
    if (anew === undefined) return await this.usePages(dataspace, { firstPage, pageCount }, mode, use);
    dataspace.anew.add(anew);
    try {
      return await this.usePages(dataspace, { firstPage, pageCount }, mode, use);
    } finally {
      dataspace.anew.delete(anew);
    }
  }

  private async usePages<T>(
    dataspace: SharedDataspace,
    { firstPage, pageCount }: PageSpan,
    mode: AccessMode,
    use: () => T,
  ): Promise<T> {
    const run = { dataspace: dataspace.id, firstPage, pageCount };
    for (;;) {
      if (this.frozen)
        throw tryAgain(Code.Unavailable, 'another pmap manager takes the place of this one; try again');
      const missing = this.firstMissing(run, mode);
      if (missing === undefined) break;
      if (this.room.reserve(dataspace, firstPage, pageCount, CHARGED_TO_NODE) < pageCount)
        throw this.noFrames(dataspace, pageCount);
      this.step({ type: 'want', run, mode, neededPages: pageCount });
      await new Promise<void>((resolve, reject) => {
        if (this.firstMissing({ ...run, firstPage: missing, pageCount: 1 }, mode) === undefined) resolve();
        else
          dataspace.wait(missing, {
            key: `operation ${++this.operations}`,
            mode,
            retry: resolve,
            fail: (reason) => reject(new Error(reason)),
          });
      });
    }
    if (mode === 'WRITE' && this.room.fill(dataspace, firstPage, pageCount, CHARGED_TO_NODE) < pageCount)
      throw this.noFrames(dataspace, pageCount);
    this.pmap.takeForNode(run, mode);
    if (mode === 'WRITE') this.step({ type: 'wrote', run });
    return use();
  }

  private noFrames({ name }: SharedDataspace, pageCount: number): RpcError {
    const { total, sharedFrames } = this.frames;
    const has = `shared pages have ${mib(sharedFrames)} of its ${mib(total)}`;
    const reason = `the node has no frames for ${pageCount} more pages of dataspace ${name}: ${has}`;
    this.outside.refused(reason, name);
    return new RpcError(Code.ResourceExhausted, `${reason} (vkctl up --node-memory gives a node more)`);
  }

  /** Pages that this node may be the only holder of; but not those of a whole dataspace that nobody asked for. */
  ownedRuns({ id }: SharedDataspace): PageRun[] {
    return this.holder.ownedRuns(id);
  }

  /** Pages of a whole dataspace that nobody asked for: zeros, but only this node knows. */
  plainRuns({ id }: SharedDataspace): PageRun[] {
    return this.holder.plainRuns(id);
  }

  /**
   * Copies of pages as they are now, for the backing store. `holds` says, when they are stored, whether they are as
   * durable as that looks: not where a page may have begun anew meanwhile with what was stored before.
   */
  capture(
    dataspace: SharedDataspace,
    firstPage: number,
    pageCount: number,
  ): Promise<{ pages: PageToStore[]; holds: () => boolean }> {
    return this.withPages(dataspace, firstPage, pageCount, 'READ', () => {
      const bytes = Uint8Array.from(dataspace.file.read(firstPage, pageCount));
      const numbers = Array.from({ length: pageCount }, (_, i) => firstPage + i);
      const lineages = numbers.map((page) => this.holder.lineage(dataspace.id, page));
      const pages = numbers.map((page, i) => {
        const epoch = this.outside.epochOf(dataspace.id, page);
        const state = this.holder.state(dataspace.id, page);
        const version = storedVersionOf(epoch, this.holder.version(dataspace.id, page), state);
        return { page, version, bytes: bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES) };
      });
      const holds = (): boolean =>
        numbers.every((page, i) => {
          return (
            this.outside.usable(dataspace.id, page) && this.holder.lineage(dataspace.id, page) === lineages[i]
          );
        });
      return { pages, holds };
    });
  }

  /** A page that was LOST at a version was found in the backing store, which was read after that was said. */
  takeStored(
    dataspace: SharedDataspace,
    page: number,
    found: { version: number; lostVersion: number; bytes: Uint8Array },
  ): void {
    if (this.frozen) return;
    const { version, lostVersion, bytes } = found;
    const run = { dataspace: dataspace.id, firstPage: page, pageCount: 1 };
    const actions = this.holder.step({ type: 'stored', run, version, lostVersion });
    // What came too late must not take the place of what is asked for.
    if (actions.some(({ type }) => type === 'acquire')) dataspace.stored.set(page, bytes);
    for (const action of actions) this.perform(action);
  }

  /** Pages that were LOST at a version begin anew with zeros, but for those that somebody has by now. */
  private beginAnew(dataspace: SharedDataspace, run: PageRun, lostVersion: number): void {
    const actions = this.holder.step({ type: 'stored', run, version: 0, lostVersion });
    for (const action of actions) {
      if (action.type === 'acquire')
        for (let i = 0; i < action.run.pageCount; i++)
          dataspace.stored.set(action.run.firstPage + i, undefined);
      this.perform(action);
    }
  }

  // Whether pages may begin anew is asked page by page, of few operations.
  private lost(dataspace: SharedDataspace, run: PageRun, lostVersion: number, reason: string): void {
    const pages = Array.from({ length: run.pageCount }, (_, i) => run.firstPage + i);
    for (const span of spansOf(pages.filter((page) => dataspace.beginsAnew(page))))
      this.beginAnew(dataspace, { dataspace: dataspace.id, ...span }, lostVersion);
    for (const span of spansOf(pages.filter((page) => !dataspace.beginsAnew(page))))
      this.failLost(dataspace, span.firstPage, dataspace.takeWaiters(span.firstPage, span.pageCount), reason);
  }

  private failLost(dataspace: SharedDataspace, page: number, waiters: PageWaiter[], reason: string): void {
    if (waiters.length === 0) return;
    this.outside.pageLost(reason, { dataspace: dataspace.name, page });
    this.statistics.lostAccesses += waiters.length;
    for (const waiter of waiters) waiter.fail(reason);
  }

  /** A page that was LOST at a version cannot be brought back. */
  failPage(dataspace: SharedDataspace, page: number, lostVersion: number, reason: string): void {
    if (dataspace.beginsAnew(page)) {
      if (!this.frozen)
        this.beginAnew(dataspace, { dataspace: dataspace.id, firstPage: page, pageCount: 1 }, lostVersion);
      return;
    }
    // Another node may have stored it, and brought it back, since this one looked.
    const isLost = this.holder.isLost(dataspace.id, page, lostVersion);
    const waiters = dataspace.takeWaiters(page, 1);
    if (isLost) this.failLost(dataspace, page, waiters, reason);
    else for (const waiter of waiters) waiter.retry();
  }

  private firstMissing(run: PageRun, mode: AccessMode): number | undefined {
    for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
      if (!this.mayUse(run.dataspace, page, mode === 'WRITE')) return page;
    }
    return undefined;
  }

  /** Empties every mapping of a run; the pages stay, and each access faults anew. */
  emptyPmaps(dataspace: SharedDataspace, firstPage: number, pageCount: number): void {
    if (this.frozen) return;
    this.pmap.takeForNode({ dataspace: dataspace.id, firstPage, pageCount }, 'WRITE');
  }

  /** Asks for pages that will be read. */
  readAhead({ dataspace, vmspace }: MapEntry, firstPage: number, pageCount: number): void {
    const count = this.room.reserve(dataspace, firstPage, pageCount, vmspace.charge.number);
    const run = { dataspace: dataspace.id, firstPage, pageCount: count };
    if (count > 0) this.step({ type: 'want', run, mode: 'READ', neededPages: count });
  }

  /** Pages came from another holder. */
  arrive(event: Extract<HolderEvent, { type: 'data' }>, data: Uint8Array): void {
    this.arriving = { firstPage: event.run.firstPage, data };
    this.step(event);
    this.arriving = undefined;
  }

  /** An event of the directory. */
  step(event: Parameters<ShardedHolder['step']>[0]): void {
    if (this.frozen) return;
    for (const action of this.holder.step(event)) this.perform(action);
  }

  /** An event of a shard's leader. */
  stepShard(shard: number, event: Parameters<ShardedHolder['stepShard']>[1]): void {
    if (this.frozen) return;
    for (const action of this.holder.stepShard(shard, event)) this.perform(action, shard);
  }

  /** Takes all access to a shard away; whoever needs it waits in a fault. Nothing is forgotten. */
  suspend(shard: number): void {
    if (this.frozen) return;
    for (const dataspace of this.dataspaces.values())
      for (const run of this.runsOf(shard, dataspace)) this.pmap.takeForNode(run, 'WRITE');
  }

  /** The same for all of a dataspace. */
  suspendAll(id: bigint): void {
    const dataspace = this.dataspaces.get(id);
    if (dataspace !== undefined) this.emptyPmaps(dataspace, 0, dataspace.pageCount);
  }

  resumeAll(dataspace: SharedDataspace): void {
    for (const waiter of dataspace.takeWaiters(0, dataspace.pageCount)) waiter.retry();
  }

  /** A shard may be used: who waits for it looks again. */
  resume(shard: number): void {
    for (const dataspace of this.dataspaces.values()) {
      if (dataspace.waiting.size === 0) continue;
      for (const { firstPage, pageCount } of this.runsOf(shard, dataspace))
        for (const waiter of dataspace.takeWaiters(firstPage, pageCount)) waiter.retry();
    }
  }

  private runsOf(shard: number, { id, pageCount }: SharedDataspace): PageRun[] {
    return runsOfShard(shard, this.holder.shards, id, pageCount);
  }

  private perform(action: HolderAction, shard?: number): void {
    if (action.type === 'acquire' || action.type === 'ack' || action.type === 'report') {
      this.outside.toDirectory(action, shard);
      return;
    }
    const { run } = action;
    const dataspace = this.dataspaces.get(run.dataspace);
    if (dataspace === undefined) return;
    switch (action.type) {
      case 'revoke':
        this.pmap.takeForNode(run, 'READ');
        return;
      case 'send':
        this.send(dataspace, action);
        return;
      case 'resend':
        this.resend(dataspace, action);
        return;
      case 'drop':
        dataspace.prediction.gone(run.firstPage, run.pageCount);
        this.statistics.invalidations += run.pageCount;
        dataspace.file.drop(run.firstPage, run.pageCount);
        this.pmap.takeForNode(run, 'WRITE');
        return;
      case 'install':
        this.install(dataspace, run, action.zero);
        return;
      case 'install-stored':
        this.installStored(dataspace, run);
        return;
      case 'restore':
        this.restore(dataspace, action);
        return;
      case 'forget':
        dataspace.forget(run, action.version);
        return;
      case 'ready':
        this.room.settle(dataspace, run);
        for (const waiter of dataspace.takeWaiters(run.firstPage, run.pageCount)) waiter.retry();
        return;
      case 'failed': {
        this.room.settle(dataspace, run);
        if (action.reason === 'LOST' && dataspace.durable) {
          this.outside.fetchStored(dataspace, run, action.version);
          return;
        }
        if (action.reason === 'LOST') {
          const why = `a page of dataspace ${dataspace.name} is lost: its only copy died with its node`;
          this.lost(dataspace, run, action.version, why);
          return;
        }
        const reason = `dataspace ${dataspace.name} was removed`;
        for (const waiter of dataspace.takeWaiters(run.firstPage, run.pageCount)) waiter.fail(reason);
        return;
      }
      default:
        unreachable(action);
    }
  }

  private send(dataspace: SharedDataspace, action: Extract<HolderAction, { type: 'send' }>): void {
    const { run, receiver, version, state, retain } = action;
    for (const { resident, ...part } of partsByResidence(dataspace, run)) {
      const delivery = this.outside.delivery(receiver, part, !resident, version, state);
      if (resident && delivery !== undefined) dataspace.file.readInto(part.firstPage, delivery.data);
      if (retain) this.retain(dataspace, part, resident, version, delivery);
      this.statistics.pagesOut += part.pageCount;
      delivery?.send({ keep: retain });
    }
  }

  // What was sent is kept in the message itself; where nothing could be sent, in a copy.
  private retain(
    dataspace: SharedDataspace,
    run: PageRun,
    resident: boolean,
    version: number,
    delivery: Delivery | undefined,
  ): void {
    const data = resident ? (delivery?.data ?? dataspace.file.read(run.firstPage, run.pageCount)) : undefined;
    for (let i = 0; i < run.pageCount; i++) {
      const bytes = data?.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
      dataspace.retained.set(run.firstPage + i, { version, bytes });
    }
  }

  private resend(dataspace: SharedDataspace, action: Extract<HolderAction, { type: 'resend' }>): void {
    const { run, receiver, version, state } = action;
    for (let i = 0; i < run.pageCount; i++) {
      const { bytes } = dataspace.retainedAt(run.firstPage + i, version);
      const page = { dataspace: run.dataspace, firstPage: run.firstPage + i, pageCount: 1 };
      const delivery = this.outside.delivery(receiver, page, bytes === undefined, version, state);
      if (bytes !== undefined) delivery?.data.set(bytes);
      delivery?.send({ keep: false });
    }
  }

  private install(dataspace: SharedDataspace, run: PageRun, zero: boolean): void {
    // A hole reads as zero: a zero page takes its frame at its first fault.
    if (zero) return;
    assert(this.arriving !== undefined, 'data is installed while it arrives');
    const from = (run.firstPage - this.arriving.firstPage) * PAGE_BYTES;
    this.room.install(
      dataspace,
      run.firstPage,
      this.arriving.data.subarray(from, from + run.pageCount * PAGE_BYTES),
    );
    this.statistics.pagesIn += run.pageCount;
  }

  private installStored(dataspace: SharedDataspace, { firstPage, pageCount }: PageRun): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      assert(dataspace.stored.has(page), `page ${page} of ${dataspace.name} was read back`);
      const bytes = dataspace.stored.get(page);
      // A hole reads as zero.
      if (bytes !== undefined) this.room.install(dataspace, page, bytes);
      dataspace.stored.delete(page);
    }
  }

  private restore(dataspace: SharedDataspace, action: Extract<HolderAction, { type: 'restore' }>): void {
    const { run, version } = action;
    for (let i = 0; i < run.pageCount; i++) {
      const { bytes } = dataspace.retainedAt(run.firstPage + i, version);
      if (bytes !== undefined) this.room.install(dataspace, run.firstPage + i, bytes);
      dataspace.retained.delete(run.firstPage + i);
    }
  }
}

function partsByResidence(dataspace: SharedDataspace, run: PageRun): (PageRun & { resident: boolean })[] {
  const parts: (PageRun & { resident: boolean })[] = [];
  for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
    const resident = dataspace.file.has(page);
    const last = parts.at(-1);
    if (last !== undefined && last.resident === resident) last.pageCount++;
    else parts.push({ dataspace: run.dataspace, firstPage: page, pageCount: 1, resident });
  }
  return parts;
}
