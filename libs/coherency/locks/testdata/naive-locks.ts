// Range locks as plainly as they can be written: a mode a byte and owner, a list of requests, everything looked at
// every time. What range-lock.ts does must be the same, answer by answer.
import { type LockMode, modesConflict } from '../lock-mode.ts';
import type { LockAnswer, LockOutcome, LockRequest } from '../range-lock.ts';

export class NaiveLocks {
  /** Owner, then byte. */
  readonly modes = new Map<bigint, Map<number, LockMode>>();
  waiting: LockRequest[] = [];

  lock(request: LockRequest, nowMs: number): LockAnswer[] {
    if (this.waiting.some((w) => w.owner === request.owner && w.request === request.request)) return [];
    if (this.standing(request, this.waiting).size === 0) {
      this.hold(request);
      return [answer(request, 'OK'), ...this.serve()];
    }
    if (request.deadlineMs <= nowMs) return [answer(request, 'TIMED_OUT')];
    if (this.closesCycle(request)) return [answer(request, 'DEADLOCK')];
    this.waiting.push(request);
    return [];
  }

  unlock(owner: bigint, begin: bigint, end: bigint): LockAnswer[] | undefined {
    const held = this.held(owner);
    const freed = bytes({ begin, end }).filter((byte) => held.delete(byte));
    return freed.length === 0 ? undefined : this.serve();
  }

  release(owner: bigint): LockAnswer[] {
    this.modes.delete(owner);
    this.waiting = this.waiting.filter((w) => w.owner !== owner);
    return this.serve();
  }

  tick(nowMs: number): LockAnswer[] {
    const late = this.waiting.filter((w) => w.deadlineMs <= nowMs);
    late.sort((a, b) => a.deadlineMs - b.deadlineMs);
    this.waiting = this.waiting.filter((w) => w.deadlineMs > nowMs);
    return [...late.map((w) => answer(w, 'TIMED_OUT')), ...this.serve()];
  }

  /** What an owner holds, as ranges. */
  rangesOf(owner: bigint): { begin: bigint; end: bigint; mode: LockMode }[] {
    const ranges: { begin: bigint; end: bigint; mode: LockMode }[] = [];
    for (const [byte, mode] of [...this.held(owner)].sort((a, b) => a[0] - b[0])) {
      const last = ranges.at(-1);
      if (last !== undefined && last.mode === mode && last.end === BigInt(byte - 1)) last.end = BigInt(byte);
      else ranges.push({ begin: BigInt(byte), end: BigInt(byte), mode });
    }
    return ranges;
  }

  private held(owner: bigint): Map<number, LockMode> {
    const held = this.modes.get(owner) ?? new Map<number, LockMode>();
    this.modes.set(owner, held);
    return held;
  }

  private hold(request: LockRequest): void {
    for (const byte of bytes(request)) this.held(request.owner).set(byte, request.mode);
  }

  /** The owners that stand before a request. */
  private standing(request: LockRequest, earlier: LockRequest[]): Set<bigint> {
    const owners = new Set<bigint>();
    for (const byte of bytes(request)) {
      for (const [owner, held] of this.modes) {
        const mode = held.get(byte);
        if (owner !== request.owner && mode !== undefined && modesConflict(mode, request.mode))
          owners.add(owner);
      }
      if (this.held(request.owner).has(byte)) continue;
      for (const other of earlier) {
        const wantsIt = other.begin <= byte && byte <= other.end;
        if (other.owner !== request.owner && wantsIt && modesConflict(other.mode, request.mode))
          owners.add(other.owner);
      }
    }
    return owners;
  }

  private serve(): LockAnswer[] {
    const answers: LockAnswer[] = [];
    for (;;) {
      const at = this.waiting.findIndex((w, i) => this.standing(w, this.waiting.slice(0, i)).size === 0);
      if (at === -1) return answers;
      const [granted] = this.waiting.splice(at, 1);
      this.hold(granted!);
      answers.push(answer(granted!, 'OK'));
    }
  }

  private closesCycle(request: LockRequest): boolean {
    const reached = new Set<bigint>();
    const next = [...this.standing(request, this.waiting)];
    for (let owner = next.pop(); owner !== undefined; owner = next.pop()) {
      if (reached.has(owner)) continue;
      reached.add(owner);
      this.waiting.forEach((w, i) => {
        if (w.owner === owner) next.push(...this.standing(w, this.waiting.slice(0, i)));
      });
    }
    return reached.has(request.owner);
  }
}

function bytes({ begin, end }: { begin: bigint; end: bigint }): number[] {
  return Array.from({ length: Number(end - begin) + 1 }, (_, i) => Number(begin) + i);
}

function answer(request: LockRequest, outcome: LockOutcome): LockAnswer {
  return { request: request.request, owner: request.owner, outcome };
}
