// What was said to the directory without an answer, and may be lost with a stream: unlocks, waits that were withdrawn, and
// the ends of processes.
import type { UnlockRequest } from '@odonata/proto/coherency/v1/coherency';

/** An unlock that the directory may not have heard. */
export interface UnheardUnlock {
  unlock: UnlockRequest;
  /** The number of the next request after it: an answer to that one, or to a later one, tells that it was heard. */
  before: bigint;
  atMs: number;
}

/** Unlocks that are remembered, of all processes: a directory that is away hears of none. */
export const UNLOCKS_MAX = 100_000;

export class UnheardUnlocks {
  /** By dataspace, in the order in which they were said. */
  private readonly byDataspace = new Map<bigint, UnheardUnlock[]>();
  private size = 0;

  get isFull(): boolean {
    return this.size >= UNLOCKS_MAX;
  }

  dataspaces(): bigint[] {
    return [...this.byDataspace.keys()];
  }

  of(dataspace: bigint): readonly UnheardUnlock[] {
    return this.byDataspace.get(dataspace) ?? [];
  }

  all(): UnheardUnlock[] {
    return [...this.byDataspace.values()].flat();
  }

  add(unheard: UnheardUnlock): void {
    const { dataspace } = unheard.unlock;
    const list = this.byDataspace.get(dataspace) ?? [];
    this.byDataspace.set(dataspace, list);
    list.push(unheard);
    this.size++;
  }

  /** They stand in order, so those that were heard stand first. */
  heard(dataspace: bigint, wasHeard: (unlock: UnheardUnlock) => boolean): void {
    const list = this.byDataspace.get(dataspace);
    if (list === undefined) return;
    const first = list.findIndex((unlock) => !wasHeard(unlock));
    if (first === -1) this.forget(dataspace);
    else this.size -= list.splice(0, first).length;
  }

  forget(dataspace: bigint): void {
    this.size -= this.of(dataspace).length;
    this.byDataspace.delete(dataspace);
  }
}

/** Of all processes. */
const WITHDRAWN_MAX = 10_000;

/** Waits that were withdrawn: one that stays at the directory would take a wake from somebody who sleeps. */
export class UnheardWithdrawals {
  private readonly byRequest = new Map<bigint, { dataspace: bigint; atMs: number }>();

  get size(): number {
    return this.byRequest.size;
  }

  add(request: bigint, dataspace: bigint, nowMs: number): void {
    this.byRequest.set(request, { dataspace, atMs: nowMs });
    if (this.byRequest.size > WITHDRAWN_MAX) this.byRequest.delete(this.byRequest.keys().next().value!);
  }

  heard(wasHeard: (dataspace: bigint, atMs: number) => boolean): void {
    for (const [request, { dataspace, atMs }] of this.byRequest)
      if (wasHeard(dataspace, atMs)) this.byRequest.delete(request);
  }

  all(): { request: bigint; dataspace: bigint; atMs: number }[] {
    return [...this.byRequest].map(([request, about]) => ({ request, ...about }));
  }

  of(isWanted: (dataspace: bigint) => boolean): { request: bigint; dataspace: bigint }[] {
    return [...this.byRequest].flatMap(([request, { dataspace }]) => {
      return isWanted(dataspace) ? [{ request, dataspace }] : [];
    });
  }
}

/** Ends of processes that are said again on a new stream. Pids are never used twice, so that does no harm. */
const GONE_MAX = 10_000;
const GONE_KEPT_MS = 60_000;

export class UnheardEnds {
  private readonly atMs = new Map<bigint, number>();

  add(owner: bigint, nowMs: number): void {
    this.atMs.set(owner, nowMs);
    if (this.atMs.size > GONE_MAX) this.atMs.delete(this.atMs.keys().next().value!);
  }

  /** Those that are to be said again, the oldest first. */
  again(nowMs: number): bigint[] {
    for (const [owner, atMs] of this.atMs) if (nowMs - atMs > GONE_KEPT_MS) this.atMs.delete(owner);
    return [...this.atMs.keys()];
  }

  all(): { owner: bigint; atMs: number }[] {
    return [...this.atMs].map(([owner, atMs]) => ({ owner, atMs }));
  }
}
