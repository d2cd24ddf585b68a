// When the pages under a range lock are asked for: with the lock, so that both come in one round trip; but where others hold
// such locks, that would take the pages from whoever has the lock, in the middle of the work. There they are asked for when
// the lock is granted.

/** Dataspaces of which that is remembered: the last ones. */
const CONTENDED_MAX = 1_000;

export class Bringing {
  /** A process of this node waited for others the last time that it locked a range of them. */
  private readonly contended = new Set<bigint>();

  /** True where pages are asked for together with a lock. */
  withLock(dataspace: bigint): boolean {
    return !this.contended.has(dataspace);
  }

  granted(dataspace: bigint, waited: boolean): void {
    this.contended.delete(dataspace);
    if (!waited) return;
    this.contended.add(dataspace);
    if (this.contended.size > CONTENDED_MAX) this.contended.delete(this.contended.values().next().value!);
  }
}
