// A node without a machine under it: page tables, frames and permissions as plain data, for tests of its memory. Pages have
// numbers for bytes.

import type { HolderId, PageRun } from '../../page.ts';
import { NodeMemory } from '../memory/memory.ts';
import type { MemoryAction, MemoryEvent } from '../memory/memory-messages.ts';
import { NodeDataspace } from '../memory/node-dataspace.ts';
import type { ChargedTo, FrameBudget, PageBytes, PageFrames } from '../memory/page-frames.ts';
import type { Mapping, PageTables } from '../memory/page-tables.ts';
import { ReadaheadStreams } from '../readahead/streams.ts';

export class Values implements PageBytes<Values> {
  readonly values: readonly number[];

  constructor(values: readonly number[]) {
    this.values = values;
  }

  part(firstIndex: number, pageCount: number): Values {
    return new Values(this.values.slice(firstIndex, firstIndex + pageCount));
  }
}

/** A mapping of the whole dataspace in a virtual kernel: which pages its page table has, and how. */
export class FakeMapping implements Mapping {
  readonly dataspace: { id: bigint; name: string };
  readonly writable: boolean;
  readonly firstPage = 0;
  readonly endPage: number;
  readonly holder: HolderId;
  readonly charged: number;
  readonly readahead = new ReadaheadStreams();
  readonly table = new Map<number, 'READ' | 'WRITE'>();

  constructor(dataspace: NodeDataspace<FakeMapping, Values>, holder: HolderId, writable: boolean) {
    this.dataspace = dataspace;
    this.writable = writable;
    this.endPage = dataspace.pageCount;
    this.holder = holder;
    this.charged = holder + 100;
  }
}

export type Action = MemoryAction<FakeMapping, Values>;
export type Event = MemoryEvent<FakeMapping, Values>;

const pagesOf = ({ firstPage, pageCount }: { firstPage: number; pageCount: number }): number[] =>
  Array.from({ length: pageCount }, (_, i) => firstPage + i);

const words = (firstPage: number, pageCount: number): string =>
  pageCount === 1 ? `page ${firstPage}` : `pages ${firstPage}+${pageCount}`;

export class FakeNode implements PageTables<FakeMapping>, FrameBudget, PageFrames<Values> {
  readonly frames = new Map<number, number>();
  readonly mappings: FakeMapping[] = [];
  readonly tally = { pagesIn: 0, pagesOut: 0, invalidations: 0 };
  readonly memory: NodeMemory<FakeMapping, Values>;
  dataspace: NodeDataspace<FakeMapping, Values>;
  /** The leases last. */
  leased = true;
  framesMax = 1_000;
  reservedFrames = 0;
  /** What was done to page tables and frames. */
  done: string[] = [];
  private readonly shards: number;

  constructor(
    pageCount: number,
    { durable = false, shards = 1 } = {},
    make = NodeMemory<FakeMapping, Values>,
  ) {
    this.shards = shards;
    const permissions = { usable: () => this.leased, epochOf: () => 5n, modifies: () => false };
    this.memory = new make({ tables: this, budget: this, permissions, tally: this.tally }, { shards });
    this.dataspace = new NodeDataspace({ id: 1n, name: 'd', pageCount, durable, frames: this });
  }

  open(whole: boolean): Action[] {
    return this.memory.step({ type: 'open', dataspace: this.dataspace, whole });
  }

  /** A process of a virtual kernel of its own maps the dataspace. */
  maps(writable: boolean): FakeMapping {
    const mapping = new FakeMapping(this.dataspace, this.memory.home.join(), writable);
    this.mappings.push(mapping);
    return mapping;
  }

  step(event: Event): Action[] {
    return this.memory.step(event);
  }

  get shardCount(): number {
    return this.shards;
  }

  // ---- page tables

  protect(holder: HolderId, run: PageRun): void {
    for (const { table, ...mapping } of this.mappings) {
      if (mapping.holder !== holder) continue;
      for (const page of pagesOf(run)) if (table.get(page) === 'WRITE') table.set(page, 'READ');
    }
    this.done.push(`protect ${words(run.firstPage, run.pageCount)} of ${holder}`);
  }

  unmap(run: PageRun): void {
    for (const { table } of this.mappings) for (const page of pagesOf(run)) table.delete(page);
    this.done.push(`unmap ${words(run.firstPage, run.pageCount)}`);
  }

  isMapped(): boolean {
    return this.mappings.length > 0;
  }

  has(what: FakeMapping): boolean;
  has(what: number): boolean;
  has(what: FakeMapping | number): boolean {
    return typeof what === 'number' ? this.frames.has(what) : this.mappings.includes(what);
  }

  protectAll(): void {
    for (const { table } of this.mappings)
      for (const [page, how] of table) if (how === 'WRITE') table.set(page, 'READ');
    this.done.push('protect all');
  }

  map({ table, holder }: FakeMapping, firstPage: number, pageCount: number, writable: boolean): number {
    for (const page of pagesOf({ firstPage, pageCount })) table.set(page, writable ? 'WRITE' : 'READ');
    this.done.push(`map ${words(firstPage, pageCount)} in ${holder} for ${writable ? 'writing' : 'reading'}`);
    return pageCount;
  }

  // ---- frames

  get residentPages(): number {
    return this.frames.size;
  }

  roomFor(): number {
    return Math.max(0, this.framesMax - this.frames.size - this.reservedFrames);
  }

  spareFor(): number {
    return this.roomFor();
  }

  reserve(): void {
    this.reservedFrames++;
  }

  unreserve(): void {
    this.reservedFrames--;
  }

  get sharedIsFull(): boolean {
    return this.roomFor() === 0;
  }

  read(firstPage: number, pageCount: number): Values {
    this.done.push(`read ${words(firstPage, pageCount)}`);
    return new Values(pagesOf({ firstPage, pageCount }).map((page) => this.frames.get(page) ?? 0));
  }

  write(firstPage: number, pageCount: number, { values }: Values, chargedTo: ChargedTo): void {
    for (let i = 0; i < pageCount; i++) {
      chargedTo(firstPage + i);
      this.frames.set(firstPage + i, values[i]!);
    }
    this.done.push(`write ${words(firstPage, pageCount)}`);
  }

  fillHoles(firstPage: number, pageCount: number): number {
    for (const page of pagesOf({ firstPage, pageCount }))
      if (!this.frames.has(page)) this.frames.set(page, 0);
    return pageCount;
  }

  drop(firstPage: number, pageCount: number): void {
    for (const page of pagesOf({ firstPage, pageCount })) {
      this.frames.delete(page);
      for (const { table } of this.mappings) table.delete(page);
    }
    this.done.push(`drop ${words(firstPage, pageCount)}`);
  }
}
