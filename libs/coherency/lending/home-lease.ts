// The lease under which a gateway has pages of their home, as it reckons it itself, and the line by which that is renewed.
//
//   |<--------------------------- lease of home, from when it was asked for ---------------------------->|
//   |    pages are given to nodes      |  all is taken back; given is only what  |  nothing  |   guard   |
//                                      |  keeps the taking waiting               |  is given |
//                                   takeAtMs                                  serveUntilMs  endMs
//
// A node may use what it has for one lease of its own directory once it hears nothing of that, and what it has is gone then
// (node/lines/routes.ts). Before a page is taken one reader of it may be waited for, who died: that makes two leases from `takeAtMs` to
// `endMs`, and one from the last page that is given. The same two are for the gateway itself: its directory hears nothing of it for one,
// and takes from nodes within the other what it had (directory/page-changes.ts). Pure.
import { guardMs, renewEveryMs } from '../lease.ts';

/** For what takes no lease: messages on their way, and a broadcast that is said again. */
const MARGIN_MS = 300;

/** For how long a lease must last for anything to be given to nodes. @param nodeLeaseMs of the own directory */
export const takeBackMsOf = (nodeLeaseMs: number): number => 2 * (nodeLeaseMs + MARGIN_MS);

/** Before there is a lease. */
const NEVER = Number.NEGATIVE_INFINITY;
/** A renewal that is not answered is sent again. */
const RENEW_FIRST_MS = 500;
/** In a lease: pages are taken back when little more than half of it is left, and no lost renewal may bring that about. */
const RENEWALS = 6;

export class HomeLease {
  /** There is a line to home. */
  isUp = false;
  /** Pages are taken back, or are. */
  ending = true;
  /** Nothing that is lent may be used. */
  ended = true;
  private readonly nodeLeaseMs: number;
  private leaseMs = 0;
  private untilMs = NEVER;
  private renewAtMs = Number.POSITIVE_INFINITY;

  /** @param nodeLeaseMs of the own directory */
  constructor(nodeLeaseMs: number) {
    this.nodeLeaseMs = nodeLeaseMs;
  }

  /** Until when anything that is lent may be used. */
  get endMs(): number {
    return this.untilMs;
  }

  /** When something is to be done. */
  get nextMs(): number {
    const ends = this.ended ? Number.POSITIVE_INFINITY : this.ending ? this.untilMs : this.takeAtMs;
    return Math.min(ends, this.isUp ? this.renewAtMs : Number.POSITIVE_INFINITY);
  }

  /** The last one was too short for anything to be given to nodes. */
  get isTooShort(): boolean {
    return this.leaseMs > 0 && this.leaseMs - guardMs(this.leaseMs) <= takeBackMsOf(this.nodeLeaseMs);
  }

  private get takeAtMs(): number {
    return this.untilMs - takeBackMsOf(this.nodeLeaseMs);
  }

  /** While pages are taken back what keeps that waiting may be given. */
  mayStillServe(nowMs: number): boolean {
    return nowMs < this.untilMs - this.nodeLeaseMs - MARGIN_MS;
  }

  joined(): void {
    this.isUp = true;
  }

  lost(): void {
    this.isUp = false;
  }

  /** It is to be renewed. */
  isDue(nowMs: number): boolean {
    return this.isUp && nowMs >= this.renewAtMs;
  }

  /** Home was asked to renew it. */
  asked(nowMs: number): void {
    this.renewAtMs = nowMs + (this.leaseMs > 0 ? renewEveryMs(this.leaseMs, RENEWALS) : RENEW_FIRST_MS);
  }

  renewed({ sentMs, leaseMs }: { sentMs: number; leaseMs: number }): void {
    this.leaseMs = leaseMs;
    this.untilMs = Math.max(this.untilMs, sentMs + leaseMs - guardMs(leaseMs));
  }

  /** Home is another gateway, and renews nothing of it: `end` follows where it lasted. */
  forfeit(): void {
    this.leaseMs = 0;
    this.untilMs = NEVER;
  }

  end(): void {
    this.ended = this.ending = true;
  }

  /** What the time brings: all is to be taken back from nodes, and then it is over. */
  look(nowMs: number): { mustTake: boolean; isOver: boolean } {
    if (nowMs < this.takeAtMs) {
      this.ended = this.ending = false;
      return { mustTake: false, isOver: false };
    }
    const mustTake = !this.ending;
    this.ending = true;
    const isOver = !this.ended && nowMs >= this.untilMs;
    if (isOver) this.ended = true;
    return { mustTake, isOver };
  }
}
