// Which replicas of the directory live, by their heartbeats, and for how long this one may lead, by its own.
import { HolderLease, renewEveryMs } from '../../lease.ts';
import type { PeerValue, ShardValue } from './election-messages.ts';

interface Peer extends PeerValue {
  seenAtMs: number;
}

export interface HeartbeatsOptions {
  replica: string;
  /** New each time the replica starts. */
  incarnation: bigint;
  /** Where holders reach this replica. */
  address: string;
  standalone: boolean;
  leaseMs: number;
  /** Heartbeats in a lease, where they are others than as ever: of a replica of before. */
  renewals?: number | undefined;
  /** The replica's own lease, as the others reckon with it. */
  lease?: HolderLease;
}

export class Heartbeats {
  protected readonly o: HeartbeatsOptions;
  private readonly lease: HolderLease;
  private readonly peers = new Map<string, Peer>();
  /** When another start of a replica was seen to change a key, by its number: its heartbeat may come later than that. */
  private readonly signs = new Map<bigint, number>();
  private underWay: { beat: number; sentMs: number } | undefined;
  private away = false;
  /** Since then our own heartbeats are stored in time. */
  private steadySinceMs = Number.POSITIVE_INFINITY;

  constructor(options: HeartbeatsOptions) {
    this.o = options;
    this.lease = options.lease ?? new HolderLease();
  }

  /** Addresses of replicas that live, by name. */
  live(nowMs: number): Map<string, string> {
    const live = new Map([[this.o.replica, this.o.address]]);
    if (this.o.standalone) return live;
    for (const [name, peer] of this.peers) if (this.lives(peer, nowMs)) live.set(name, peer.address);
    return live;
  }

  protected lives(peer: Pick<Peer, 'seenAtMs'>, nowMs: number): boolean {
    // Of the time in which we heard nothing of anybody nothing follows.
    return nowMs - Math.max(peer.seenAtMs, this.steadySinceMs) < this.o.leaseMs;
  }

  /** False when another replica may have this one's shards by now. */
  mayLead(nowMs: number): boolean {
    return this.o.standalone || this.lease.valid(nowMs);
  }

  get leadsUntilMs(): number {
    return this.o.standalone ? Number.POSITIVE_INFINITY : this.lease.endMs;
  }

  // ---- the others

  /** @returns whether the two must not run beside each other, and this one is to go */
  see(name: string, value: PeerValue | undefined, nowMs: number): boolean {
    if (name === this.o.replica) return value !== undefined && this.isOvertaken(value);
    const known = this.peers.get(name);
    if (value === undefined) {
      this.peers.delete(name);
      if (known !== undefined) this.signs.delete(known.incarnation);
      return false;
    }
    this.peers.set(name, { ...value, seenAtMs: nowMs });
    // What the first look finds may be long dead; the second heartbeat shows life.
    return known !== undefined && this.isConflict(value);
  }

  // Two of one name take the same shards from each other. The later start is what was wanted: this one was stopped, or a second
  // one was started by mistake, and what it would serve is not its any more.
  protected isOvertaken({ incarnation }: PeerValue): boolean {
    return incarnation > this.o.incarnation;
  }

  // Who came later goes.
  protected isConflict(peer: PeerValue): boolean {
    return (peer.standalone || this.o.standalone) && peer.incarnation < this.o.incarnation;
  }

  /** A replica was seen to change a key just now. */
  sign({ incarnation }: ShardValue, nowMs: number): void {
    this.signs.set(incarnation, nowMs);
  }

  /** It was seen to take a shard, and has not been heard of otherwise. */
  isStarting({ replica, incarnation, to }: ShardValue, nowMs: number): boolean {
    if (to !== undefined || this.peers.get(replica)?.incarnation === incarnation) return false;
    const seenAtMs = this.signs.get(incarnation);
    return seenAtMs !== undefined && nowMs - seenAtMs < this.o.leaseMs;
  }

  /** Forgets signs that say nothing any more. */
  tick(nowMs: number): void {
    for (const [incarnation, seenAtMs] of this.signs)
      if (nowMs - seenAtMs >= this.o.leaseMs) this.signs.delete(incarnation);
  }

  // ---- our own

  /** A heartbeat is sent; one at a time. @returns what it says, or undefined while another one is under way */
  send(beat: number, nowMs: number): PeerValue | undefined {
    if (this.underWay !== undefined) return undefined;
    this.underWay = { beat, sentMs: nowMs };
    const { address, incarnation, standalone } = this.o;
    return { address, incarnation, standalone };
  }

  /** What became of a heartbeat. @returns when it was sent, where it is the one that is under way */
  answered(beat: number): number | undefined {
    if (this.underWay?.beat !== beat) return undefined;
    const { sentMs } = this.underWay;
    this.underWay = undefined;
    return sentMs;
  }

  /** One that was sent at `sentMs` is stored. @returns true after a time in which none was */
  kept(sentMs: number, nowMs: number): boolean {
    this.lease.begin(this.o.leaseMs, sentMs);
    const late = nowMs - sentMs > renewEveryMs(this.o.leaseMs, this.o.renewals);
    if (late || !Number.isFinite(this.steadySinceMs)) this.steadySinceMs = nowMs;
    const wasAway = this.away;
    this.away = false;
    return wasAway;
  }

  /** One is not stored. @returns true for the first in a row */
  lost(): boolean {
    const isFirst = !this.away;
    this.away = true;
    this.steadySinceMs = Number.POSITIVE_INFINITY;
    return isFirst;
  }
}
