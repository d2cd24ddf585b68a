// What is known of the vmspaces of a node that people made by hand, as rows:
//
//   space   id, size, owner, how long it may be idle, when it was used  ->  its first entry
//   entry   where, how long, of what, how                               ->  the next one, by address
//   slot    which page of which space has these bytes of the arena
//
// A name is somewhere beside, since few have one; so is whoever waits in a call.
import type { SharedDataspace } from '../../memory/shared-dataspace.ts';
import type { Entry } from '../address-space.ts';
import { Counted } from './counted.ts';
import { IdIndex } from './id-index.ts';
import { CHUNK_ROWS, NONE, Rows } from './rows.ts';

class SpaceRows extends Rows {
  readonly id = this.column('f64');
  readonly sizeBytes = this.column('f64');
  readonly lastUsedMs = this.column('f64');
  readonly idleMs = this.column('u32');
  readonly owner = this.column('u32');
  readonly firstEntry = this.column('u32');
  readonly entries = this.column('u32');

  /** Those that were not used for as long as they may be. Looked at in a few milliseconds, however many there are. */
  *idleAt(nowMs: number): Generator<number> {
    for (const [at, lastUsedMs] of this.lastUsedMs.chunks.entries()) {
      const idleMs = this.idleMs.chunks[at];
      if (lastUsedMs === undefined || idleMs === undefined) continue;
      for (let i = 0; i < CHUNK_ROWS; i++)
        if (nowMs - lastUsedMs[i]! >= idleMs[i]! && this.isTaken(at * CHUNK_ROWS + i))
          yield at * CHUNK_ROWS + i;
    }
  }
}

/** `next` is the entry behind it. */
class EntryRows extends Rows {
  readonly address = this.column('f64');
  readonly lengthBytes = this.column('f64');
  readonly offsetBytes = this.column('f64');
  /** 0: private memory. */
  readonly dataspace = this.column('u32');
  /** Writable, and twice the advice. */
  readonly how = this.column('u8');
}

/** A row is a slot of the arena. */
class SlotRows extends Rows {
  readonly page = this.column('f64');
  readonly space = this.column('u32');
}

export class Store {
  readonly spaces = new SpaceRows();
  readonly entries = new EntryRows();
  readonly slots = new SlotRows();
  readonly ids = new IdIndex();
  readonly dataspaces = new Counted<SharedDataspace>(({ id }) => id);
  /** By space. */
  readonly names = new Map<number, string>();
  /** By space: calls under way that wait for pages. */
  readonly busy = new Map<number, number>();
  /** By space: the slots of its pages. A page without one is zeros. */
  readonly pages = new Map<number, Map<number, number>>();

  /** All tables, by the number under which they are handed over. */
  get tables(): readonly Rows[] {
    return [this.spaces, this.entries, this.slots];
  }

  /** In the order of addresses. */
  entriesOf(space: number): Entry[] {
    const found: Entry[] = [];
    const { spaces, entries } = this;
    for (let row = spaces.firstEntry.get(space); row !== NONE; row = entries.next.get(row))
      found.push(this.entryAt(row));
    return found;
  }

  entryAt(row: number): Entry {
    const { entries } = this;
    const how = entries.how.get(row);
    return {
      address: entries.address.get(row),
      lengthBytes: entries.lengthBytes.get(row),
      offsetBytes: entries.offsetBytes.get(row),
      dataspace: this.dataspaces.get(entries.dataspace.get(row)),
      writable: (how & 1) === 1,
      advice: how >>> 1,
    };
  }

  /** Between others where its address is. */
  addEntry(space: number, entry: Entry): void {
    const { spaces, entries } = this;
    const made = this.makeEntry(entry);
    let before = NONE;
    let after = spaces.firstEntry.get(space);
    while (after !== NONE && entries.address.get(after) < entry.address) {
      before = after;
      after = entries.next.get(after);
    }
    entries.next.set(made, after);
    if (before === NONE) spaces.firstEntry.set(space, made);
    else entries.next.set(before, made);
    spaces.entries.set(space, spaces.entries.get(space) + 1);
  }

  /** @param sorted takes the place of all that there was */
  putEntries(space: number, sorted: readonly Entry[]): void {
    const { spaces, entries } = this;
    const before = spaces.firstEntry.get(space);
    let first = NONE;
    // What is named by both is not forgotten in between.
    for (const entry of sorted.toReversed()) {
      const made = this.makeEntry(entry);
      entries.next.set(made, first);
      first = made;
    }
    this.dropChain(before);
    spaces.firstEntry.set(space, first);
    spaces.entries.set(space, sorted.length);
  }

  /** Those of dataspaces that nobody has any more, by number. @param told how many of a space went */
  dropEntriesOf(dataspaces: ReadonlySet<number>, told: (space: number, entries: number) => void): void {
    const { spaces, entries } = this;
    for (const space of spaces.all()) {
      let before = NONE;
      let dropped = 0;
      for (let row = spaces.firstEntry.get(space); row !== NONE; ) {
        const next = entries.next.get(row);
        if (!dataspaces.has(entries.dataspace.get(row))) before = row;
        else {
          if (before === NONE) spaces.firstEntry.set(space, next);
          else entries.next.set(before, next);
          entries.give(row);
          dropped++;
        }
        row = next;
      }
      if (dropped === 0) continue;
      spaces.entries.set(space, spaces.entries.get(space) - dropped);
      told(space, dropped);
    }
  }

  /** What a new one maps, in order; `offsetOf` each of its entries it begins. */
  fill(space: number, sorted: readonly Entry[], offsetOf: (entry: number) => number): void {
    const { spaces, entries } = this;
    let first = NONE;
    for (let i = sorted.length - 1; i >= 0; i--) {
      const made = this.makeEntry(sorted[i]!);
      entries.offsetBytes.note(made, offsetOf(i));
      entries.next.set(made, first);
      first = made;
    }
    spaces.firstEntry.set(space, first);
    spaces.entries.set(space, sorted.length);
  }

  private makeEntry({ address, lengthBytes, offsetBytes, dataspace, writable, advice }: Entry): number {
    const { entries } = this;
    const row = entries.take();
    entries.address.note(row, address);
    entries.lengthBytes.note(row, lengthBytes);
    entries.offsetBytes.note(row, offsetBytes);
    entries.dataspace.note(row, dataspace === undefined ? 0 : this.dataspaces.take(dataspace));
    entries.how.set(row, advice * 2 + (writable ? 1 : 0));
    return row;
  }

  private dropChain(first: number): void {
    const { entries } = this;
    for (let row = first; row !== NONE; ) {
      const next = entries.next.get(row);
      const dataspace = entries.dataspace.get(row);
      if (dataspace !== 0) this.dataspaces.give(dataspace);
      entries.give(row);
      row = next;
    }
  }

  addSpace(about: { id: bigint; sizeBytes: number; idleMs: number; owner: number; nowMs: number }): number {
    const { spaces } = this;
    const row = spaces.take();
    spaces.id.note(row, Number(about.id));
    spaces.sizeBytes.note(row, about.sizeBytes);
    spaces.idleMs.note(row, about.idleMs);
    spaces.owner.note(row, about.owner);
    spaces.lastUsedMs.note(row, about.nowMs);
    spaces.firstEntry.set(row, NONE);
    this.ids.add(Number(about.id), row);
    return row;
  }

  /** After its pages. */
  removeSpace(space: number): void {
    const { spaces } = this;
    this.dropChain(spaces.firstEntry.get(space));
    this.ids.delete(spaces.id.get(space));
    this.names.delete(space);
    this.busy.delete(space);
    spaces.give(space);
  }

  setSlot(space: number, page: number, slot: number): void {
    this.adoptSlot(space, page, slot);
    this.slots.space.note(slot, space);
    this.slots.page.set(slot, page);
  }

  /** Of rows that are there already. */
  adoptSlot(space: number, page: number, slot: number): void {
    const pages = this.pages.get(space) ?? new Map<number, number>();
    if (pages.size === 0) this.pages.set(space, pages);
    pages.set(page, slot);
  }

  /** @returns the slot, which is nobody's */
  clearSlot(space: number, page: number): number {
    const pages = this.pages.get(space)!;
    const slot = pages.get(page)!;
    pages.delete(page);
    if (pages.size === 0) this.pages.delete(space);
    return slot;
  }
}
