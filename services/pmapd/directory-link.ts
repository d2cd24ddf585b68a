// The line to one replica of the directory: a stream, opened again for ever, and the lease that the replica gives;
// translates between the holder's machines and the wire.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import { guardMs, HolderLease, renewEveryMs } from '@odonata/coherency/lease.ts';
import type { HolderEventInit } from '@odonata/coherency/node/holder-wire.ts';
import { ackWire, modeWire, reasonWire, runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import {
  type DirectoryEvent,
  DirectoryService,
  HoldRequestSchema,
  type HoldResponse,
  type ShardLed,
  type Welcome,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';

export type { HolderEventInit };

type HoldRequestInit = MessageInitShape<typeof HoldRequestSchema>;

export interface DirectoryLinkOptions {
  /** Of the replica. */
  address: string;
  node: string;
  incarnation: bigint;
  shards: number;
  /** Where others deliver pages; known once the server listens. */
  transferAddress: string;
  log: Logger;
  /** What the replica says of pages. */
  onEvent(link: DirectoryLink, event: HolderEvent, epoch: bigint | undefined): void;
  /** Answers to lock, wait and wake, and removals. */
  onOther(event: DirectoryEvent['event']): void;
  /** First on each new stream, before any shard is led. */
  onWelcome(link: DirectoryLink): void;
  onLed(link: DirectoryLink, led: ShardLed): void;
  onLeft(link: DirectoryLink, shard: number): void;
  /** The replica heard a renewal that was sent at this time, so all that was sent before it. */
  onRenewed(link: DirectoryLink, sentMs: number): void;
  /** The lease of this replica was renewed, or ended. */
  onLease(link: DirectoryLink): void;
}

const HELD_RUNS_PER_REPORT = 5_000;
/** Before the first welcome tells how long a lease is. */
const FIRST_RENEW_MS = 500;

export class DirectoryLink {
  private readonly o: DirectoryLinkOptions;
  private readonly channel;
  private readonly backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  private readonly batch: EventBatch<{ event: HolderEventInit }>;
  private readonly addresses = new Map<number, string>();
  private readonly lease = new HolderLease();
  private stream: ClientDuplexStream<HoldRequestInit, HoldResponse> | undefined;
  private welcome: Pick<Welcome, 'epoch' | 'holder' | 'life'> | undefined;
  private joined = false;
  private leaseMs = 0;
  private leased = false;
  private closed = false;
  private leaving = false;
  private retry: NodeJS.Timeout | undefined;
  private renewal: NodeJS.Timeout | undefined;
  private leaseEnd: NodeJS.Timeout | undefined;

  constructor(options: DirectoryLinkOptions) {
    this.o = options;
    this.channel = openChannel(options.address);
    this.batch = new EventBatch((events) => this.stream?.write(create(HoldRequestSchema, { events })));
    this.renewEvery(FIRST_RENEW_MS);
    this.connect();
  }

  get address(): string {
    return this.o.address;
  }

  /** The replica's start and our number there: a shard's leader is the same one as long as they and the epoch stay. */
  get identity(): string {
    return `${this.welcome?.epoch ?? 0n} ${this.welcome?.holder ?? 0}`;
  }

  get holder(): number {
    return this.welcome?.holder ?? 0;
  }

  /** As the replica notes us: after our death in its eyes it gives us another one. */
  get life(): bigint {
    return this.welcome?.life ?? 0n;
  }

  get connected(): boolean {
    return this.joined;
  }

  /** Until when this replica's permissions may be used, in monotonic milliseconds. */
  get leaseEndMs(): number {
    return this.lease.endMs;
  }

  /**
   * When the virtual kernels end what uses shared memory, should we not have taken it away until then: after our own
   * end, which they must hear of, and well before the directory gives anything to others.
   */
  get lastEndMs(): number {
    return this.lease.endMs + Math.floor(guardMs(this.leaseMs) / 2);
  }

  /** True while this replica's permissions may be used. */
  get isLeased(): boolean {
    return this.leased && this.lease.valid(monotonicMs());
  }

  addressOf(holder: number): string | undefined {
    return this.addresses.get(holder);
  }

  /** Sends, or drops while there is no stream: whoever leads next is told again. */
  send(event: HolderEventInit): void {
    if (this.joined) this.batch.push({ event });
  }

  sendAcquire(action: Extract<HolderAction, { type: 'acquire' }>, lostEpoch: bigint): void {
    const neededPages = action.needed ? action.run.pageCount : 0;
    const { storedVersion: version } = action;
    const storedVersion = version === undefined ? undefined : BigInt(version);
    const lost = version === undefined ? {} : { lostVersion: BigInt(action.lostVersion ?? 0), lostEpoch };
    const value = { run: action.run, mode: modeWire.to(action.mode), neededPages, storedVersion, ...lost };
    this.send({ case: 'acquire', value });
  }

  sendAck(action: Extract<HolderAction, { type: 'ack' }>, epoch: bigint): void {
    const value = { run: action.run, version: BigInt(action.version), kind: ackWire.to(action.kind), epoch };
    this.send({ case: 'ack', value });
  }

  sendReport(action: Extract<HolderAction, { type: 'report' }>, shard: number, epoch: bigint): void {
    const { voided, reborn } = action;
    const held = action.held.map((h) => ({
      run: h.run,
      state: stateWire.to(h.state),
      version: BigInt(h.version),
      kept: h.kept ?? false,
      keptFor: h.keptFor ?? 0n,
    }));
    for (let at = 0; at <= held.length; at += HELD_RUNS_PER_REPORT) {
      const last = at + HELD_RUNS_PER_REPORT > held.length;
      const part = held.slice(at, at + HELD_RUNS_PER_REPORT);
      this.send({
        case: 'report',
        value: { held: part, last, shard, epoch, reborn, voided: at === 0 ? voided : [] },
      });
    }
  }

  private connect(): void {
    const stream = openStream(DirectoryService.method.hold, this.channel);
    this.stream = stream;
    stream.on('data', (response: HoldResponse) => {
      if (this.stream === stream) for (const event of response.events) this.receive(event);
    });
    stream.on('error', (error) => this.lost(stream, error.message));
    stream.on('end', () => this.lost(stream, 'the directory ended the stream'));
    const { node, incarnation, transferAddress } = this.o;
    const value = { node, incarnation, transferAddress, sentMs: BigInt(monotonicMs()) };
    stream.write(create(HoldRequestSchema, { events: [{ event: { case: 'hello', value } }] }));
  }

  private lost(stream: ClientDuplexStream<HoldRequestInit, HoldResponse>, reason: string): void {
    if (this.stream !== stream || this.closed) return;
    stream.cancel();
    this.stream = undefined;
    this.batch.clear();
    if (this.joined && !this.leaving)
      this.o.log.warn({ reason, directory: this.address }, 'lost the directory; trying again');
    this.joined = false;
    if (this.leaving) return;
    this.retry = setTimeout(() => this.connect(), this.backoff.nextDelayMs());
  }

  private renewEvery(everyMs: number): void {
    clearInterval(this.renewal);
    this.renewal = setInterval(
      () => this.send({ case: 'renew', value: { sentMs: BigInt(monotonicMs()) } }),
      everyMs,
    );
  }

  // The clock ends a lease, and a timer tells of it a little later, or much later where this process was stopped. What
  // came in between was dropped, and who looked in between waits. So no lease begins again before its end is told: only
  // what was told to be over resumes, asks anew, and wakes who waits.
  private noticeEnd(): void {
    if (this.leased && !this.lease.valid(monotonicMs())) this.watchLease();
  }

  // The stream may still be there: then the directory, or the way to it, is slow, and permissions come back with it.
  private watchLease(): void {
    clearTimeout(this.leaseEnd);
    const leased = this.lease.valid(monotonicMs());
    if (leased)
      this.leaseEnd = setTimeout(() => this.watchLease(), Math.max(1, this.lease.endMs - monotonicMs() + 1));
    if (this.leased && !leased)
      this.o.log.warn({ directory: this.address }, 'the lease ended: nothing of this directory is used');
    this.leased = leased;
    this.o.onLease(this);
  }

  private receive({ event }: DirectoryEvent): void {
    switch (event.case) {
      case 'welcome':
        this.join(event.value);
        return;
      case 'led':
        this.o.onLed(this, event.value);
        return;
      case 'left':
        this.o.onLeft(this, event.value.shard);
        return;
      case 'renewed':
        this.noticeEnd();
        this.lease.renewed(Number(event.value.sentMs), event.value.heldMs);
        this.o.onRenewed(this, Number(event.value.sentMs));
        this.watchLease();
        return;
      case 'grant': {
        const { run, state, version, zero, restore, stored, epoch } = event.value;
        const about = { state: stateWire.from(state), version: Number(version), zero, restore, stored };
        this.o.onEvent(this, { type: 'grant', run: runFromWire(run), ...about }, epoch);
        return;
      }
      case 'recall': {
        const { run, version, receiver, epoch } = event.value;
        this.addresses.set(receiver, event.value.receiverAddress);
        const receiverState = stateWire.from(event.value.receiverState);
        const about = {
          mode: modeWire.from(event.value.mode),
          receiverIdentity: event.value.receiverIncarnation,
          version: Number(version),
          receiver,
          receiverState,
        };
        this.o.onEvent(this, { type: 'recall', run: runFromWire(run), ...about }, epoch);
        return;
      }
      case 'invalidate': {
        const { run, version, epoch, anew } = event.value;
        const about = { version: Number(version), anew };
        this.o.onEvent(this, { type: 'invalidate', run: runFromWire(run), ...about }, epoch);
        return;
      }
      case 'refuse': {
        const { run, mode, reason, version } = event.value;
        const about = {
          mode: modeWire.from(mode),
          reason: reasonWire.from(reason),
          version: Number(version),
        };
        this.o.onEvent(this, { type: 'refuse', run: runFromWire(run), ...about }, undefined);
        return;
      }
      case 'settled': {
        const { run, version } = event.value;
        this.o.onEvent(this, { type: 'settled', run: runFromWire(run), version: Number(version) }, undefined);
        return;
      }
      default:
        this.o.onOther(event);
    }
  }

  private join({ epoch, holder, life, leaseMs, sentMs, shards, replica }: Welcome): void {
    if (shards !== this.o.shards)
      throw new Error(
        `the directory has ${shards} shards, this node was started with --shards ${this.o.shards}`,
      );
    this.noticeEnd();
    const before = this.identity;
    this.welcome = { epoch, holder, life };
    this.joined = true;
    this.backoff.reset();
    this.addresses.clear();
    this.renewEvery(renewEveryMs(leaseMs));
    this.leaseMs = leaseMs;
    this.lease.begin(leaseMs, Number(sentMs));
    this.o.log.info(
      { replica, directory: this.address, holder },
      before === this.identity ? 'back at the directory' : 'joined the directory',
    );
    this.o.onWelcome(this);
    this.watchLease();
  }

  /** Asks the replica to hold the lease for so long while another process takes the place of this one. */
  hold(holdMs: number): void {
    this.send({ case: 'renew', value: { sentMs: BigInt(monotonicMs()), holdMs } });
  }

  /** Says goodbye, and does not come back. */
  sayGoodbye(): void {
    this.send({ case: 'goodbye', value: {} });
    this.leaving = true;
  }

  close(): void {
    this.closed = true;
    clearInterval(this.renewal);
    clearTimeout(this.retry);
    clearTimeout(this.leaseEnd);
    this.stream?.cancel();
    this.channel.close();
  }
}
