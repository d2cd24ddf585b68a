// A node's line to one replica of the directory: the stream of the moment, who the node is there, and the lease.
import type { Welcome } from '@odonata/proto/coherency/v1/coherency';
import { guardMs, type HolderLease, renewalsOf, renewEveryMs } from '../../lease.ts';

/** Receivers of pages whose addresses are remembered; a recall names its own. */
const RECEIVERS_MAX = 10_000;

export class ReplicaLine {
  /** Its address. */
  readonly replica: string;
  stream: number | undefined;
  /** The replica has welcomed this node on that stream. */
  joined = false;
  /** Of streams, since the last welcome. */
  failures = 0;
  /** No stream takes the place of one that breaks. */
  leaving = false;
  nextRenewMs = Number.POSITIVE_INFINITY;
  /** Shards that it leads, as it said on this stream. */
  shards: readonly number[] = [];
  private readonly lease: HolderLease;
  private readonly renewals: number | undefined;
  private welcome: Pick<Welcome, 'epoch' | 'holder' | 'life' | 'leaseMs'> | undefined;
  private readonly addresses = new Map<number, string>();
  /** There is a lease, and nobody was told that it ended. */
  private leased = false;

  /** @param renewals in a lease, where they are others than as ever */
  constructor(replica: string, lease: HolderLease, renewals?: number) {
    this.replica = replica;
    this.lease = lease;
    this.renewals = renewals;
  }

  /** The replica's start and our number there: a shard's leader is the same one as long as they and the epoch stay. */
  get identity(): string {
    return `${this.welcome?.epoch ?? 0n} ${this.welcome?.holder ?? 0}`;
  }

  /** Our number there. */
  get holder(): number {
    return this.welcome?.holder ?? 0;
  }

  /** As the replica notes us: after our death in its eyes it gives us another one. */
  get life(): bigint {
    return this.welcome?.life ?? 0n;
  }

  /** For how long it believes us; 0: it has not said so. */
  get leaseMs(): number {
    return this.welcome?.leaseMs ?? 0;
  }

  /** The next renewal is so far from now. */
  renewsNext(nowMs: number, mapsSomething: boolean): void {
    const everyMs = renewEveryMs(this.leaseMs, renewalsOf(mapsSomething, this.renewals));
    this.nextRenewMs = nowMs + everyMs;
  }

  /** Until when this replica's permissions may be used. */
  get endMs(): number {
    return this.lease.endMs;
  }

  /**
   * When the virtual kernels end what uses shared memory, should we not have taken it away until then: after our own
   * end, which they must hear of, and well before the directory gives anything to others.
   */
  get lastEndMs(): number {
    return this.lease.endMs + Math.floor(guardMs(this.welcome?.leaseMs ?? 0) / 2);
  }

  /** When the end of the lease is to be told; undefined: it is. */
  get untoldEndMs(): number | undefined {
    return this.leased ? this.lease.endMs : undefined;
  }

  /** True while this replica's permissions may be used. */
  isLeased(nowMs: number): boolean {
    return this.leased && this.lease.valid(nowMs);
  }

  /** @returns true where the lease was over before this, and is now told to be */
  tellEnd(nowMs: number): boolean {
    if (!this.leased || this.lease.valid(nowMs)) return false;
    this.leased = false;
    return true;
  }

  welcomed(welcome: Welcome, nowMs: number, mapsSomething: boolean): void {
    this.welcome = welcome;
    this.joined = true;
    this.failures = 0;
    this.addresses.clear();
    this.renewsNext(nowMs, mapsSomething);
    this.lease.begin(welcome.leaseMs, Number(welcome.sentMs));
    this.leased = this.lease.valid(nowMs);
  }

  renewed(sentMs: number, heldMs: number, nowMs: number): void {
    this.lease.renewed(sentMs, heldMs);
    this.leased = this.lease.valid(nowMs);
  }

  broke(): void {
    this.stream = undefined;
    this.joined = false;
    this.nextRenewMs = Number.POSITIVE_INFINITY;
  }

  addressOf(receiver: number): string | undefined {
    return this.addresses.get(receiver);
  }

  receives(receiver: number, address: string): void {
    this.addresses.set(receiver, address);
    if (this.addresses.size > RECEIVERS_MAX) this.addresses.delete(this.addresses.keys().next().value!);
  }
}
