// Waiters on addresses of dataspaces: a cluster-wide futex. A waiter registers, looks at the value
// once more, and sleeps; so a wake between its first look and its sleep is not lost. Pure.
//
// Each is found by its address, in the order of coming; by its request; by its owner; and by its deadline. None of
// these looks at the others that wait.
import { OrderedHeap } from './ordered-heap.ts';

/** Waiters on one address. */
export const WAITERS_MAX = 65_536;
/** On all addresses. */
export const WAITERS_IN_ALL_MAX = 1_000_000;

export interface Waiter {
  request: bigint;
  owner: bigint;
  holder: number;
  /** Absolute; Infinity waits without end. */
  deadlineMs: number;
}

/** A waiter in the ring of its address. */
interface Link {
  readonly waiter: Waiter;
  readonly ring: Ring;
  before: Link | Ring;
  after: Link | Ring;
}

/** The waiters of one address: its own ends are the first and the last of them, or itself. */
interface Ring {
  readonly key: string;
  count: number;
  before: Link | Ring;
  after: Link | Ring;
}

const requestKey = (holder: number, request: bigint) => `${holder} ${request}`;

export class Waiters {
  private readonly byAddress = new Map<string, Ring>();
  private readonly byRequest = new Map<string, Link>();
  private readonly byOwner = new Map<bigint, Set<Link>>();
  private readonly deadlines = new OrderedHeap<Link>((a, b) => a.waiter.deadlineMs < b.waiter.deadlineMs);

  get count(): number {
    return this.byRequest.size;
  }

  /** False when the bound is reached. One that is there already stays where it is. */
  add(dataspace: bigint, offset: bigint, waiter: Waiter): boolean {
    const request = requestKey(waiter.holder, waiter.request);
    if (this.byRequest.has(request)) return true;
    const key = `${dataspace} ${offset}`;
    const ring = this.byAddress.get(key) ?? newRing(key);
    if (ring.count >= WAITERS_MAX || this.count >= WAITERS_IN_ALL_MAX) return false;
    this.byAddress.set(key, ring);
    const link: Link = { waiter, ring, before: ring.before, after: ring };
    ring.before.after = link;
    ring.before = link;
    ring.count++;
    this.byRequest.set(request, link);
    const ofOwner = this.byOwner.get(waiter.owner) ?? new Set();
    this.byOwner.set(waiter.owner, ofOwner.add(link));
    if (waiter.deadlineMs !== Number.POSITIVE_INFINITY) this.deadlines.add(link);
    return true;
  }

  /** Takes up to `count` waiters off, oldest first. */
  wake(dataspace: bigint, offset: bigint, count: number): Waiter[] {
    const ring = this.byAddress.get(`${dataspace} ${offset}`);
    const woken: Waiter[] = [];
    while (ring !== undefined && woken.length < count && 'waiter' in ring.after)
      woken.push(this.remove(ring.after));
    return woken;
  }

  /** It no longer waits. */
  cancel(holder: number, request: bigint): void {
    const link = this.byRequest.get(requestKey(holder, request));
    if (link !== undefined) this.remove(link);
  }

  /** The owner died. */
  removeOwner(owner: bigint): void {
    for (const link of this.byOwner.get(owner) ?? []) this.remove(link);
  }

  /** Somebody waits for so long and no longer. */
  get anyTimed(): boolean {
    return this.deadlines.peek() !== undefined;
  }

  /** Takes off those whose time is over. */
  tick(nowMs: number): Waiter[] {
    const late: Waiter[] = [];
    for (let first = this.deadlines.peek(); first !== undefined; first = this.deadlines.peek()) {
      if (first.waiter.deadlineMs > nowMs) break;
      late.push(this.remove(first));
    }
    return late;
  }

  private remove(link: Link): Waiter {
    const { waiter, ring } = link;
    link.before.after = link.after;
    link.after.before = link.before;
    ring.count--;
    if (ring.count === 0) this.byAddress.delete(ring.key);
    this.byRequest.delete(requestKey(waiter.holder, waiter.request));
    const ofOwner = this.byOwner.get(waiter.owner);
    ofOwner?.delete(link);
    if (ofOwner?.size === 0) this.byOwner.delete(waiter.owner);
    this.deadlines.delete(link);
    return waiter;
  }
}

function newRing(key: string): Ring {
  const ring = { key, count: 0 } as Ring;
  ring.before = ring.after = ring;
  return ring;
}
