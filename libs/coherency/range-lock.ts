// Range locks on bytes [begin, end] of a dataspace, end inclusive; negative offsets are metadata space.
//
//            SHARED  EXCLUSIVE  MODIFYING      SHARED: many readers. EXCLUSIVE: one owner who reads.
//  SHARED      yes      no         no          MODIFYING: one owner who writes.
//  EXCLUSIVE   no       no         no
//  MODIFYING   no       no         no
//
// Fair: a request waits behind every earlier one that it conflicts with, so readers starve no writer.
// Pure: time comes in as `nowMs`.
export type LockMode = 'SHARED' | 'EXCLUSIVE' | 'MODIFYING';
export type LockOutcome = 'OK' | 'TIMED_OUT' | 'DEADLOCK' | 'NOT_FOUND' | 'EXHAUSTED';

export interface LockRequest {
  /** Names the request to its caller. */
  request: bigint;
  owner: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
  /** Absolute; Infinity waits without end. */
  deadlineMs: number;
}

export interface LockAnswer {
  request: bigint;
  owner: bigint;
  outcome: LockOutcome;
}

/** Requests that may wait on one dataspace. */
export const WAITING_MAX = 100_000;

type Range = Pick<LockRequest, 'owner' | 'begin' | 'end' | 'mode'>;

const overlap = (a: Range, b: Range) => a.begin <= b.end && b.begin <= a.end;
const conflict = (a: Range, b: Range) =>
  a.owner !== b.owner && overlap(a, b) && (a.mode !== 'SHARED' || b.mode !== 'SHARED');

/** The locks of one dataspace. */
export class RangeLocks {
  private held: LockRequest[] = [];
  private waiting: LockRequest[] = [];

  get heldCount(): number {
    return this.held.length;
  }

  /** Asks for a lock: an answer at once, or none while it waits. */
  lock(request: LockRequest, nowMs: number): LockAnswer[] {
    // Asked again because the answer was lost on the way.
    if (this.held.some((l) => l.request === request.request && l.owner === request.owner))
      return [answer(request, 'OK')];
    if (this.waiting.some((l) => l.request === request.request && l.owner === request.owner)) return [];
    const blockers = this.blockers(request, this.waiting);
    if (blockers.length === 0) {
      this.held.push(request);
      return [answer(request, 'OK')];
    }
    if (request.deadlineMs <= nowMs) return [answer(request, 'TIMED_OUT')];
    if (this.waiting.length >= WAITING_MAX) return [answer(request, 'EXHAUSTED')];
    if (this.wouldDeadlock(request)) return [answer(request, 'DEADLOCK')];
    this.waiting.push(request);
    return [];
  }

  /** Takes over a lock that was held under an earlier directory. */
  reclaim(request: LockRequest): void {
    this.held.push(request);
  }

  /** Gives a lock back; the answers are of requests that it held up. Undefined: the owner has no such lock. */
  unlock(owner: bigint, begin: bigint, end: bigint): LockAnswer[] | undefined {
    const at = this.held.findIndex((l) => l.owner === owner && l.begin === begin && l.end === end);
    if (at === -1) return undefined;
    this.held.splice(at, 1);
    return this.serve();
  }

  /** The owner died. */
  release(owner: bigint): LockAnswer[] {
    this.held = this.held.filter((l) => l.owner !== owner);
    this.waiting = this.waiting.filter((l) => l.owner !== owner);
    return this.serve();
  }

  tick(nowMs: number): LockAnswer[] {
    const late = this.waiting.filter((l) => l.deadlineMs <= nowMs);
    if (late.length === 0) return [];
    this.waiting = this.waiting.filter((l) => l.deadlineMs > nowMs);
    return [...late.map((l) => answer(l, 'TIMED_OUT')), ...this.serve()];
  }

  private blockers(request: LockRequest, before: LockRequest[]): LockRequest[] {
    return [...this.held, ...before].filter((l) => conflict(l, request));
  }

  private serve(): LockAnswer[] {
    const answers: LockAnswer[] = [];
    const still: LockRequest[] = [];
    for (const request of this.waiting) {
      if (this.blockers(request, still).length > 0) still.push(request);
      else {
        this.held.push(request);
        answers.push(answer(request, 'OK'));
      }
    }
    this.waiting = still;
    return answers;
  }

  // Follows who waits for whom, from the request's blockers; a way back to its owner closes a cycle.
  private wouldDeadlock(request: LockRequest): boolean {
    const seen = new Set<bigint>();
    const next = this.blockers(request, this.waiting).map((l) => l.owner);
    for (let owner = next.pop(); owner !== undefined; owner = next.pop()) {
      if (owner === request.owner) return true;
      if (seen.has(owner)) continue;
      seen.add(owner);
      this.waiting.forEach((waiter, at) => {
        if (waiter.owner !== owner) return;
        for (const blocker of this.blockers(waiter, this.waiting.slice(0, at))) next.push(blocker.owner);
      });
    }
    return false;
  }
}

function answer(request: LockRequest, outcome: LockOutcome): LockAnswer {
  return { request: request.request, owner: request.owner, outcome };
}
