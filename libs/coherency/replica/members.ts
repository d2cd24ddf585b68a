// Which holder of a node is noted, and so will be believed by whoever leads next. Each holder that is taken in gets a
// life of its own: one that was buried and came back has another one than that which it had before, though it is the
// same process, and a leader asks only for the life that the last one had noted.

/** What a replica notes of a node that it has taken in and not buried. */
export interface Membership {
  incarnation: bigint;
  /** Of the holder at this replica, unlike that of any holder before it. */
  life: bigint;
}

/** Lives of one process of a replica, behind its own number. */
const LIVES_BITS = 32n;

export class Members {
  private readonly start: bigint;
  /** Notes of an earlier process of this replica, of nodes that have not come to this one yet. */
  private readonly before: Map<string, Membership>;
  private lives = 0n;

  /**
   * @param start new each time the replica starts
   * @param before what an earlier process of this replica had noted
   */
  constructor(start: bigint, before: ReadonlyMap<string, Membership>) {
    this.start = start;
    this.before = new Map(before);
  }

  /** Takes a node's holder in. `noted`: with the life that an earlier process of this replica had noted. */
  takeIn(node: string, incarnation: bigint): { life: bigint; noted: boolean } {
    const before = this.before.get(node);
    this.before.delete(node);
    if (before !== undefined && this.goesOn(before, incarnation)) return { life: before.life, noted: true };
    this.lives++;
    return { life: (this.start << LIVES_BITS) + this.lives, noted: false };
  }

  /** A node's holder is dead. */
  forget(node: string): void {
    this.before.delete(node);
  }

  // A restart of the replica buries nobody: who was noted before it goes on with the life that it had.
  protected goesOn(before: Membership, incarnation: bigint): boolean {
    return before.incarnation === incarnation;
  }
}
