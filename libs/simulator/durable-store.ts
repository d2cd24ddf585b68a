// The backing store of durable dataspaces, as far as it is simulated: pages by number, each with the order of
// the write that it shows. It may tear what it writes when it dies and spoil what it has; a checksum tells.
//
// A sync copies what a process reads to two stores and is done when both have it; the checker reads them back. A LOST page
// does not come back from there yet: durable pages join by making it come from `recover`.

export interface StoredPage {
  value: number;
  /** Of the write that the value comes from; a later one is never replaced by an earlier one. */
  order: number;
}

export interface DurableStore {
  put(page: number, stored: StoredPage): void;
  /** Undefined: never written, torn or spoilt. */
  get(page: number): StoredPage | undefined;
  /** The next write stops halfway. */
  tear(page: number, stored: StoredPage): void;
  spoil(page: number): void;
}

interface Slot extends StoredPage {
  checksum: number;
}

export class MemoryStore implements DurableStore {
  private readonly slots = new Map<number, Slot>();

  put(page: number, stored: StoredPage): void {
    const known = this.get(page);
    if (known !== undefined && known.order >= stored.order) return;
    this.slots.set(page, { ...stored, checksum: checksum(page, stored) });
  }

  get(page: number): StoredPage | undefined {
    const slot = this.slots.get(page);
    return slot !== undefined && this.intact(page, slot) ? slot : undefined;
  }

  protected intact(page: number, slot: Slot): boolean {
    return slot.checksum === checksum(page, slot);
  }

  // The old bytes are gone, and the new ones are not all there.
  tear(page: number, stored: StoredPage): void {
    this.slots.set(page, { value: -stored.value - 1, order: stored.order, checksum: checksum(page, stored) });
  }

  spoil(page: number): void {
    const slot = this.slots.get(page);
    if (slot !== undefined) slot.value ^= 0x40;
  }
}

function checksum(page: number, { value, order }: StoredPage): number {
  let hash = Math.imul(page + 1, 0x9e3779b1);
  for (const word of [value, order]) hash = Math.imul(hash ^ word, 0x85ebca6b) ^ (hash >>> 13);
  return hash >>> 0;
}

/** The latest intact page of several copies. */
export function recover(copies: readonly DurableStore[], page: number): StoredPage | undefined {
  let best: StoredPage | undefined;
  for (const copy of copies) {
    const stored = copy.get(page);
    if (stored !== undefined && (best === undefined || stored.order > best.order)) best = stored;
  }
  return best;
}
