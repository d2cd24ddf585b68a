// A vmspace that somebody made by hand: map entries over private memory and dataspaces, and no process that runs in it. It has
// no page tables of a processor, so it costs no thread, no descriptor and no timer; each call finds its pages anew. What is
// known of it are rows (store.ts); this is how a call sees them.
import assert from 'node:assert/strict';
import { PAGE_BYTES, spansOf } from '@odonata/coherency/page.ts';
import type { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { type AddressSpace, clip, type Entry, notMapped, type Part, type Run } from '../address-space.ts';
import { Look, residentOf } from '../resident.ts';
import type { Arena } from './arena.ts';
import type { Store } from './store.ts';

/** What its owner may have. */
export interface OwnerMemory {
  readonly name: string;
  readonly arena: Arena;
  /** A frame more. @throws RpcError RESOURCE_EXHAUSTED */
  take(): number;
  give(slot: number): void;
  /** Room for more map entries of a vmspace that has some, or of several. @throws RpcError RESOURCE_EXHAUSTED */
  expectEntries(shown: string, has: number, each: number, vmspaces?: number): void;
  /** So many more map entries. */
  counted(entries: number): void;
  /** @throws RpcError UNAVAILABLE: another pmap manager goes on with all of it */
  expectThawed(): void;
}

const NO_PAGES: ReadonlyMap<number, number> = new Map();

const pageOf = (address: number): number => Math.floor(address / PAGE_BYTES);

export class Handmade implements AddressSpace {
  readonly id: bigint;
  readonly row: number;
  private readonly store: Store;
  private readonly memory: OwnerMemory;

  constructor(store: Store, row: number, memory: OwnerMemory) {
    this.id = BigInt(store.spaces.id.get(row));
    this.row = row;
    this.store = store;
    this.memory = memory;
  }

  get owner(): string {
    return this.memory.name;
  }

  get name(): string {
    return this.store.names.get(this.row) ?? '';
  }

  get sizeBytes(): number {
    return this.store.spaces.sizeBytes.get(this.row);
  }

  get idleMs(): number {
    return this.store.spaces.idleMs.get(this.row);
  }

  get lastUsedMs(): number {
    return this.store.spaces.lastUsedMs.get(this.row);
  }

  // Whoever follows need not hear of it: it is used anew where it is handed over.
  set lastUsedMs(nowMs: number) {
    this.store.spaces.lastUsedMs.note(this.row, nowMs);
  }

  /** Calls under way that wait for pages. */
  get busy(): number {
    return this.store.busy.get(this.row) ?? 0;
  }

  set busy(calls: number) {
    if (calls === 0) this.store.busy.delete(this.row);
    else this.store.busy.set(this.row, calls);
  }

  get shown(): string {
    return `vmspace ${this.id}`;
  }

  private get slots(): ReadonlyMap<number, number> {
    return this.store.pages.get(this.row) ?? NO_PAGES;
  }

  get privatePages(): number {
    return this.slots.size;
  }

  get entryCount(): number {
    return this.store.spaces.entries.get(this.row);
  }

  /** @throws RpcError FAILED_PRECONDITION while a call waits for pages of it */
  expectUnused(): void {
    if (this.busy === 0) return;
    const reason = `${this.shown} is in use: ${this.busy} calls wait for its pages; try again when they are done`;
    throw new RpcError(Code.FailedPrecondition, reason);
  }

  entries(): Entry[] {
    return this.store.entriesOf(this.row);
  }

  private overlapping(address: number, end: number, entries = this.entries()): Entry[] {
    return entries.filter((entry) => entry.address < end && entry.address + entry.lengthBytes > address);
  }

  parts(address: number, lengthBytes: number): Part[] {
    const end = address + lengthBytes;
    let at = address;
    const parts: Part[] = [];
    for (const entry of this.overlapping(address, end)) {
      const part = clip(entry, address, end)!;
      if (part.address > at) break;
      parts.push(part);
      at = part.address + part.lengthBytes;
    }
    if (at < end) throw notMapped(this, at);
    return parts;
  }

  /** @throws RpcError ALREADY_EXISTS where it overlaps one; RESOURCE_EXHAUSTED */
  expectFree(address: number, lengthBytes: number): void {
    const [other] = this.overlapping(address, address + lengthBytes);
    if (other !== undefined) {
      const where = `0x${other.address.toString(16)} + ${other.lengthBytes}`;
      const reason = `${this.shown}: the range overlaps the map entry ${where}; unmap that first`;
      throw new RpcError(Code.AlreadyExists, reason);
    }
    this.expectRoom(1);
  }

  private expectRoom(more: number): void {
    this.memory.expectEntries(this.shown, this.entryCount, more);
  }

  /** After `expectFree`. */
  map(entry: Entry): void {
    this.memory.expectThawed();
    assert(this.overlapping(entry.address, entry.address + entry.lengthBytes).length === 0);
    this.store.addEntry(this.row, entry);
    this.memory.counted(1);
  }

  /** Cuts entries so that a range is of entries of its own, which `change` sees. @throws RpcError RESOURCE_EXHAUSTED */
  private carve(address: number, lengthBytes: number, change: (entry: Entry) => Entry | undefined): number {
    this.memory.expectThawed();
    const end = address + lengthBytes;
    const entries = this.entries();
    const overlapping = this.overlapping(address, end, entries);
    const made: Entry[] = [];
    let pages = 0;
    for (const entry of overlapping) {
      const inside = clip(entry, address, end)!;
      pages += inside.lengthBytes / PAGE_BYTES;
      const changed = change(inside);
      for (const part of [clip(entry, 0, address), changed, clip(entry, end, Number.MAX_SAFE_INTEGER)])
        if (part !== undefined) made.push(part);
    }
    const more = made.length - overlapping.length;
    if (more > 0) this.expectRoom(more);
    if (overlapping.length === 0) return 0;
    const cut = new Set(overlapping);
    const rest = entries.filter((entry) => !cut.has(entry));
    this.store.putEntries(
      this.row,
      [...rest, ...made].sort((a, b) => a.address - b.address),
    );
    this.memory.counted(more);
    return pages;
  }

  /** @returns how many pages were mapped there */
  unmap(address: number, lengthBytes: number): number {
    const pages = this.carve(address, lengthBytes, () => undefined);
    this.free(address, lengthBytes);
    return pages;
  }

  /** Its pages map their dataspace from an offset on. */
  setMap(address: number, lengthBytes: number, offsetBytes: number): number {
    return this.carve(address, lengthBytes, (entry) => ({
      ...entry,
      offsetBytes: offsetBytes + (entry.address - address),
    }));
  }

  advise(address: number, lengthBytes: number, advice: Advice): number {
    return this.carve(address, lengthBytes, (entry) => ({ ...entry, advice }));
  }

  /** Private bytes of a range are zeros. @returns pages that had a frame */
  free(address: number, lengthBytes: number): number {
    this.memory.expectThawed();
    const gone = this.privateIn(address, address + lengthBytes);
    this.release(gone);
    return gone.length;
  }

  private release(pages: readonly number[]): void {
    for (const page of pages) this.memory.give(this.store.clearSlot(this.row, page));
  }

  private privateIn(address: number, end: number): number[] {
    const [first, last] = [pageOf(address), pageOf(end - 1)];
    if (last - first < this.slots.size)
      return Array.from({ length: last - first + 1 }, (_, i) => first + i).filter((page) =>
        this.slots.has(page),
      );
    return [...this.slots.keys()].filter((page) => page >= first && page <= last);
  }

  absentPrivate(address: number, lengthBytes: number): number {
    const end = address + lengthBytes;
    return pageOf(end - 1) - pageOf(address) + 1 - this.privateIn(address, end).length;
  }

  readPrivate(address: number, bytes: Uint8Array): void {
    this.eachPage(address, bytes, (page, at, part) => {
      const slot = this.slots.get(page);
      if (slot === undefined) part.fill(0);
      else this.memory.arena.read(slot, at, part);
    });
  }

  writePrivate(address: number, bytes: Uint8Array): void {
    this.memory.expectThawed();
    // All frames first: what is refused has written nothing.
    const taken: number[] = [];
    try {
      this.eachPage(address, bytes, (page) => {
        if (this.slots.has(page)) return;
        this.store.setSlot(this.row, page, this.memory.take());
        taken.push(page);
      });
    } catch (error) {
      this.release(taken);
      throw error;
    }
    this.eachPage(address, bytes, (page, at, part) =>
      this.memory.arena.write(this.slots.get(page)!, at, part),
    );
  }

  private eachPage(
    address: number,
    bytes: Uint8Array,
    each: (page: number, at: number, part: Uint8Array) => void,
  ): void {
    for (let done = 0; done < bytes.length; ) {
      const at = (address + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - at, bytes.length - done);
      each(pageOf(address + done), at, bytes.subarray(done, done + length));
      done += length;
    }
  }

  *residentRuns(from: number): Generator<Run> {
    const look = new Look();
    for (const entry of this.overlapping(from, this.sizeBytes)) {
      if (entry.dataspace !== undefined) {
        yield* residentOf(entry, from, look);
        continue;
      }
      const pages = this.privateIn(entry.address, entry.address + entry.lengthBytes).sort((a, b) => a - b);
      for (const { firstPage, pageCount } of spansOf(pages))
        yield { address: firstPage * PAGE_BYTES, pages: pageCount, firstPage: 0 };
    }
  }

  /** All of it goes. */
  end(): void {
    this.release([...this.slots.keys()]);
    this.memory.counted(-this.entryCount);
    this.store.removeSpace(this.row);
  }
}
