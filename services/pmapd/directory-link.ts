// The line to cohd: one stream, opened again for ever; translates between the holder's machine and
// the wire, and remembers what must be asked again after a break.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder-messages.ts';
import { ackWire, modeWire, reasonWire, runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import {
  type DirectoryEvent,
  DirectoryService,
  type HolderEventSchema,
  HoldRequestSchema,
  type HoldResponse,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { Logger } from '@odonata/rpc/log.ts';

export type HolderEventInit = MessageInitShape<typeof HolderEventSchema>['event'];
type HoldRequestInit = MessageInitShape<typeof HoldRequestSchema>;

export interface DirectoryLinkOptions {
  address: string;
  node: string;
  incarnation: bigint;
  /** Where others deliver pages; known once the server listens. */
  transferAddress: string;
  log: Logger;
  onEvent(event: HolderEvent): void;
  /** Answers to lock, wait and wake, and removals. */
  onOther(event: DirectoryEvent['event']): void;
  /** What must be told first on each new stream: interests, then locks held and asked for. */
  onJoin(send: (event: HolderEventInit) => void, newDirectory: boolean): void;
}

const RENEW_MS = 1_000;
const HELD_RUNS_PER_REPORT = 5_000;

export class DirectoryLink {
  private readonly o: DirectoryLinkOptions;
  private readonly channel;
  private readonly backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  private readonly batch: EventBatch<{ event: HolderEventInit }>;
  private readonly addresses = new Map<number, string>();
  private stream: ClientDuplexStream<HoldRequestInit, HoldResponse> | undefined;
  private welcome: { epoch: bigint; holder: number } | undefined;
  private joined = false;
  private closed = false;
  private retry: NodeJS.Timeout | undefined;
  private readonly renewal: NodeJS.Timeout;

  constructor(options: DirectoryLinkOptions) {
    this.o = options;
    this.channel = openChannel(options.address);
    this.batch = new EventBatch((events) => this.stream?.write(create(HoldRequestSchema, { events })));
    this.renewal = setInterval(
      () => this.send({ case: 'renew', value: { sentMs: process.hrtime.bigint() / 1_000_000n } }),
      RENEW_MS,
    );
    this.connect();
  }

  /** The epoch of the directory; 0 before the first welcome. */
  get epoch(): bigint {
    return this.welcome?.epoch ?? 0n;
  }

  get holder(): number {
    return this.welcome?.holder ?? 0;
  }

  get connected(): boolean {
    return this.joined;
  }

  addressOf(holder: number): string | undefined {
    return this.addresses.get(holder);
  }

  /** Sends, or drops while there is no stream: onJoin and the holder say it again. */
  send(event: HolderEventInit): void {
    if (this.joined) this.batch.push({ event });
  }

  sendAction(action: Extract<HolderAction, { type: 'acquire' | 'ack' | 'report' }>): void {
    switch (action.type) {
      case 'acquire': {
        const neededPages = action.needed ? action.run.pageCount : 0;
        this.send({
          case: 'acquire',
          value: { run: action.run, mode: modeWire.to(action.mode), neededPages },
        });
        return;
      }
      case 'ack':
        this.send({
          case: 'ack',
          value: {
            run: action.run,
            version: BigInt(action.version),
            kind: ackWire.to(action.kind),
            epoch: this.epoch,
          },
        });
        return;
      case 'report': {
        const held = action.held.map((h) => ({
          run: h.run,
          state: stateWire.to(h.state),
          version: BigInt(h.version),
          kept: h.kept ?? false,
        }));
        for (let at = 0; at <= held.length; at += HELD_RUNS_PER_REPORT) {
          const last = at + HELD_RUNS_PER_REPORT > held.length;
          this.send({ case: 'report', value: { held: held.slice(at, at + HELD_RUNS_PER_REPORT), last } });
        }
      }
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
    stream.write(
      create(HoldRequestSchema, {
        events: [{ event: { case: 'hello', value: { node, incarnation, transferAddress } } }],
      }),
    );
  }

  private lost(stream: ClientDuplexStream<HoldRequestInit, HoldResponse>, reason: string): void {
    if (this.stream !== stream || this.closed) return;
    stream.cancel();
    this.stream = undefined;
    this.batch.clear();
    if (this.joined) this.o.log.warn({ reason }, 'lost the directory; trying again');
    this.joined = false;
    this.retry = setTimeout(() => this.connect(), this.backoff.nextDelayMs());
  }

  private receive({ event }: DirectoryEvent): void {
    switch (event.case) {
      case 'welcome':
        this.join(event.value);
        return;
      case 'grant': {
        const { run, state, version, zero, restore } = event.value;
        this.o.onEvent({
          type: 'grant',
          run: runFromWire(run),
          state: stateWire.from(state),
          version: Number(version),
          zero,
          restore,
        });
        return;
      }
      case 'recall': {
        const { run, mode, version, receiver, receiverAddress, receiverState } = event.value;
        this.addresses.set(receiver, receiverAddress);
        this.o.onEvent({
          type: 'recall',
          run: runFromWire(run),
          mode: modeWire.from(mode),
          version: Number(version),
          receiver,
          receiverState: stateWire.from(receiverState),
        });
        return;
      }
      case 'invalidate':
        this.o.onEvent({
          type: 'invalidate',
          run: runFromWire(event.value.run),
          version: Number(event.value.version),
        });
        return;
      case 'refuse': {
        const { run, mode, reason } = event.value;
        this.o.onEvent({
          type: 'refuse',
          run: runFromWire(run),
          mode: modeWire.from(mode),
          reason: reasonWire.from(reason),
        });
        return;
      }
      case 'settled':
        this.o.onEvent({
          type: 'settled',
          run: runFromWire(event.value.run),
          version: Number(event.value.version),
        });
        return;
      default:
        this.o.onOther(event);
    }
  }

  private join(welcome: { epoch: bigint; holder: number; report: boolean }): void {
    const before = this.welcome;
    this.welcome = { epoch: welcome.epoch, holder: welcome.holder };
    this.joined = true;
    this.backoff.reset();
    this.addresses.clear();
    const sameDirectory = before?.epoch === welcome.epoch && before.holder === welcome.holder;
    this.o.log.info(
      { epoch: welcome.epoch, holder: welcome.holder },
      sameDirectory ? 'back at the directory' : 'joined the directory',
    );
    if (!sameDirectory && !welcome.report) this.o.onEvent({ type: 'expire' });
    this.o.onJoin((event) => this.send(event), !sameDirectory);
    this.o.onEvent({ type: 'rejoin', sameDirectory });
  }

  close(): void {
    this.closed = true;
    clearInterval(this.renewal);
    clearTimeout(this.retry);
    this.stream?.cancel();
    this.channel.close();
  }
}
