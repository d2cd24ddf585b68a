// The stream to one replica of the directory, opened again when that is asked for.
import { create } from '@bufbuild/protobuf';
import type { HolderEventInit } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { LinesEvent } from '@odonata/coherency/node/lines/lines-messages.ts';
import {
  DirectoryService,
  HolderHelloSchema,
  HoldRequestSchema,
  type HoldResponse,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { openChannel } from '@odonata/rpc/client.ts';
import { fromServiceError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { OpenedStream } from '@odonata/rpc/opened-stream.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';

type Stream = OpenedStream<typeof DirectoryService.method.hold>;
type StreamEvent = Extract<LinesEvent, { type: 'opened' | 'heard' | 'broke' }>;

/** Streams of this process. */
let lastNumber = 0;

export class DirectoryStream {
  private readonly replica: string;
  private readonly tell: (event: StreamEvent) => void;
  private readonly channel;
  private readonly backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  private readonly batch: EventBatch<{ event: HolderEventInit; epoch?: bigint }>;
  private stream: Stream | undefined;
  private retry: NodeJS.Timeout | undefined;
  private closed = false;
  private readonly gate: WireGate;
  private readonly log: Logger;
  /** Why the replica and this node do not speak, where it is for their versions of the wire. */
  refusal: string | undefined;
  /** Both ways. */
  messages = 0;

  /** @param replica its address */
  constructor(replica: string, gate: WireGate, log: Logger, tell: (event: StreamEvent) => void) {
    this.replica = replica;
    this.log = log;
    this.gate = gate;
    this.tell = tell;
    this.channel = openChannel(replica);
    this.batch = new EventBatch(
      (events) => {
        this.messages += 1;
        this.stream?.write(create(HoldRequestSchema, { events }));
      },
      () => this.stream?.cancel(),
    );
  }

  /** @param failures in a row; 0: at once, else after a pause that grows with them */
  connect(failures: number): void {
    if (failures <= 1) this.backoff.reset();
    if (failures === 0) this.open();
    else
      this.retry = setTimeout(
        ownTurn({ timer: 'connect', directory: this.replica }, () => this.open()),
        this.backoff.nextDelayMs(),
      );
  }

  private open(): void {
    if (this.closed) return;
    const number = ++lastNumber;
    const hear = (response: HoldResponse): void => {
      if (this.stream !== stream) return;
      this.messages += 1;
      for (const { event } of response.events) {
        if (event.case === 'welcome') {
          try {
            agreeOnWire(`${event.value.replica} at ${this.replica}`, event.value.wire, 'pmapd');
            this.refusal = undefined;
          } catch (error) {
            this.refuse(stream, number, error);
            return;
          }
        }
        this.tell({ type: 'heard', stream: number, event });
      }
    };
    const where = { directory: this.replica };
    const stream: Stream = new OpenedStream(DirectoryService.method.hold, this.channel, {
      log: this.log,
      where,
      hear,
    });
    this.stream = stream;
    stream.on('error', (error) => this.refuse(stream, number, error));
    stream.on('end', () => this.lost(stream, number, 'the directory ended the stream'));
    this.tell({ type: 'opened', replica: this.replica, stream: number });
  }

  private refuse(stream: Stream, number: number, error: unknown): void {
    const { message } = fromServiceError(error);
    if (this.stream === stream && !this.closed) this.refusal = this.gate.refused(this.replica, error);
    this.lost(stream, number, message);
  }

  private lost(stream: Stream, number: number, reason: string): void {
    if (this.stream !== stream || this.closed) return;
    stream.cancel();
    this.stream = undefined;
    this.batch.clear();
    this.tell({ type: 'broke', stream: number, reason });
  }

  /** @param epoch of the leader that it is for; 0: it names none */
  send(event: HolderEventInit, epoch: bigint): void {
    // The version is the stream's matter, not the machine's.
    if (event?.case === 'hello') {
      const value = Object.assign(create(HolderHelloSchema, event.value), { wire: wireSpoken() });
      this.batch.push({ event: { case: 'hello', value } });
    } else this.batch.push({ event, epoch });
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.batch.clear();
    this.stream?.cancel();
    this.channel.close();
  }
}
