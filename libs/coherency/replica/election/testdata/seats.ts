// Several elections on one simulated store, over a network that delays and loses.
import { expect } from 'vitest';
import type { Membership } from '../../members.ts';
import { Election, type ElectionOptions } from '../election.ts';
import type { ElectionAction, ElectionEvent, PeerValue, ShardValue } from '../election-messages.ts';

export const LEASE_MS = 600;
export const SHARDS = 5;
const STEP_MS = 4;

export type Members = Map<string, Map<string, Membership>>;

/** What a store keeps, and who follows it. */
class Store {
  readonly keys = new Map<number, { value: ShardValue; revision: number }>();
  readonly peers = new Map<string, PeerValue>();
  readonly members: Members = new Map();
  private last = 0;

  swap(shard: number, value: ShardValue, revision: number | undefined): number | undefined {
    if (this.keys.get(shard)?.revision !== revision) return undefined;
    this.keys.set(shard, { value, revision: ++this.last });
    return this.last;
  }
}

export interface Seat {
  name: string;
  election: Election;
  /** Epochs of the shards that it was told to lead. */
  led: Map<number, bigint>;
  untilMs: number;
  /** It does nothing until then. */
  stoppedUntilMs: number;
}

interface Arrival {
  atMs: number;
  to: Seat;
  event: ElectionEvent;
}

/** Replicas that share a store, over a network that delays by `delayMs`, and loses answers where `isLost` says so. */
export class Seats {
  nowMs = 0;
  readonly store = new Store();
  readonly seats: Seat[] = [];
  readonly conflicts: string[] = [];
  readonly lastEpoch = new Map<number, bigint>();
  delayMs = (): number => 2;
  isLost = (): boolean => false;
  private arrivals: Arrival[] = [];

  add(name: string, about: Partial<ElectionOptions> = {}): Seat {
    const incarnation = BigInt(this.seats.length + 1);
    const options = { replica: name, incarnation, address: `${name}:1`, standalone: false, shards: SHARDS };
    const election = new Election({ ...options, leaseMs: LEASE_MS, ...about }, this.nowMs);
    const seat: Seat = { name, election, led: new Map(), untilMs: -1, stoppedUntilMs: 0 };
    this.seats.push(seat);
    this.perform(seat, election.tick(this.nowMs));
    for (const [peer, value] of this.store.peers) this.tell(seat, { type: 'peer', name: peer, value });
    for (const [shard, key] of this.store.keys) this.tell(seat, { type: 'shard', shard, ...key });
    this.tell(seat, { type: 'watched' });
    return seat;
  }

  step(seat: Seat, event: ElectionEvent): void {
    this.perform(seat, seat.election.step(event, this.nowMs));
  }

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += STEP_MS) {
      const due = this.arrivals.filter(
        ({ atMs, to }) => atMs <= this.nowMs && to.stoppedUntilMs <= this.nowMs,
      );
      this.arrivals = this.arrivals.filter((each) => !due.includes(each));
      for (const { to, event } of due) this.step(to, event);
      for (const seat of this.seats)
        if (seat.stoppedUntilMs <= this.nowMs && seat.election.nextMs <= this.nowMs)
          this.perform(seat, seat.election.tick(this.nowMs));
      this.check();
    }
  }

  /** Those that may speak for a shard now. */
  leadersOf(shard: number): string[] {
    return this.seats
      .filter(({ led, untilMs }) => led.has(shard) && this.nowMs < untilMs)
      .map(({ name }) => name);
  }

  counts(): number[] {
    return this.seats.map(({ led }) => led.size);
  }

  private check(): void {
    for (let shard = 0; shard < SHARDS; shard++)
      expect(this.leadersOf(shard).length, `leaders of ${shard} at ${this.nowMs}`).toBeLessThanOrEqual(1);
  }

  // Each bucket is followed in order; the first look at both is over before this replica takes part.
  private tell(to: Seat, event: ElectionEvent): void {
    let atMs = this.nowMs + this.delayMs();
    for (const before of this.arrivals)
      if (before.to === to && (before.event.type === event.type || event.type === 'watched'))
        atMs = Math.max(atMs, before.atMs);
    this.arrivals.push({ atMs, to, event });
  }

  private perform(seat: Seat, actions: readonly ElectionAction[]): void {
    for (const action of actions) {
      switch (action.type) {
        case 'beat': {
          const { beat, value } = action;
          if (this.isLost()) this.tell(seat, { type: 'beaten', beat, kept: false });
          else {
            this.tellPeers(seat, value);
            this.tell(seat, { type: 'beaten', beat, kept: true });
          }
          break;
        }
        case 'retreat':
          this.tellPeers(seat, undefined);
          break;
        case 'read': {
          const members = this.isLost() ? undefined : structuredClone(this.store.members);
          this.tell(seat, { type: 'members', read: action.read, members });
          break;
        }
        case 'swap': {
          const { swap, shard, value, revision: before } = action;
          const revision = this.store.swap(shard, value, before);
          if (revision !== undefined)
            for (const each of this.seats) this.tell(each, { type: 'shard', shard, revision, value });
          this.tell(seat, { type: 'swapped', swap, revision: this.isLost() ? undefined : revision });
          break;
        }
        case 'lead':
          expect(action.epoch).toBeGreaterThan(this.lastEpoch.get(action.shard) ?? 0n);
          this.lastEpoch.set(action.shard, action.epoch);
          seat.led.set(action.shard, action.epoch);
          this.step(seat, { type: 'rebuilt', shard: action.shard, note: 1 });
          break;
        case 'leave':
          seat.led.delete(action.shard);
          break;
        case 'mayLead':
          seat.untilMs = action.untilMs;
          break;
        case 'conflict':
          this.conflicts.push(`${seat.name}: ${action.reason}`);
          break;
        case 'noted':
        case 'log':
          break;
      }
    }
  }

  private tellPeers(from: Seat, value: PeerValue | undefined): void {
    if (value === undefined) this.store.peers.delete(from.name);
    else this.store.peers.set(from.name, value);
    for (const to of this.seats) if (to !== from) this.tell(to, { type: 'peer', name: from.name, value });
  }
}
