// Waiters on addresses of dataspaces: a cluster-wide futex. A waiter registers, looks at the value
// once more, and sleeps; so a wake between its first look and its sleep is not lost. Pure.

/** Waiters on one address. */
export const WAITERS_MAX = 65_536;

export interface Waiter {
  request: bigint;
  owner: bigint;
  holder: number;
  /** Absolute; Infinity waits without end. */
  deadlineMs: number;
}

export class Waiters {
  private readonly byAddress = new Map<string, Waiter[]>();

  /** False when the bound is reached. */
  add(dataspace: bigint, offset: bigint, waiter: Waiter): boolean {
    const key = `${dataspace} ${offset}`;
    const list = this.byAddress.get(key) ?? [];
    if (list.length >= WAITERS_MAX) return false;
    list.push(waiter);
    this.byAddress.set(key, list);
    return true;
  }

  /** Takes up to `count` waiters off, oldest first. */
  wake(dataspace: bigint, offset: bigint, count: number): Waiter[] {
    const key = `${dataspace} ${offset}`;
    const list = this.byAddress.get(key);
    if (list === undefined) return [];
    const woken = list.splice(0, count);
    if (list.length === 0) this.byAddress.delete(key);
    return woken;
  }

  /** Takes off who no longer waits. */
  remove(gone: (waiter: Waiter) => boolean): Waiter[] {
    const removed: Waiter[] = [];
    for (const [key, list] of this.byAddress) {
      const left = list.filter((w) => !gone(w));
      if (left.length === list.length) continue;
      removed.push(...list.filter(gone));
      if (left.length === 0) this.byAddress.delete(key);
      else this.byAddress.set(key, left);
    }
    return removed;
  }
}
