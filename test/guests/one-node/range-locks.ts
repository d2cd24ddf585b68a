/** Fair range locks of one machine: what is asked first is granted first, unless the two do not overlap. */

export interface RangeLock {
  readonly owner: number;
  readonly dataspace: bigint;
  readonly begin: bigint;
  readonly endInclusive: bigint;
  readonly shared: boolean;
}

interface Waiting {
  readonly lock: RangeLock;
  readonly grant: () => void;
}

export class RangeLocks {
  private held: RangeLock[] = [];
  private queue: Waiting[] = [];

  /** Calls `grant` once, now or later; the function that it returns gives up waiting (false: granted already). */
  acquire(lock: RangeLock, grant: () => void): () => boolean {
    const waiting = { lock, grant };
    this.queue.push(waiting);
    this.grantWhatCan();
    return () => {
      const before = this.queue.length;
      this.queue = this.queue.filter((other) => other !== waiting);
      if (this.queue.length === before) return false;
      this.grantWhatCan();
      return true;
    };
  }

  /** False when the owner holds no lock of that very range. */
  release(owner: number, dataspace: bigint, begin: bigint, endInclusive: bigint): boolean {
    const index = this.held.findIndex(
      (lock) =>
        lock.owner === owner &&
        lock.dataspace === dataspace &&
        lock.begin === begin &&
        lock.endInclusive === endInclusive,
    );
    if (index < 0) return false;
    this.held.splice(index, 1);
    this.grantWhatCan();
    return true;
  }

  /** The process ended: what it holds and what it waits for. */
  releaseAll(owner: number): void {
    this.held = this.held.filter((lock) => lock.owner !== owner);
    this.queue = this.queue.filter(({ lock }) => lock.owner !== owner);
    this.grantWhatCan();
  }

  private grantWhatCan(): void {
    const still: Waiting[] = [];
    for (const waiting of this.queue) {
      const blockers = [...this.held, ...still.map(({ lock }) => lock)];
      if (blockers.some((other) => conflict(waiting.lock, other))) {
        still.push(waiting);
        continue;
      }
      this.held.push(waiting.lock);
      waiting.grant();
    }
    this.queue = still;
  }
}

function conflict(a: RangeLock, b: RangeLock): boolean {
  if (a.dataspace !== b.dataspace || (a.shared && b.shared)) return false;
  return a.begin <= b.endInclusive && b.begin <= a.endInclusive;
}
