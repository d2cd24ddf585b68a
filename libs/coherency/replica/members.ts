// Which holder of a node is noted, and so will be believed by whoever leads next. Each holder that is taken in gets a
// life of its own: one that was buried and came back has another one than that which it had before, though it is the
// same process, and a leader asks only for the life that the last one had noted.

/** What a replica notes of a node that it has taken in and not buried. */
export interface Membership {
  incarnation: bigint;
  /** Of the holder at this replica, unlike that of any holder before it. */
  life: bigint;
  /** For how long its lease is held, once, while another process takes its place: whoever leads next waits for so long. */
  heldMs?: number | undefined;
}

/**
 * Who lived at a replica, as it had noted. Another one may have led the shard since, and never served it; where it holds the
 * lease of a node, so must the next one.
 * @param members by replica and node
 */
export function expectedOf(
  members: ReadonlyMap<string, ReadonlyMap<string, Membership>>,
  replica: string,
): Map<string, Membership> {
  const expected = new Map(members.get(replica));
  for (const [node, membership] of expected) {
    const { incarnation } = membership;
    let heldMs: number | undefined;
    for (const noted of members.values()) {
      const other = noted.get(node);
      if (other?.incarnation === incarnation && other.heldMs !== undefined)
        heldMs = Math.max(heldMs ?? 0, other.heldMs);
    }
    if (heldMs !== undefined) expected.set(node, { ...membership, heldMs });
  }
  return expected;
}

/** Who lives at some replica, and is not expected. @param members by replica and node */
export function leasedOf(
  members: ReadonlyMap<string, ReadonlyMap<string, Membership>>,
  expected: ReadonlyMap<string, Membership>,
): Map<string, Membership> {
  const leased = new Map<string, Membership>();
  for (const noted of members.values())
    for (const [node, membership] of noted) {
      const { incarnation, life, heldMs } = membership;
      if (expected.get(node)?.incarnation === incarnation) continue;
      const known = leased.get(node);
      // Of several starts of a node the last one is there.
      if (known !== undefined && known.incarnation > incarnation) continue;
      const held = known?.incarnation === incarnation ? known.heldMs : undefined;
      const longest = Math.max(heldMs ?? 0, held ?? 0);
      leased.set(node, { incarnation, life, ...(longest > 0 && { heldMs: longest }) });
    }
  return leased;
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

  /**
   * Takes a node's holder in. `noted`: with the life that an earlier process of this replica had noted; `held`: it had noted
   * as well that its lease is.
   */
  takeIn(node: string, incarnation: bigint): { life: bigint; noted: boolean; held: boolean } {
    const before = this.before.get(node);
    this.before.delete(node);
    if (before !== undefined && this.goesOn(before, incarnation))
      return { life: before.life, noted: true, held: before.heldMs !== undefined };
    this.lives++;
    return { life: (this.start << LIVES_BITS) + this.lives, noted: false, held: false };
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
