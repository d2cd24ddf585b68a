// The backing store of durable dataspaces, as far as it is simulated: pages by number, each with its place in the order of
// what is stored (stored-version.ts). It may tear what it writes when it dies and spoil what it has; a checksum tells.

export interface StoredPage {
  value: number;
  /** A later one is never replaced by an earlier one; of equal ones the last stays. */
  order: bigint;
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
    if (known !== undefined && known.order > stored.order) return;
    this.slots.set(page, { ...stored, checksum: checksum(page, stored) });
  }

  get(page: number): StoredPage | undefined {
    const slot = this.slots.get(page);
    return slot !== undefined && this.intact(page, slot)
      ? { value: slot.value, order: slot.order }
      : undefined;
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
  for (const word of [value, Number(order & 0xffffffffn), Number(order >> 32n)])
    hash = Math.imul(hash ^ word, 0x85ebca6b) ^ (hash >>> 13);
  return hash >>> 0;
}

/** The latest of what several copies have intact of a page. */
export function latestOf(found: readonly (StoredPage | undefined)[]): StoredPage | undefined {
  let best: StoredPage | undefined;
  for (const stored of found) {
    if (stored !== undefined && (best === undefined || stored.order > best.order)) best = stored;
  }
  return best;
}

/** The latest intact page of several copies. */
export function recover(copies: readonly DurableStore[], page: number): StoredPage | undefined {
  return latestOf(copies.map((copy) => copy.get(page)));
}
