// Would a request that starts to wait close a cycle of owners that wait for each other?
//
// An owner waits for whoever stands before one of its requests: who holds a byte that it wants, and who asked
// earlier. There are two ways to look: from the request, for those whom it waits for, until its own owner comes; or
// from its owner, for those who wait for it, until one comes who stands before the request. Either may be short where
// the other is long (nobody waits for the last of a long queue; the first of one waits for nobody). So they take
// turns, each time twice as far as before; the answer costs little more than the shorter way.
import { IntervalSweep, type Verdict } from './interval-sweep.ts';
import { ANY_ORDER } from './interval-tree.ts';
import { earlierOf, laterOf, modesConflict } from './lock-mode.ts';
import type { LockQueue, LockRequest, WaitingRequest } from './lock-queue.ts';
import type { LockTable } from './lock-table.ts';
import type { HeldRange } from './owned-ranges.ts';

/** So few that small cases, and so the tests, take both ways. */
const FIRST_STEPS = 1;

export function closesCycle(held: LockTable, queue: LockQueue, request: LockRequest): boolean {
  if (isAwaitedByNobody(held, queue, request.owner)) return false;
  for (let steps = FIRST_STEPS; ; steps *= 2) {
    const answer =
      new BackwardSearch(held, queue, request, steps).run() ??
      new ForwardSearch(held, queue, request, steps).run();
    if (answer !== undefined) return answer;
  }
}

function isAwaitedByNobody(held: LockTable, queue: LockQueue, owner: bigint): boolean {
  const [waiting] = queue.requestsOf(owner);
  return queue.count === 0 || (held.countOf(owner) === 0 && waiting === undefined);
}

/** A search that gives up after so many steps. */
abstract class Search {
  protected readonly held: LockTable;
  protected readonly queue: LockQueue;
  protected readonly request: LockRequest;
  private readonly owners = new Set<bigint>();
  private readonly next: bigint[] = [];
  private stepsLeft: number;
  private found = false;

  constructor(held: LockTable, queue: LockQueue, request: LockRequest, steps: number) {
    this.held = held;
    this.queue = queue;
    this.request = request;
    this.stepsLeft = steps;
  }

  /** True: a cycle. False: none. Undefined: the steps did not suffice. */
  run(): boolean | undefined {
    let goesOn = this.begin();
    for (let owner = this.next.pop(); goesOn && owner !== undefined; owner = this.next.pop())
      goesOn = this.expand(owner);
    if (this.found) return true;
    return goesOn ? false : undefined;
  }

  protected abstract begin(): boolean;
  /** Looks at what leads on from an owner. False: the search is over. */
  protected abstract expand(owner: bigint): boolean;
  /** True where this owner closes the cycle. */
  protected abstract isEnd(owner: bigint): boolean;

  protected step(): boolean {
    this.stepsLeft--;
    return this.stepsLeft >= 0;
  }

  protected reach(owner: bigint): Verdict {
    if (!this.step()) return 'STOP';
    if (this.owners.has(owner)) return 'SEEN';
    this.found = this.isEnd(owner);
    if (this.found) return 'STOP';
    this.owners.add(owner);
    this.next.push(owner);
    return 'SEEN';
  }
}

/** From the request, along what it waits for. */
class ForwardSearch extends Search {
  private readonly heldSweeps = sweepsOf<HeldRange>(this.held);
  private readonly queueSweeps = sweepsOf<WaitingRequest>(this.queue);

  protected begin(): boolean {
    return this.follow(this.request, Number.POSITIVE_INFINITY);
  }

  protected expand(owner: bigint): boolean {
    for (const waiting of this.queue.requestsOf(owner))
      if (!this.step() || !this.follow(waiting, waiting.order)) return false;
    return true;
  }

  protected isEnd(owner: bigint): boolean {
    return owner === this.request.owner;
  }

  private follow(request: LockRequest, before: number): boolean {
    const { owner, begin, end, mode } = request;
    // An owner does not stand in its own way, but may stand in another's.
    const reach = (item: { owner: bigint }) => (item.owner === owner ? 'LATER' : this.reach(item.owner));
    const orders = { after: Number.NEGATIVE_INFINITY, before };
    const gaps = this.held.gaps(request);
    return (
      this.heldSweeps.against(mode).every((sweep) => sweep.visit(begin, end, ANY_ORDER, reach)) &&
      this.queueSweeps
        .against(mode)
        .every((sweep) => gaps.every((gap) => sweep.visit(gap.begin, gap.end, orders, reach)))
    );
  }
}

/** From the request's owner, along those who wait for it. */
class BackwardSearch extends Search {
  private readonly queueSweeps = sweepsOf<WaitingRequest>(this.queue);

  protected begin(): boolean {
    return this.expand(this.request.owner);
  }

  protected expand(owner: bigint): boolean {
    for (const range of this.held.rangesOf(owner)) {
      if (!this.step()) return false;
      const reach = (waiting: WaitingRequest) =>
        waiting.owner === owner ? 'LATER' : this.reach(waiting.owner);
      const sweeps = this.queueSweeps.against(range.mode);
      if (!sweeps.every((sweep) => sweep.visit(range.begin, range.end, ANY_ORDER, reach))) return false;
    }
    for (const earlier of this.queue.requestsOf(owner)) {
      if (!this.step()) return false;
      const orders = { after: earlier.order, before: Number.POSITIVE_INFINITY };
      const reach = (later: WaitingRequest) =>
        later.owner !== owner && this.queuesBehind(later, earlier) ? this.reach(later.owner) : 'LATER';
      const sweeps = this.queueSweeps.against(earlier.mode);
      if (!sweeps.every((sweep) => sweep.visit(earlier.begin, earlier.end, orders, reach))) return false;
    }
    return true;
  }

  protected isEnd(owner: bigint): boolean {
    if (this.held.conflictsWith(owner, this.request)) return true;
    for (const waiting of this.queue.requestsOf(owner))
      if (modesConflict(waiting.mode, this.request.mode) && this.queuesBehind(this.request, waiting))
        return true;
    return false;
  }

  private queuesBehind(later: LockRequest, earlier: LockRequest): boolean {
    const begin = laterOf(later.begin, earlier.begin);
    const end = earlierOf(later.end, earlier.end);
    return begin <= end && this.held.gaps({ ...later, begin, end }).length > 0;
  }
}

interface Sweeps<T extends HeldRange | WaitingRequest> {
  /** Over all that may not stand beside this mode. */
  against(mode: LockRequest['mode']): IntervalSweep<T>[];
}

function sweepsOf<T extends HeldRange | WaitingRequest>(of: {
  shared: ConstructorParameters<typeof IntervalSweep<T>>[0];
  excluding: ConstructorParameters<typeof IntervalSweep<T>>[0];
}): Sweeps<T> {
  const excluding = new IntervalSweep<T>(of.excluding);
  const all = [excluding, new IntervalSweep<T>(of.shared)];
  return { against: (mode) => (mode === 'SHARED' ? [excluding] : all) };
}
