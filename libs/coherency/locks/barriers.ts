// Barriers: `count` processes come to one, and none goes on before all have come. Pure.
//
// A barrier is named by a dataspace and a number that its program chose. Its rounds are generations, 0 first, and each
// arrival names its own: so an arrival is a fact that stays true, and whoever hears of `count` of them, the leader of now or
// an old one, may let them pass. What a leader knew dies with it; the nodes tell the next one:
//
//   arrival, again   whoever waits came to generation g, so g - 1 is over
//   word             whoever has passed: how many generations, and with whom; also of a process that has ended since, for a
//                    while: its answer came, that of another was lost
//   word, ended      who died while it waited, or after it had heard that the barrier is broken: nobody else may know. Of the
//                    first generation only: of later ones that a member is missing tells
//
// All members of a barrier are known once generation 0 is over, for nobody passes alone: an arrival at a later one says so.
// So a member that is missing then is dead, and the barrier broken: its end is heard, or (its node died with the last
// leader) nobody speaks for it within ORPHAN_MS. Broken stays broken, until its members have ended.
/** Members of one barrier. */
export const MEMBERS_MAX = 1_024;
/** In all dataspaces of a leader. */
export const BARRIERS_MAX = 100_000;
/** How long a new leader waits for word of the members of a barrier. */
export const ORPHAN_MS = 10_000;
/** How long a broken barrier, one whose member's node was taken for dead, and the word of an ended process, is kept where no member lives. */
export const KEPT_MS = 60_000;

export type BarrierOutcome = 'OK' | 'TIMED_OUT' | 'BROKEN' | 'INVALID' | 'EXHAUSTED';

export interface BarrierAnswer {
  type: 'barrier';
  holder: number;
  request: bigint;
  outcome: BarrierOutcome;
  /** Who passed generation 0. */
  members: readonly bigint[];
}

export interface Arrival {
  request: bigint;
  owner: bigint;
  dataspace: bigint;
  name: bigint;
  count: number;
  generation: bigint;
  /** Negative: without end. */
  timeoutMs: number;
  /** Said to another leader before, or on another stream. */
  again: boolean;
}

/** What a node says of a process that has passed. */
export interface BarrierWord {
  owner: bigint;
  dataspace: bigint;
  name: bigint;
  /** How many generations it has passed. */
  passed: bigint;
  members: readonly bigint[];
  ended: boolean;
  broken: boolean;
  /** It has ended while it waited in the generation after those. */
  diedWaiting: boolean;
}

interface Member {
  holder: number;
  /** Where it waits. */
  arrival: (Arrival & { deadlineMs: number }) | undefined;
}

interface Barrier {
  readonly key: string;
  readonly dataspace: bigint;
  /** 0: not known yet. */
  count: number;
  /** How many generations are over. */
  passed: bigint;
  broken: boolean;
  /** Somebody heard that it is broken, or died waiting. */
  hurt: boolean;
  /** A member's node was taken for dead, and may come back: the member asks again for an answer that it did not hear. */
  mayReturn: boolean;
  /** Who passed generation 0, as far as that is known. */
  roster: readonly bigint[];
  readonly members: Map<bigint, Member>;
  /** Words of processes that have ended. */
  ended: BarrierWord[];
  /** Since when somebody waits for members nobody has heard of. */
  incompleteMs: number | undefined;
  /** Until when it is kept where no member lives. */
  untilMs: number;
}

export class Barriers {
  private readonly byKey = new Map<string, Barrier>();
  private readonly ofOwner = new Map<bigint, Set<Barrier>>();
  /** Those in which somebody waits, or that no member lives of: only these look at the time. */
  private readonly timed = new Set<Barrier>();
  private nowMs = 0;
  private answers: BarrierAnswer[] = [];

  get count(): number {
    return this.byKey.size;
  }

  arrive(holder: number, arrival: Arrival, nowMs: number): BarrierAnswer[] {
    this.nowMs = nowMs;
    const { owner, request, count, generation, again } = arrival;
    const barrier = this.of(arrival);
    const refuse = (outcome: BarrierOutcome) => this.say(holder, request, outcome);
    if (count < 1 || count > MEMBERS_MAX) refuse('INVALID');
    else if (barrier === undefined) refuse('EXHAUSTED');
    else {
      const known = barrier.members.get(owner);
      if (!again && generation === 0n && this.isFree(barrier)) this.renew(barrier);
      if (barrier.count !== 0 && barrier.count !== count) refuse('INVALID');
      else if (generation < barrier.passed || this.isOver(barrier, arrival))
        if (known !== undefined || again) this.pass(barrier, holder, arrival);
        else refuse('INVALID');
      else if (barrier.broken) {
        this.join(barrier, owner, holder);
        barrier.hurt = true;
        refuse('BROKEN');
      } else if (known === undefined && barrier.members.size >= count) refuse('INVALID');
      else {
        barrier.count = count;
        const deadlineMs = arrival.timeoutMs < 0 ? Number.POSITIVE_INFINITY : nowMs + arrival.timeoutMs;
        this.join(barrier, owner, holder).arrival = { ...arrival, deadlineMs };
        this.over(barrier, generation);
      }
      this.look(barrier);
    }
    return this.take();
  }

  hear(holder: number, word: BarrierWord, nowMs: number): BarrierAnswer[] {
    this.nowMs = nowMs;
    const barrier = this.of(word);
    if (barrier === undefined) return [];
    if (word.ended) {
      barrier.ended = [...barrier.ended.filter(({ owner }) => owner !== word.owner), word].slice(
        -MEMBERS_MAX,
      );
      barrier.untilMs = nowMs + KEPT_MS;
      for (const { arrival } of barrier.members.values())
        if (arrival !== undefined && this.isOver(barrier, arrival))
          this.over(barrier, arrival.generation + 1n);
      this.mourn(barrier, word);
    } else {
      this.join(barrier, word.owner, holder);
      if (word.members.length > 0) barrier.roster = word.members;
      this.over(barrier, word.passed);
      if (word.broken) this.break(barrier);
    }
    this.look(barrier);
    return this.take();
  }

  ownerGone(owner: bigint): BarrierAnswer[] {
    for (const barrier of this.ofOwner.get(owner) ?? []) {
      this.lose(barrier, owner);
      this.look(barrier);
    }
    this.ofOwner.delete(owner);
    return this.take();
  }

  /** @param died else it says anew who of its processes is a member */
  holderGone(holder: number, died: boolean): BarrierAnswer[] {
    for (const [owner, barriers] of this.ofOwner) {
      const mine = [...barriers].filter(({ members }) => members.get(owner)?.holder === holder);
      for (const barrier of mine) {
        barriers.delete(barrier);
        if (died) {
          this.lose(barrier, owner);
          barrier.mayReturn = true;
          barrier.untilMs = this.nowMs + KEPT_MS;
        } else barrier.members.delete(owner);
        this.look(barrier);
      }
      if (barriers.size === 0) this.ofOwner.delete(owner);
    }
    return this.take();
  }

  /** Whoever waits hears of it by the next tick. */
  removeDataspace(dataspace: bigint): void {
    for (const barrier of this.byKey.values()) if (barrier.dataspace === dataspace) this.break(barrier);
  }

  /** A tick has to look at one, or to say what became of one. */
  get anyTimed(): boolean {
    return this.timed.size > 0 || this.answers.length > 0;
  }

  tick(nowMs: number): BarrierAnswer[] {
    this.nowMs = nowMs;
    for (const barrier of this.timed) {
      for (const member of barrier.members.values())
        if (member.arrival !== undefined && member.arrival.deadlineMs <= nowMs) {
          this.say(member.holder, member.arrival.request, 'TIMED_OUT');
          member.arrival = undefined;
        }
      const { incompleteMs } = barrier;
      if (incompleteMs !== undefined && nowMs - incompleteMs >= ORPHAN_MS) this.break(barrier);
      barrier.ended = barrier.untilMs > nowMs ? barrier.ended : [];
      this.look(barrier);
    }
    return this.take();
  }

  private of({ dataspace, name }: Pick<Arrival, 'dataspace' | 'name'>): Barrier | undefined {
    const key = `${dataspace} ${name}`;
    const found = this.byKey.get(key);
    if (found !== undefined || this.byKey.size >= BARRIERS_MAX) return found;
    const made: Barrier = {
      ...{ key, dataspace, count: 0, passed: 0n, broken: false, hurt: false },
      ...{ mayReturn: false, roster: [], members: new Map(), ended: [], incompleteMs: undefined, untilMs: 0 },
    };
    this.byKey.set(key, made);
    return made;
  }

  /** Another run of its program may take the name again. */
  private isFree(barrier: Barrier): boolean {
    return barrier.members.size === 0 && !this.isBarred(barrier);
  }

  /** It broke before all had come once: somebody may come yet. */
  private isBarred({ broken, hurt, passed, untilMs }: Barrier): boolean {
    return broken && hurt && passed === 0n && untilMs > this.nowMs;
  }

  /** Its name is free all the same. */
  protected mayBeAsked({ mayReturn, untilMs }: Barrier): boolean {
    return mayReturn && untilMs > this.nowMs;
  }

  private renew(barrier: Barrier): void {
    barrier.count = 0;
    barrier.passed = 0n;
    barrier.broken = barrier.hurt = barrier.mayReturn = false;
    barrier.roster = [];
  }

  // Those that passed the last one with it end as well, or they come and hear of it.
  private lose(barrier: Barrier, owner: bigint): void {
    if (barrier.members.get(owner)?.arrival !== undefined) barrier.hurt = true;
    barrier.members.delete(owner);
    this.break(barrier);
  }

  /** Who has ended and never passed: the first generation will not be complete. */
  protected mourn(barrier: Barrier, { owner, passed, broken, diedWaiting }: BarrierWord): void {
    if (passed > 0n || (!broken && !diedWaiting)) return;
    // Those who passed it are of another run.
    if (barrier.roster.length > 0 && !barrier.roster.includes(owner)) return;
    if (diedWaiting) barrier.hurt = true;
    this.break(barrier);
  }

  private join(barrier: Barrier, owner: bigint, holder: number): Member {
    const member = barrier.members.get(owner) ?? { holder, arrival: undefined };
    member.holder = holder;
    barrier.members.set(owner, member);
    this.ofOwner.set(owner, (this.ofOwner.get(owner) ?? new Set()).add(barrier));
    return member;
  }

  /** By the word of a process that passed it with this one, and has ended since. */
  private isOver(barrier: Barrier, { owner, generation, again }: Arrival): boolean {
    if (!again) return false;
    // A member comes to no generation before this one has passed the last.
    const isWithIt = ({ passed, members }: BarrierWord) =>
      passed === generation + 1n && members.includes(owner);
    const word = barrier.ended.find(isWithIt);
    if (word !== undefined) barrier.roster = word.members;
    return word !== undefined;
  }

  /** So many generations are over: who waits in one of them passes. */
  private over(barrier: Barrier, passed: bigint): void {
    if (passed <= barrier.passed) return;
    barrier.passed = passed;
    for (const { holder, arrival } of barrier.members.values())
      if (arrival !== undefined && arrival.generation < passed) this.pass(barrier, holder, arrival);
  }

  private pass(barrier: Barrier, holder: number, { owner, request, generation }: Arrival): void {
    const member = this.join(barrier, owner, holder);
    member.arrival = undefined;
    // Later its node knows them.
    this.say(holder, request, 'OK', generation === 0n ? barrier.roster : []);
  }

  private break(barrier: Barrier): void {
    if (barrier.broken) return;
    barrier.broken = true;
    barrier.untilMs = this.nowMs + KEPT_MS;
    for (const member of barrier.members.values()) {
      if (member.arrival === undefined) continue;
      this.say(member.holder, member.arrival.request, 'BROKEN');
      member.arrival = undefined;
      barrier.hurt = true;
    }
  }

  /** Lets them pass where all have come, and says what is to be looked at when time has gone by. */
  private look(barrier: Barrier): void {
    const { members, count } = barrier;
    let waiting = 0;
    for (const { arrival } of members.values()) if (arrival !== undefined) waiting++;
    if (count > 0 && waiting === count) {
      if (barrier.passed === 0n) barrier.roster = [...members.keys()];
      this.over(barrier, barrier.passed + 1n);
      waiting = 0;
    }
    const waits = waiting > 0;
    const isIncomplete = waits && barrier.passed > 0n && members.size < count;
    barrier.incompleteMs = isIncomplete ? (barrier.incompleteMs ?? this.nowMs) : undefined;
    const isKept =
      members.size > 0 || barrier.ended.length > 0 || this.isBarred(barrier) || this.mayBeAsked(barrier);
    if (!isKept) this.byKey.delete(barrier.key);
    if (isKept && (waits || members.size === 0 || barrier.ended.length > 0)) this.timed.add(barrier);
    else this.timed.delete(barrier);
  }

  private say(
    holder: number,
    request: bigint,
    outcome: BarrierOutcome,
    members: readonly bigint[] = [],
  ): void {
    this.answers.push({ type: 'barrier', holder, request, outcome, members });
  }

  private take(): BarrierAnswer[] {
    const { answers } = this;
    this.answers = [];
    return answers;
  }
}
