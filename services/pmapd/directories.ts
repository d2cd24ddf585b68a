// All replicas of the directory as one: which of them leads which shard, and what may be used of each shard right now.
//
// A shard's permissions may be used while the lease of its leader's replica lasts. A leader that gives a shard up leaves
// us what was left of its lease then: until the next leader speaks, or until that is over.
import { fromBinary } from '@bufbuild/protobuf';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import { guardMs } from '@odonata/coherency/lease.ts';
import { homeShardOf, shardOf } from '@odonata/coherency/shard.ts';
import { runFromWire } from '@odonata/coherency/wire.ts';
import { InvalidateSchema, type ShardLed } from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { DirectoryLink, type DirectoryLinkOptions, type HolderEventInit } from './directory-link.ts';

const POLL_MS = 2;

export interface DirectoriesOptions
  extends Pick<
    DirectoryLinkOptions,
    'node' | 'incarnation' | 'shards' | 'transferAddress' | 'log' | 'onOther'
  > {
  /** An event of a shard's leader that is in order and may be applied. */
  onEvent(event: Extract<HolderEvent, { run: unknown }>): void;
  /** A shard has a leader: a new one, or the same over a new stream. `voided`: whatever was held of it is not any more. */
  onLed(shard: number, how: { sameLeader: boolean; voided: boolean }): void;
  /** A shard may not be used until `onResume` or `onLed`. */
  onSuspend(shard: number): void;
  /** A shard may be used again; nothing of it was lost. */
  onResume(shard: number): void;
  /** The leaders of these shards heard everything that was sent before a time. */
  onConfirmed(shards: readonly number[], sentMs: number): void;
  /** What a replica must hear on each new stream. */
  onWelcome(send: (event: HolderEventInit) => void): void;
  /** Until when what is mapped may be used at the latest, in monotonic milliseconds; undefined: nothing may. */
  onDeadline(deadlineMs: number | undefined): void;
}

/** A life of this holder under a leader of a shard. */
export interface ShardLife {
  epoch: bigint;
  life: bigint;
}

/** Leaders that may fail, one after another, before they have heard all reports. */
const LIVES_MAX = 8;

/** What was known of a shard's leader when another pmap manager of this node stopped, or of this one now. */
export interface LedShard {
  epoch: bigint;
  identity: string;
  /** Under the last leaders, since what is held now is held without a break; the newest last. */
  lives: readonly ShardLife[];
  /** Empty: the leader has given it up. */
  address: string;
  untilMs: number;
  lastEndMs: number;
  suspended: boolean;
}

interface Shard {
  link: DirectoryLink | undefined;
  epoch: bigint;
  /** Of the link, when it last spoke for the shard. */
  identity: string;
  lives: readonly ShardLife[];
  /** Without a link: until when the last leader's permissions may be used, and are used at the very latest. */
  untilMs: number;
  lastEndMs: number;
  suspended: boolean;
  /** Of the replica that led it for another pmap manager of this node, until one speaks to this one. */
  before: string;
}

const NEVER_LED: LedShard = {
  ...{ epoch: 0n, identity: '', lives: [], address: '' },
  ...{ untilMs: 0, lastEndMs: 0, suspended: true },
};

export class Directories {
  private readonly o: DirectoriesOptions;
  private readonly shards: Shard[];
  private readonly links = new Map<string, DirectoryLink>();
  private frozen: NodeJS.Timeout | undefined;

  /** @param inherited of another pmap manager of this node; its permissions may be used as long as they last */
  constructor(options: DirectoriesOptions, inherited?: readonly LedShard[]) {
    this.o = options;
    this.shards = Array.from({ length: options.shards }, (_, number) => {
      const { address: before, ...about } = inherited?.[number] ?? NEVER_LED;
      return { ...about, before, link: undefined };
    });
    this.watchFrozen();
  }

  /** By shard: what the leaders permit as of now. */
  snapshot(): LedShard[] {
    return this.shards.map((shard) => {
      const { link, epoch, identity, lives, untilMs, lastEndMs, suspended } = shard;
      const address = link?.address ?? shard.before;
      const times =
        link === undefined ? { untilMs, lastEndMs } : { untilMs: link.leaseEndMs, lastEndMs: link.lastEndMs };
      return { epoch, identity, lives, address, suspended, ...times };
    });
  }

  /** Asks all replicas to hold the lease for so long, and waits until each has answered, for so long at most. */
  async hold(holdMs: number, waitMs: number): Promise<void> {
    const startMs = monotonicMs();
    const wantedMs = startMs + holdMs - guardMs(holdMs);
    for (const link of this.links.values()) link.hold(holdMs);
    const waits = () => [...this.links.values()].some((link) => link.connected && link.leaseEndMs < wantedMs);
    while (waits() && monotonicMs() < startMs + waitMs) await delay(POLL_MS);
  }

  /** Until when all shards may be used; minus infinity: some may not. */
  get usableUntilMs(): number {
    const ends = this.shards.map((shard) => {
      if (!this.isUsable(shard)) return Number.NEGATIVE_INFINITY;
      return shard.link?.leaseEndMs ?? shard.untilMs;
    });
    return Math.min(...ends);
  }

  /** Keeps a line to each of these replicas, and to no others. */
  connectTo(addresses: Iterable<string>): void {
    const wanted = new Set(addresses);
    for (const [address, link] of this.links) {
      if (wanted.has(address)) continue;
      this.links.delete(address);
      link.close();
      this.shards.forEach((shard, number) => {
        if (shard.link === link) this.left(link, number);
      });
    }
    for (const address of wanted)
      if (!this.links.has(address)) this.links.set(address, this.connect(address));
  }

  private connect(address: string): DirectoryLink {
    return new DirectoryLink({
      ...this.o,
      address,
      onEvent: (link, event, epoch) => this.receive(link, event, epoch),
      onWelcome: (link) => this.o.onWelcome((event) => link.send(event)),
      onLed: (link, led) => this.led(link, led),
      onLeft: (link, shard) => this.left(link, shard),
      onRenewed: (link, sentMs) => {
        const shards = this.shards.flatMap((shard, number) => (shard.link === link ? [number] : []));
        this.o.onConfirmed(shards, sentMs);
      },
      onLease: (link) => this.leaseChanged(link),
    });
  }

  /** True while every shard has a leader that this node is connected to. */
  get connected(): boolean {
    return this.shards.every(({ link }) => link?.connected === true);
  }

  /** True while every shard has a leader whose permissions this node may use. */
  get allUsable(): boolean {
    return this.shards.every((shard) => shard.link !== undefined && this.isUsable(shard));
  }

  /** A replica that is connected, for calls that any of them answers. */
  get anyAddress(): string | undefined {
    for (const [address, link] of this.links) if (link.connected) return address;
    return this.links.keys().next().value;
  }

  /** True while what is held of a page may be used. */
  usable(dataspace: bigint, page: number): boolean {
    return this.isUsable(this.shards[shardOf(dataspace, page, this.o.shards)]!);
  }

  /** True while the leader of a dataspace's locks can be trusted. */
  homeUsable(dataspace: bigint): boolean {
    return this.isUsable(this.shards[homeShardOf(dataspace, this.o.shards)]!);
  }

  /** True where a message of a shard's leader at an epoch is in order. */
  accepts(dataspace: bigint, page: number, epoch: bigint): boolean {
    const shard = this.shards[shardOf(dataspace, page, this.o.shards)]!;
    return shard.epoch === epoch && this.isUsable(shard);
  }

  private isUsable({ link, untilMs, suspended }: Shard): boolean {
    if (suspended) return false;
    return link !== undefined ? link.isLeased : monotonicMs() < untilMs;
  }

  /** The leader's line and epoch for a page. */
  of(dataspace: bigint, page: number): { link: DirectoryLink | undefined; epoch: bigint } {
    return this.shards[shardOf(dataspace, page, this.o.shards)]!;
  }

  /** What a broadcast takes from this node; undefined: nothing. */
  overhear(bytes: Uint8Array): Extract<HolderEvent, { type: 'invalidate' }> | undefined {
    const message = fromBinary(InvalidateSchema, bytes);
    const { run: wireRun, version, epoch, exceptHolder, sourceHolder, anew } = message;
    const run = runFromWire(wireRun);
    const holder = this.of(run.dataspace, run.firstPage).link?.holder;
    if (exceptHolder === holder || sourceHolder === holder) return undefined;
    if (!this.accepts(run.dataspace, run.firstPage, epoch)) return undefined;
    return { type: 'invalidate', run, version: Number(version), anew };
  }

  /** Sends what the holder's machine of a shard has to say. */
  perform(action: Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>, reported?: number): void {
    if (action.type === 'report') {
      const { link, epoch } = this.shards[reported!]!;
      link?.sendReport(action, reported!, epoch);
      return;
    }
    const { dataspace, firstPage } = action.run;
    const { link, epoch } = this.of(dataspace, firstPage);
    if (action.type === 'acquire') link?.sendAcquire(action, epoch);
    else link?.sendAck(action, epoch);
  }

  /** Sends to the leader of a shard. */
  sendTo(shard: number, event: HolderEventInit): void {
    this.shards[shard]!.link?.send(event);
  }

  sendAll(event: HolderEventInit): void {
    for (const link of this.links.values()) link.send(event);
  }

  /** Asks the leader of a shard to let this node go. @returns false: there is nobody to ask */
  retire(shard: number): boolean {
    const { link, epoch } = this.shards[shard]!;
    if (link?.connected !== true) return false;
    link.send({ case: 'retire', value: { shard, epoch } });
    return true;
  }

  isEpochOf(shard: number, epoch: bigint): boolean {
    return this.shards[shard]?.epoch === epoch;
  }

  sayGoodbye(): void {
    for (const link of this.links.values()) link.sayGoodbye();
  }

  /** True while some replica has this node as a holder. */
  get anyConnected(): boolean {
    return [...this.links.values()].some(({ connected }) => connected);
  }

  private receive(link: DirectoryLink, event: HolderEvent, epoch: bigint | undefined): void {
    if (!('run' in event)) return;
    const shard = this.shards[shardOf(event.run.dataspace, event.run.firstPage, this.o.shards)]!;
    // Of a leader that is not one any more; or late: what is dropped is asked for anew when the lease is back.
    if (shard.link !== link || !this.isUsable(shard)) return;
    if (epoch === undefined || epoch === shard.epoch) this.o.onEvent(event);
  }

  private led(link: DirectoryLink, led: ShardLed): void {
    const { shard: number, epoch, report } = led;
    const shard = this.shards[number];
    if (shard === undefined || epoch < shard.epoch) return;
    const wasLed = shard.identity !== '';
    // One that asks for a report has lost the last one, or a part of it.
    const sameLink = shard.link === link || (shard.link === undefined && shard.before === link.address);
    const sameLeader = !report && shard.epoch === epoch && sameLink && shard.identity === link.identity;
    const voided = wasLed && !sameLeader && !(report && isLifeOf(shard, led));
    const now = { epoch, life: link.life };
    const lives = voided ? [now] : [...shard.lives.filter((life) => life.epoch !== epoch), now];
    // A replica that was silent may lead again before it answers a renewal. What the last leader permitted is over then.
    if (!link.isLeased) this.suspend(shard, number);
    const suspended = !link.isLeased;
    const { identity } = link;
    Object.assign(shard, { link, epoch, identity, lives: lives.slice(-LIVES_MAX), suspended, before: '' });
    this.o.onLed(number, { sameLeader, voided });
    this.tellDeadline();
  }

  private left(link: DirectoryLink, number: number): void {
    const shard = this.shards[number];
    if (shard === undefined || shard.link !== link) return;
    shard.link = undefined;
    shard.untilMs = link.leaseEndMs;
    shard.lastEndMs = link.lastEndMs;
    this.watchFrozen();
  }

  // Shards that nobody leads are suspended when what the last leader left is over.
  private watchFrozen(): void {
    clearTimeout(this.frozen);
    let nextMs = Number.POSITIVE_INFINITY;
    this.shards.forEach((shard, number) => {
      if (shard.link !== undefined || shard.suspended) return;
      if (this.isUsable(shard)) nextMs = Math.min(nextMs, shard.untilMs);
      else this.suspend(shard, number);
    });
    this.tellDeadline();
    if (Number.isFinite(nextMs))
      this.frozen = setTimeout(() => this.watchFrozen(), Math.max(1, nextMs - monotonicMs() + 1));
  }

  private leaseChanged(link: DirectoryLink): void {
    this.shards.forEach((shard, number) => {
      if (shard.link !== link) return;
      if (!link.isLeased) this.suspend(shard, number);
      // Over a new stream the leader speaks first.
      else if (shard.suspended && shard.identity === link.identity) {
        shard.suspended = false;
        this.o.onResume(number);
      }
    });
    this.tellDeadline();
  }

  private suspend(shard: Shard, number: number): void {
    if (shard.suspended) return;
    shard.suspended = true;
    this.o.onSuspend(number);
  }

  /** Tells until when what is mapped may be used. */
  tellDeadline(): void {
    let deadlineMs: number | undefined;
    for (const shard of this.shards) {
      if (!this.isUsable(shard)) continue;
      deadlineMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, shard.link?.lastEndMs ?? shard.lastEndMs);
    }
    this.o.onDeadline(deadlineMs);
  }

  close(): void {
    clearTimeout(this.frozen);
    for (const link of this.links.values()) link.close();
  }
}

// Whoever leads believes what is noted. Where that is a life that this holder did not have under that leader, it was
// declared dead and did not hear so: others may have what it has.
function isLifeOf({ lives }: Pick<Shard, 'lives'>, { life, lastEpoch }: ShardLed): boolean {
  return lives.some((had) => had.life === life && (lastEpoch === 0n || had.epoch === lastEpoch));
}
