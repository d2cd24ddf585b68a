// Range locks on the bytes [begin, end] of a dataspace, end inclusive, any 64-bit offsets with a sign; negative ones
// are metadata space: names for what programs agree on, nothing is stored there. After DragonFly's CCMS.
//
// What an owner holds. Each byte is held by an owner in no mode or in one (lock-mode.ts). A lock gives all bytes of
// its range its mode, whatever they had; an unlock takes the mode from all bytes of its range. So an owner never
// stands in its own way; what it holds splits and merges as CCMS's cache state tree does; and nothing is counted:
// one unlock undoes any number of locks.
//
//   held               SSSSSSSSSSSSSSSSSSSS             one range
//   lock [5, 9] M      SSSSSMMMMMSSSSSSSSSS             upgrade of a part: three
//   unlock [7, 12]     SSSSSMM......SSSSSSS             the end of one, the beginning of another
//   lock [7, 12] S     SSSSSMMSSSSSSSSSSSSS             merged with its neighbour
//   lock [5, 6] S      SSSSSSSSSSSSSSSSSSSS             downgrade of a part: one again
//                      0         10
//
// When a request is granted. Nothing may stand before it:
//   1. no other owner holds a byte of its range in a mode that conflicts,
//   2. no request of another owner that came earlier, still waits, and conflicts, wants a byte of its range that the
//      request's owner does not hold yet.
// The second makes it fair: a writer waits for the readers of now, and those who come later wait for the writer. It
// leaves out bytes that the owner holds already, because there the earlier request waits for this very owner: an
// upgrade that queued behind it would be a deadlock, and a downgrade would help it. A request that asks for nothing
// that its owner does not have is so granted at once. What can be granted at one moment is granted in the order of
// asking. While it waits for an upgrade, an owner keeps what it has.
//
// A request that would close a cycle of owners that wait for each other, for held bytes or in the queue, is answered
// DEADLOCK and does not wait (lock-cycle.ts). An owner that waits is taken to do nothing else meanwhile.
//
// Pure: time comes in as `nowMs`. With n ranges held or waiting, a lock, an unlock and a tick cost O(log n) for each
// range that they change and each request that they answer.
import { closesCycle } from './lock-cycle.ts';
import { laterOf } from './lock-mode.ts';
import { LockQueue, type LockRequest, type Obstacle, type WaitingRequest } from './lock-queue.ts';
import { LockTable } from './lock-table.ts';
import { OrderedHeap } from './ordered-heap.ts';

export type { LockMode } from './lock-mode.ts';
export type { LockRequest } from './lock-queue.ts';
export type LockOutcome = 'OK' | 'TIMED_OUT' | 'DEADLOCK' | 'NOT_FOUND' | 'EXHAUSTED';

export interface LockAnswer {
  request: bigint;
  owner: bigint;
  outcome: LockOutcome;
}

/** Requests that may wait on one dataspace. */
export const WAITING_MAX = 100_000;
/** Ranges that may be held on one dataspace. */
export const HELD_MAX = 1_000_000;

type Span = { begin: bigint; end: bigint };

/** The locks of one dataspace. */
export class RangeLocks {
  private readonly held = new LockTable();
  private readonly queue = new LockQueue();
  /** By owner, its last request where that timed out: asked again before the answer came, it must not wait anew. */
  private readonly timedOut = new Map<bigint, bigint>();
  /** Requests before which something ended. */
  private readonly toLookAt = new OrderedHeap<WaitingRequest>((a, b) => a.order < b.order);

  /** Ranges held, by all owners. */
  get heldCount(): number {
    return this.held.count;
  }

  /** Requests that wait. */
  get waitingCount(): number {
    return this.queue.count;
  }

  /** Nothing is held or asked for, and nothing has to be remembered. */
  get isIdle(): boolean {
    return this.held.count === 0 && this.queue.count === 0 && this.timedOut.size === 0;
  }

  /** What an owner holds, from the left. */
  rangesOf(owner: bigint): { begin: bigint; end: bigint; mode: LockRequest['mode'] }[] {
    return [...this.held.rangesOf(owner)].map(({ begin, end, mode }) => ({ begin, end, mode }));
  }

  /** Asks for a lock: an answer at once, or none while it waits. Answers of others follow where it was a downgrade. */
  lock(request: LockRequest, nowMs: number): LockAnswer[] {
    // Asked again because the answer may have been lost on the way; one that was granted asks for what is held.
    if (this.queue.find(request.owner, request.request) !== undefined) return [];
    if (this.timedOut.get(request.owner) === request.request) return [answer(request, 'TIMED_OUT')];
    this.timedOut.delete(request.owner);
    const obstacle = this.obstacle(request, Number.POSITIVE_INFINITY);
    if (obstacle === undefined) {
      if (this.held.count >= HELD_MAX) return [answer(request, 'EXHAUSTED')];
      this.hold(request);
      return [answer(request, 'OK'), ...this.serve()];
    }
    if (request.deadlineMs <= nowMs) return [answer(request, 'TIMED_OUT')];
    if (this.queue.count >= WAITING_MAX) return [answer(request, 'EXHAUSTED')];
    if (closesCycle(this.held, this.queue, request)) return [answer(request, 'DEADLOCK')];
    this.queue.add(request, obstacle);
    return [];
  }

  /** Takes over a lock that was held under an earlier directory. False: another holds it now; it is lost. */
  reclaim(request: LockRequest): boolean {
    if (this.held.conflict(request) !== undefined) return false;
    this.held.set(request);
    return true;
  }

  /** Takes the range from the owner; the answers are of requests that it held up. Undefined: it held nothing of it. */
  unlock(owner: bigint, begin: bigint, end: bigint): LockAnswer[] | undefined {
    const freed = this.held.clear(owner, begin, end);
    if (freed.length === 0) return undefined;
    this.lookAround(freed);
    return this.serve();
  }

  /** The owner died. */
  release(owner: bigint): LockAnswer[] {
    for (const request of [...this.queue.requestsOf(owner)]) this.dequeue(request);
    this.queue.forget(owner);
    this.timedOut.delete(owner);
    this.lookAround(this.held.clearAll(owner));
    return this.serve();
  }

  tick(nowMs: number): LockAnswer[] {
    const late: LockAnswer[] = [];
    for (let request = this.queue.late(nowMs); request !== undefined; request = this.queue.late(nowMs)) {
      this.dequeue(request);
      this.timedOut.set(request.owner, request.request);
      late.push(answer(request, 'TIMED_OUT'));
    }
    return [...late, ...this.serve()];
  }

  private obstacle(request: LockRequest, before: number): Obstacle | undefined {
    const { owner, mode } = request;
    if (this.queue.count > 0) {
      for (const { begin, end } of this.held.gaps(request)) {
        const earlier = this.queue.latest(begin, end, { owner, mode, before });
        if (earlier !== undefined) return { request: earlier };
      }
    }
    const range = this.held.conflict(request);
    if (range === undefined) return undefined;
    return { byte: laterOf(range.begin, request.begin) };
  }

  private hold(request: LockRequest): void {
    this.lookAround(this.held.set(request));
    // Its owner holds more now, so less of what it still asks for must queue.
    for (const other of this.queue.requestsOf(request.owner)) this.toLookAt.add(other);
  }

  private dequeue(request: WaitingRequest): void {
    this.queue.remove(request);
    for (const watcher of request.watchers) this.toLookAt.add(watcher);
  }

  private lookAround(freed: Span[]): void {
    for (const { begin, end } of freed)
      for (const watcher of this.queue.watchersOf(begin, end)) this.toLookAt.add(watcher);
  }

  private serve(): LockAnswer[] {
    const answers: LockAnswer[] = [];
    for (let request = this.toLookAt.pop(); request !== undefined; request = this.toLookAt.pop()) {
      if (!this.queue.has(request)) continue;
      const obstacle = this.obstacle(request, request.order);
      if (obstacle !== undefined) {
        this.queue.watch(request, obstacle);
        continue;
      }
      this.dequeue(request);
      this.hold(request);
      answers.push(answer(request, 'OK'));
    }
    return answers;
  }
}

function answer(request: LockRequest, outcome: LockOutcome): LockAnswer {
  return { request: request.request, owner: request.owner, outcome };
}
