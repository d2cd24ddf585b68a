// The requests of one dataspace that wait, in the order in which they came.
//
// Each watches one thing that stands before it: an earlier request, or a byte that another owner holds. As long as
// that stands, nothing else need be looked at; so what ends wakes only those who watch it, not the whole queue.
// Who watches a request watches the latest one that is in its way: 10,000 writers on one byte form a chain, and each
// unlock looks at one of them.
import assert from 'node:assert/strict';
import { IntervalTree } from './interval-tree.ts';
import type { LockMode, LockRange } from './lock-mode.ts';
import { OrderedHeap } from './ordered-heap.ts';

export interface LockRequest extends LockRange {
  /** Names the request to its caller. */
  request: bigint;
  /** Absolute; Infinity waits without end. */
  deadlineMs: number;
}

/** What stands before a request. */
export type Obstacle = { request: WaitingRequest } | { byte: bigint };

interface ByteWatch {
  readonly begin: bigint;
  readonly end: bigint;
  readonly order: number;
  readonly watcher: WaitingRequest;
}

export interface WaitingRequest extends Readonly<LockRequest> {
  /** Who came first has the lower one. */
  readonly order: number;
  /** Those who watch this one. */
  readonly watchers: Set<WaitingRequest>;
}

/** Which requests are in the way of one. */
export interface QueueQuery {
  owner: bigint;
  mode: LockMode;
  /** Only those that came earlier. */
  before: number;
}

const byDeadline = (a: WaitingRequest, b: WaitingRequest) =>
  a.deadlineMs < b.deadlineMs || (a.deadlineMs === b.deadlineMs && a.order < b.order);

export class LockQueue {
  /** By mode, as in the table of locks. */
  readonly shared = new IntervalTree<WaitingRequest>();
  readonly excluding = new IntervalTree<WaitingRequest>();
  /** By owner and request; also owners that wait for nothing now, as in the table of locks. */
  private readonly owners = new Map<bigint, Map<bigint, WaitingRequest>>();
  private readonly deadlines = new OrderedHeap<WaitingRequest>(byDeadline);
  private readonly watches = new Map<WaitingRequest, WaitingRequest | ByteWatch>();
  private readonly watchedBytes = new IntervalTree<ByteWatch>();
  private lastOrder = 0;

  get count(): number {
    return this.watches.size;
  }

  has(request: WaitingRequest): boolean {
    return this.watches.has(request);
  }

  find(owner: bigint, request: bigint): WaitingRequest | undefined {
    return this.owners.get(owner)?.get(request);
  }

  requestsOf(owner: bigint): Iterable<WaitingRequest> {
    return this.owners.get(owner)?.values() ?? [];
  }

  /** Puts a request at the end, behind what stands before it. */
  add(about: LockRequest, obstacle: Obstacle): void {
    const request: WaitingRequest = { ...about, order: ++this.lastOrder, watchers: new Set() };
    this.treeOf(request.mode).add(request);
    const ofOwner = this.owners.get(request.owner) ?? new Map<bigint, WaitingRequest>();
    this.owners.set(request.owner, ofOwner.set(request.request, request));
    if (request.deadlineMs !== Number.POSITIVE_INFINITY) this.deadlines.add(request);
    this.watch(request, obstacle);
  }

  /** What stands before it is now another thing. */
  watch(request: WaitingRequest, obstacle: Obstacle): void {
    this.unwatch(request);
    if ('request' in obstacle) {
      obstacle.request.watchers.add(request);
      this.watches.set(request, obstacle.request);
    } else {
      const { byte } = obstacle;
      const watch = { begin: byte, end: byte, order: request.order, watcher: request };
      this.watchedBytes.add(watch);
      this.watches.set(request, watch);
    }
  }

  /** Takes a request off. Who watched it has nothing to watch until the caller looks at it. */
  remove(request: WaitingRequest): void {
    this.treeOf(request.mode).delete(request);
    this.unwatch(request);
    this.watches.delete(request);
    this.deadlines.delete(request);
    this.owners.get(request.owner)?.delete(request.request);
  }

  /** The owner asks for nothing any more. */
  forget(owner: bigint): void {
    assert((this.owners.get(owner)?.size ?? 0) === 0, `owner ${owner} still waits`);
    this.owners.delete(owner);
  }

  /** The latest request in the way of one for these bytes. */
  latest(begin: bigint, end: bigint, { owner, mode, before }: QueueQuery): WaitingRequest | undefined {
    const isOther = (request: WaitingRequest) => request.owner !== owner;
    const excluding = this.excluding.latest(begin, end, before, isOther);
    if (mode === 'SHARED') return excluding;
    const shared = this.shared.latest(begin, end, before, isOther);
    if (excluding === undefined || shared === undefined) return excluding ?? shared;
    return shared.order > excluding.order ? shared : excluding;
  }

  /** Who watches one of these bytes. */
  watchersOf(begin: bigint, end: bigint): WaitingRequest[] {
    return this.watchedBytes.overlapping(begin, end).map((watch) => watch.watcher);
  }

  /** A request whose deadline is over. */
  late(nowMs: number): WaitingRequest | undefined {
    const first = this.deadlines.peek();
    return first !== undefined && first.deadlineMs <= nowMs ? first : undefined;
  }

  treeOf(mode: LockMode): IntervalTree<WaitingRequest> {
    return mode === 'SHARED' ? this.shared : this.excluding;
  }

  private unwatch(request: WaitingRequest): void {
    const watched = this.watches.get(request);
    if (watched === undefined) return;
    if ('watcher' in watched) this.watchedBytes.delete(watched);
    else watched.watchers.delete(request);
  }
}
