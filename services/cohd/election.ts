// Which replica leads which shard: keys of a JetStream bucket, changed by compare-and-set only. The revision of a
// shard's key is its epoch.
//
//   replicas/<replica>   {address, incarnation}      put again with each heartbeat
//   shards/<shard>       {replica, incarnation, to}  `to`: given up, for that replica to take
//
// A replica lives while the others see its heartbeats. One that they have not seen for a lease is dead, and its shards
// are taken; by then it has stopped leading by itself, since it trusts its own lease for less (libs/coherency/lease.ts).
// A replica that runs alone (`--standalone`) has no rival, so it leads on when JetStream is away.
import type { Bus } from '@odonata/bus/bus.ts';
import { keyOf, nameOf, storedJson } from '@odonata/bus/stored.ts';
import { HolderLease, renewEveryMs } from '@odonata/coherency/lease.ts';
import { planShards } from '@odonata/coherency/shard-plan.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { KV, KvEntry } from 'nats';
import { z } from 'zod';

/** Shards that are on their way from one leader to another at a time: the others are served meanwhile. */
const MOVES_MAX = 8;

const replicaSchema = z.object({
  address: z.string(),
  incarnation: z.coerce.bigint(),
  standalone: z.boolean(),
});
const leaderSchema = z.object({ replica: z.string(), epoch: z.coerce.bigint() });
const shardSchema = z.object({
  replica: z.string(),
  incarnation: z.coerce.bigint(),
  to: z.string().optional(),
  /** Where it is not the revision of this entry any more. */
  epoch: z.coerce.bigint().optional(),
  /** The last leader that had all reports: until the present one has them, the notes of that one count. */
  before: leaderSchema.optional(),
});
type ShardValue = z.infer<typeof shardSchema>;

/** A replica as the leader of a shard at an epoch. */
export type Leadership = z.infer<typeof leaderSchema>;

interface Peer extends z.infer<typeof replicaSchema> {
  seenAtMs: number;
}

export interface ElectionOptions {
  bus: Bus;
  replicas: KV;
  shardKeys: KV;
  replica: string;
  incarnation: bigint;
  /** Where holders reach this replica. */
  address: string;
  standalone: boolean;
  shards: number;
  leaseMs: number;
  log: Logger;
  /** `predecessor`: the last one that served the shard, if any. */
  onLead(shard: number, epoch: bigint, predecessor: Leadership | undefined): void;
  onLeave(shard: number): void;
  /** Before shards are led that others may have led. */
  beforeLeading(): Promise<void>;
  /** This replica must not run beside another one. */
  onConflict(reason: string): void;
}

export class Election {
  private readonly o: ElectionOptions;
  private readonly lease = new HolderLease();
  private readonly peers = new Map<string, Peer>();
  private readonly shards: ({ value: ShardValue; revision: number } | undefined)[];
  /** With their epochs. */
  private readonly led = new Map<number, bigint>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly stops: (() => void)[] = [];
  private beating = false;
  private planning = false;
  private closed = false;
  private away = false;
  /** Since then our own heartbeats are stored in time. */
  private steadySinceMs = Number.POSITIVE_INFINITY;

  constructor(options: ElectionOptions) {
    this.o = options;
    this.shards = Array.from({ length: options.shards }, () => undefined);
  }

  /** Addresses of replicas that live, by name. */
  get live(): Map<string, string> {
    const live = new Map([[this.o.replica, this.o.address]]);
    if (this.o.standalone) return live;
    const now = monotonicMs();
    for (const [name, peer] of this.peers) if (this.lives(peer, now)) live.set(name, peer.address);
    return live;
  }

  /** False when another replica may have this one's shards by now. */
  mayLead(): boolean {
    return this.o.standalone || this.lease.valid(monotonicMs());
  }

  /** Learns who is there, and takes part. */
  async start(): Promise<void> {
    await this.beat();
    const { bus, replicas, shardKeys } = this.o;
    this.stops.push(await bus.followBucket(replicas, (entry) => this.seePeer(entry)));
    this.stops.push(await bus.followBucket(shardKeys, (entry) => this.seeShard(entry)));
    await this.plan();
    const everyMs = renewEveryMs(this.o.leaseMs);
    this.timers.push(setInterval(() => void this.beat(), everyMs));
    this.timers.push(setInterval(() => void this.plan(), Math.max(20, everyMs / 4)));
  }

  private seePeer(entry: KvEntry): void {
    const name = nameOf(entry.key);
    if (name === this.o.replica) return;
    if (entry.operation !== 'PUT') {
      this.peers.delete(name);
      return;
    }
    const known = this.peers.has(name);
    const peer = { ...replicaSchema.parse(entry.json()), seenAtMs: monotonicMs() };
    this.peers.set(name, peer);
    // What the first look finds may be long dead; the second heartbeat shows life. Who came later goes.
    if (known && (peer.standalone || this.o.standalone) && peer.incarnation < this.o.incarnation) {
      const which = peer.standalone ? `${name} at ${peer.address}` : 'this one';
      this.o.onConflict(
        `replica ${name} at ${peer.address} of this cluster's directory runs too, and ${which} was started with --standalone; start all without`,
      );
    }
  }

  private seeShard(entry: KvEntry): void {
    const shard = Number(entry.key);
    if (!(shard >= 0 && shard < this.shards.length)) return;
    const known = this.shards[shard];
    if (known !== undefined && known.revision >= entry.revision) return;
    this.shards[shard] =
      entry.operation === 'PUT'
        ? { value: shardSchema.parse(entry.json()), revision: entry.revision }
        : undefined;
    // Somebody else took it: our lease had ended in their eyes.
    if (this.led.has(shard) && !this.isMine(shard)) this.leave(shard);
  }

  private isMine(shard: number): boolean {
    const value = this.shards[shard]?.value;
    const { replica, incarnation } = this.o;
    return value?.replica === replica && value.incarnation === incarnation && value.to === undefined;
  }

  private lives(peer: Peer, now: number): boolean {
    // Of the time in which we heard nothing of anybody nothing follows.
    return now - Math.max(peer.seenAtMs, this.steadySinceMs) < this.o.leaseMs;
  }

  private async beat(): Promise<void> {
    if (this.beating || this.closed) return;
    this.beating = true;
    const sentMs = monotonicMs();
    const { address, incarnation, standalone, leaseMs, log } = this.o;
    try {
      const about = storedJson({ address, incarnation, standalone });
      await this.o.replicas.put(keyOf(this.o.replica), about);
      // What was led before a silence may be led by others now.
      if (!this.mayLead()) this.leaveAll();
      this.lease.begin(leaseMs, sentMs);
      const storedMs = monotonicMs();
      const late = storedMs - sentMs > renewEveryMs(leaseMs);
      if (late || !Number.isFinite(this.steadySinceMs)) this.steadySinceMs = storedMs;
      if (this.away) log.info('JetStream answers again');
      this.away = false;
    } catch (error) {
      if (!this.away) {
        const reason = this.o.bus.explain(error, 'the election of directories').details;
        log.warn({ err: error, reason }, 'could not tell JetStream that this replica lives; trying again');
      }
      this.away = true;
      this.steadySinceMs = Number.POSITIVE_INFINITY;
    } finally {
      this.beating = false;
    }
  }

  private async plan(): Promise<void> {
    if (!this.mayLead()) {
      this.leaveAll();
      return;
    }
    if (this.planning || this.closed) return;
    this.planning = true;
    try {
      await this.carryOut(this.planned());
    } catch (error) {
      // Away, or somebody else was first: the next look tells.
      this.o.log.debug({ err: error }, 'could not change the leader of a shard');
    } finally {
      this.planning = false;
    }
  }

  private planned(): string[] {
    const live = [...this.live.keys()];
    const leaders = this.shards.map((shard) => {
      if (shard === undefined) return undefined;
      const { replica, to } = shard.value;
      const leader = to ?? replica;
      return live.includes(leader) ? leader : undefined;
    });
    return planShards(leaders, live);
  }

  private async carryOut(plan: string[]): Promise<void> {
    const { replica } = this.o;
    const mine = (to: string, shard: number): boolean =>
      !this.led.has(shard) && (this.isAssigned(shard) || (to === replica && this.mayTake(shard)));
    const take = plan.flatMap((to, shard) => (mine(to, shard) ? [shard] : []));
    if (take.length > 0) {
      await this.o.beforeLeading();
      await Promise.all(take.map((shard) => this.take(shard)));
    }
    const give = plan.flatMap((to, shard) => (to !== replica && this.led.has(shard) ? [{ shard, to }] : []));
    await Promise.all(give.slice(0, MOVES_MAX).map(({ shard, to }) => this.give(shard, to)));
  }

  // Nobody else may take it: so it is led here first, also when the plan has it go on to another one.
  private isAssigned(shard: number): boolean {
    const value = this.shards[shard]?.value;
    return value !== undefined && (value.to ?? value.replica) === this.o.replica;
  }

  // Not from one that lives, unless it gave the shard up.
  private mayTake(shard: number): boolean {
    const value = this.shards[shard]?.value;
    if (value === undefined || value.replica === this.o.replica) return true;
    return value.to === this.o.replica || !this.live.has(value.to ?? value.replica);
  }

  private async take(shard: number): Promise<void> {
    const { replica, incarnation, shardKeys } = this.o;
    const known = this.shards[shard];
    const before = known === undefined ? undefined : servedBy(known.value, known.revision);
    const value = { replica, incarnation, before };
    const revision =
      known === undefined
        ? await shardKeys.create(String(shard), storedJson(value))
        : await shardKeys.update(String(shard), storedJson(value), known.revision);
    if (this.closed || !this.mayLead()) return;
    this.shards[shard] = { value, revision };
    this.led.set(shard, BigInt(revision));
    this.o.onLead(shard, BigInt(revision), before);
  }

  /** All holders have reported to this leader of a shard. @throws Error where that is not kept, or another one leads */
  async noteRebuilt(shard: number): Promise<void> {
    const epoch = this.led.get(shard);
    if (epoch === undefined) throw new Error(`shard ${shard} is not led from here any more`);
    if (this.shards[shard]?.value.before !== undefined) await this.update(shard, { epoch });
  }

  private async give(shard: number, to: string): Promise<void> {
    const known = this.shards[shard];
    const epoch = this.led.get(shard);
    if (known === undefined || epoch === undefined) return;
    // It stops first: the other one may lead as soon as it sees the key.
    this.leave(shard);
    await this.update(shard, { to, epoch, before: known.value.before });
  }

  private async update(shard: number, about: Omit<ShardValue, 'replica' | 'incarnation'>): Promise<void> {
    const { replica, incarnation, shardKeys } = this.o;
    const value = { replica, incarnation, ...about };
    const revision = await shardKeys.update(String(shard), storedJson(value), this.shards[shard]!.revision);
    // What was stored later may have been seen already.
    if (revision > this.shards[shard]!.revision) this.shards[shard] = { value, revision };
  }

  /** Leads these no more, though nobody asked for them; whoever can goes on with what is kept. */
  stepDown(shards: readonly number[]): void {
    const [heir] = [...this.live.keys()].filter((name) => name !== this.o.replica);
    for (const shard of shards) {
      if (heir === undefined) this.leave(shard);
      else
        this.give(shard, heir).catch((error) =>
          this.o.log.debug({ err: error, shard }, 'could not give a shard up'),
        );
    }
  }

  private leave(shard: number): void {
    if (this.led.delete(shard)) this.o.onLeave(shard);
  }

  private leaveAll(): void {
    for (const shard of [...this.led.keys()]) this.leave(shard);
  }

  /** Gives all up, for the others to take at once. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const timer of this.timers) clearInterval(timer);
    for (const stop of this.stops) stop();
    this.leaveAll();
    await this.o.replicas.purge(keyOf(this.o.replica)).catch(() => {});
  }
}

// A leader that did not get to serve the shard gave nothing of it away.
function servedBy({ replica, epoch, before }: ShardValue, revision: number): Leadership {
  return before ?? { replica, epoch: epoch ?? BigInt(revision) };
}
