// Leases: for how long a holder may trust its permissions without word from the directory.
//
//   holder     sends `renew` with its own time `sent`        may use what it holds until
//                                                              sent + leaseMs - guardMs       (its own clock)
//   directory  hears it at `heard`, answers with `sent`      takes what it holds away from
//                                                              heard + leaseMs                (its own clock)
//
// `sent` comes before `heard`, so with clocks of equal speed the holder stops first, by the guard and the time that the
// message took. Clocks may differ in speed by 1 in DRIFT_ONE_IN at most: the guard is larger than what that makes of a
// lease. Only durations are compared, each on one monotonic clock; no two clocks ever are.
//
// While another process takes the holder's place nobody renews. So a renewal may ask to have the lease held, once, for longer
// than it is; the directory says for how long it does, and both sides reckon with that instead of `leaseMs`.
//
// A holder whose lease ended takes all access away (its processes wait in their faults), says nothing that the directory
// could take for an answer, and goes on when the directory tells it who it is now: the same holder, or a new one.
import assert from 'node:assert/strict';
import type { HolderId } from './page.ts';

/** A second on one clock may be up to a second and a hundredth on another. */
export const DRIFT_ONE_IN = 100;
/** Renewals in a lease: one may be lost, and the next one still comes before the guard. */
const RENEWALS = 3;
/**
 * Of a node that maps something: it may stand still for longer before its programs lose that (7 of 10 parts of a lease, where three
 * leave between 5 and 6), and most of the cost of renewals is that of nodes that map nothing.
 */
const RENEWALS_IN_USE = 6;

/** How long before its end a holder stops using a lease: drift, and a tenth for taking the access away. */
export function guardMs(leaseMs: number): number {
  return Math.ceil((leaseMs * 2) / DRIFT_ONE_IN + leaseMs / 10);
}

/** @throws RangeError where nothing is left of a lease that somebody else names, after the guard */
export function expectLease(leaseMs: number): void {
  if (leaseMs <= guardMs(leaseMs)) throw new RangeError(`a lease of ${leaseMs} ms is all guard`);
}

/** For so long at most is a lease held for a holder whose place another process takes. */
export const HOLD_MAX_MS = 10_000;

/** The time between two renewals. */
export function renewEveryMs(leaseMs: number, renewals = RENEWALS): number {
  return Math.max(20, Math.floor(leaseMs / renewals));
}

/** How often a node renews. @param renewals where they are others than as ever */
export const renewalsOf = (mapsSomething: boolean, renewals?: number): number =>
  renewals ?? (mapsSomething ? RENEWALS_IN_USE : RENEWALS);

/** The holder's side of one lease. Times are milliseconds of its own monotonic clock. */
export class HolderLease {
  private leaseMs = 0;
  private untilMs = Number.NEGATIVE_INFINITY;

  /** The directory took the holder in; its `hello` was sent at `sentMs`. */
  begin(leaseMs: number, sentMs: number): void {
    assert(leaseMs > guardMs(leaseMs), `a lease of ${leaseMs} ms is all guard`);
    this.leaseMs = leaseMs;
    this.untilMs = sentMs + leaseMs - guardMs(leaseMs);
  }

  /**
   * The directory answered the renewal that was sent at `sentMs`. Answers may come late and in any order.
   * @param heldMs it holds the lease for so long from then on
   */
  renewed(sentMs: number, heldMs = 0): void {
    if (this.leaseMs === 0) return;
    const lastsMs = Math.max(this.leaseMs, heldMs);
    this.untilMs = Math.max(this.untilMs, sentMs + lastsMs - guardMs(lastsMs));
  }

  /** Nothing may be used any more, whatever the clock says. */
  end(): void {
    this.untilMs = Number.NEGATIVE_INFINITY;
  }

  /** Until when permissions may be used; in the past when there is no lease. */
  get endMs(): number {
    return this.untilMs;
  }

  valid(nowMs: number): boolean {
    return nowMs < this.untilMs;
  }
}

/**
 * For so long is a gateway believed that lends pages to other clusters: these hold what they have by a lease of the gateway, which ends
 * within its own.
 */
export const lenderLeaseMs = (leaseMs: number): number => 6 * leaseMs;

/** The directory's side: when each holder is dead. Times are milliseconds of its own monotonic clock. */
export class LeaseTable {
  private readonly deadAtMs = new Map<HolderId, number>();
  private readonly leaseMs: number;

  constructor(leaseMs: number) {
    this.leaseMs = leaseMs;
  }

  /** A hello or a renewal was heard. @param heldMs the lease is held for so long */
  heard(holder: HolderId, nowMs: number, heldMs = 0): void {
    const deadAtMs = nowMs + Math.max(this.leaseMs, heldMs);
    this.deadAtMs.set(holder, Math.max(this.deadAtMs.get(holder) ?? 0, deadAtMs));
  }

  forget(holder: HolderId): void {
    this.deadAtMs.delete(holder);
  }

  /** When the first of them is dead, unless it is heard before; infinite: there is none. */
  get firstDeathMs(): number {
    let firstMs = Number.POSITIVE_INFINITY;
    for (const atMs of this.deadAtMs.values()) firstMs = Math.min(firstMs, atMs);
    return firstMs;
  }

  /** Holders whose lease ended: what they hold may be given to others. */
  dead(nowMs: number): HolderId[] {
    return [...this.deadAtMs].filter(([, atMs]) => atMs <= nowMs).map(([holder]) => holder);
  }
}
