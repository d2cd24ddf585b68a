// Barriers: nobody passes a generation before all members have come to it, and nobody hears that a barrier is broken whose
// members and nodes are well.
import { check } from '../violation.ts';

/** Some processes that meet at one barrier, again and again. */
export interface Party {
  readonly name: bigint;
  readonly count: number;
  readonly dataspace: bigint;
  /** After so many generations it is over. */
  readonly rounds: number;
  readonly members: Set<bigint>;
  /** By generation, who came to it. */
  readonly came: Map<bigint, Set<bigint>>;
  /** A member has ended, or its node was given up. */
  dead: boolean;
  /** Nodes that saw the end of a member which waited in the first generation, and remember it. */
  readonly seenBy: Set<number>;
}

export class BarrierChecker {
  /** Whether processes meet at all. */
  readonly wanted: boolean;
  passed = 0;
  broken = 0;
  private readonly hasFaults: boolean;
  private forming: Party | undefined;
  private names = 0n;
  private readonly parties = new Set<Party>();

  constructor(wanted: boolean, hasFaults: boolean) {
    this.wanted = wanted;
    this.hasFaults = hasFaults;
  }

  /** The party that a process belongs to; it is complete when it has `count` members. */
  join(pid: bigint, about: Pick<Party, 'count' | 'dataspace' | 'rounds'>): Party {
    this.forming ??= {
      ...about,
      name: ++this.names,
      members: new Set(),
      came: new Map(),
      dead: false,
      seenBy: new Set(),
    };
    this.parties.add(this.forming);
    const party = this.forming;
    party.members.add(pid);
    if (party.members.size === party.count) this.forming = undefined;
    return party;
  }

  ended(pid: bigint, party: Party): void {
    if (party === this.forming) party.members.delete(pid);
    else party.dead = true;
  }

  /** A member that waited in the first generation has ended, and its node knows: so everybody must hear of it. */
  endSeen(party: Party, node: number): void {
    party.seenBy.add(node);
  }

  /** What a node remembered is gone with it. */
  nodeForgets(node: number): void {
    for (const { seenBy } of this.parties) seenBy.delete(node);
  }

  comes(pid: bigint, party: Party, generation: bigint): void {
    party.came.set(generation, (party.came.get(generation) ?? new Set()).add(pid));
  }

  /** True where somebody of the party has come to a generation that another one has not. */
  isWaitedFor(party: Party, generation: bigint): boolean {
    const came = party.came.get(generation)?.size ?? 0;
    return came > 0 && came < party.count;
  }

  passes(pid: bigint, party: Party, generation: bigint): void {
    const came = party.came.get(generation)?.size ?? 0;
    this.passed++;
    check(came === party.count, 'barrier', undefined, () => {
      return `process ${pid} passed generation ${generation} of barrier ${party.name}, to which ${came} of ${party.count} came`;
    });
  }

  breaks(pid: bigint, party: Party): void {
    this.broken++;
    // A node that is cut off for long enough is dead for the directory, and its processes with it.
    check(party.dead || this.hasFaults, 'barrier', undefined, () => {
      return `process ${pid} heard that barrier ${party.name} is broken, and all its members live`;
    });
    party.dead = true;
  }

  refused(pid: bigint, party: Party, generation: bigint, answer: string): void {
    check(false, 'barrier', undefined, () => {
      return `process ${pid} came to generation ${generation} of barrier ${party.name}, and heard ${answer}`;
    });
  }
}
