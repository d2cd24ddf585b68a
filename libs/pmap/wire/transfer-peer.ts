// The line to one other node: one stream after the other, each with what the one before it did not bring.
import { randomBytes } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Outgoing } from '@odonata/coherency/node/transfer/outgoing.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import {
  type DeliverRequestSchema,
  type DeliverResponse,
  DeliverResponseSchema,
  TransferService,
} from '@odonata/proto/pmap/v1/pmap';
import { type BareStream, bareOfOpened, guardedBytes, whole } from '@odonata/rpc/bare-stream.ts';
import { hear, ownTurn } from '@odonata/rpc/bug.ts';
import { openChannel, openStream, type RpcChannel } from '@odonata/rpc/client.ts';
import { Code, fromServiceError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { decoder } from '@odonata/rpc/service.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { type Delivered, encodeDeliver, type FramedMessage, messageOf } from './deliver-message.ts';
import type { PageBuffer, PagePool } from './page-buffer.ts';

/** Who was refused is tried again after this. */
const REFUSED_MS = 1_000;
/** A line that was cut is tried again after this, then after twice as long, and so on. */
const RETRY_MS = 20;
const RETRY_MAX_MS = 1_000;
/** A line that was cut for so long is over, with what it did not bring: it was recalled by then. */
const CUT_MS = 10_000;

/** Errors of the first message that the receiver does not have, and not of the line. */
const REFUSALS = new Set<Code>([Code.DataLoss, Code.InvalidArgument]);

/** Who takes pages. */
const RECEIVERS = [Role.PMAPD, Role.GATEWAY];

const decode = decoder(DeliverResponseSchema);

type DeliverInit = MessageInitShape<typeof DeliverRequestSchema>;
type Stream = ClientDuplexStream<DeliverInit, DeliverResponse>;

/** A run of pages to be sent. */
export interface Chunk {
  readonly run: PageRun;
  readonly about: Delivered;
  /** Undefined: zeros. */
  readonly bytes: PageBuffer | undefined;
  /** The bytes stay as they are: somebody keeps them. */
  readonly keep: boolean;
  /** Its buffer, which is used again when it has arrived. */
  room?: Buffer | undefined;
}

export interface TransferPeerOptions {
  readonly log: Logger;
  readonly gate: WireGate;
  readonly pool: PagePool;
  onResumed(): void;
  onAgain(): void;
  onDropped(chunks: readonly Chunk[]): void;
  /** Nobody needs it any more; what is sent there next opens another one. */
  onGone(): void;
}

export class TransferPeer {
  readonly outgoing = new Outgoing<Chunk>();
  private readonly address: string;
  private readonly o: TransferPeerOptions;
  private readonly transfer = randomBytes(8).readBigUInt64LE();
  private channel: RpcChannel | undefined;
  private stream: Stream | undefined;
  /** The stream, once it goes by HTTP/2 itself. */
  private bare: BareStream | undefined;
  private streams = 0;
  /** The stream takes no more for now. */
  private full = false;
  /** Its first answer said which version of the wire the other node speaks. */
  private agreed = false;
  private retry: NodeJS.Timeout | undefined;
  private retryMs = RETRY_MS;
  private cutAtMs: number | undefined;
  /** The other node speaks another version of the wire: nothing is sent to it for a while. */
  private refused = false;
  private gone = false;

  constructor(address: string, options: TransferPeerOptions) {
    this.address = address;
    this.o = options;
    this.open();
  }

  send(chunk: Chunk): void {
    // As lost with a line: the directory recalls it again.
    if (this.refused) return;
    if (this.outgoing.offer(chunk, chunk.bytes?.length ?? 0)) this.pump();
    else this.o.onDropped([chunk]);
  }

  private pump(): void {
    const { stream, outgoing } = this;
    while (stream !== undefined && stream === this.stream && !this.full) {
      const sent = outgoing.take(monotonicMs());
      if (sent === undefined) return;
      const { chunk, sequence, first, again, ask } = sent;
      if (again) this.o.onAgain();
      const begin = first ? { transfer: this.transfer, wire: wireSpoken() } : undefined;
      const place = { sequence, ask, first: begin };
      const message = encodeDeliver(chunk.run, chunk.about, chunk.bytes, place);
      chunk.room ??= message.room;
      // Where the receiver does not count, nobody says that it has arrived.
      const written = sequence === 0 ? () => this.free(chunk) : undefined;
      this.full = !this.write(stream, message, written);
    }
  }

  private write(stream: Stream, message: FramedMessage, written: (() => void) | undefined): boolean {
    if (this.bare !== undefined) return this.bare.write(message.pieces, written);
    const isFree = stream.write(messageOf(message) as unknown as DeliverInit, written);
    if (!isFree) stream.once('drain', () => this.drained(stream));
    return isFree;
  }

  private drained(stream: Stream): void {
    if (stream !== this.stream) return;
    this.full = false;
    this.pump();
  }

  // As soon as nothing waits in grpc-js: from then on pages go from where they were read to HTTP/2.
  private goBare(stream: Stream): void {
    if (stream !== this.stream || this.bare !== undefined) return;
    const { log } = this.o;
    const hearBytes = guardedBytes(stream, log, { address: this.address }, (first, more) => {
      if (stream === this.stream) this.answered(stream, decode(whole(first, more)));
    });
    this.bare = bareOfOpened(stream as ClientDuplexStream<unknown, unknown>, hearBytes, () =>
      stream.cancel(),
    );
    if (this.bare === undefined) return;
    this.bare.on('drain', () => this.drained(stream));
    this.drained(stream);
  }

  // Its buffer is used again.
  private free(chunk: Chunk): void {
    if (chunk.room !== undefined && !chunk.keep) this.o.pool.giveBack(chunk.room);
    chunk.room = undefined;
  }

  private open(): void {
    const { address, o } = this;
    this.channel ??= openChannel(address, { server: RECEIVERS });
    const stream: Stream = openStream(TransferService.method.deliver, this.channel);
    this.stream = stream;
    [this.full, this.agreed, this.bare] = [false, false, undefined];
    if (this.streams++ > 0) o.onResumed();
    this.outgoing.opened(monotonicMs());
    stream.on('error', (error) => {
      if (stream !== this.stream || this.refuse(error)) return;
      this.cut(error.message, REFUSALS.has(fromServiceError(error).code));
    });
    stream.on('end', () => {
      if (stream === this.stream) this.cut('it ended the stream', false);
    });
    hear(stream, o.log, { address }, (answer: DeliverResponse) => {
      if (stream === this.stream) this.answered(stream, answer);
      this.goBare(stream);
    });
    this.pump();
  }

  private answered(stream: Stream, { wire, received }: DeliverResponse): void {
    if (!this.agreed) {
      try {
        agreeOnWire(`pmapd at ${this.address}`, wire, 'pmapd');
      } catch (error) {
        this.refuse(error);
        stream.cancel();
        return;
      }
      this.agreed = true;
    }
    try {
      const done = this.outgoing.answered(
        received === undefined ? undefined : Number(received),
        monotonicMs(),
      );
      // Else a line that breaks each time over the same chunk would be opened without a pause, and never be over.
      if (done.length > 0 || received === undefined) this.goesOn();
      // A buffer that an earlier stream may still have to write is not used again.
      for (const { chunk, once } of done) if (once) this.free(chunk);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.cut(`it answers what was not asked: ${error.message}`, false);
      stream.cancel();
      return;
    }
    this.pump();
  }

  private goesOn(): void {
    this.retryMs = RETRY_MS;
    this.cutAtMs = undefined;
  }

  // The line broke, or the receiver refused a message: another stream goes on.
  private cut(reason: string, refused: boolean): void {
    const { address, outgoing } = this;
    const nowMs = monotonicMs();
    this.stream = undefined;
    this.cutAtMs ??= nowMs;
    this.o.onDropped(outgoing.cut(refused));
    if (outgoing.isIdle || nowMs - this.cutAtMs > CUT_MS) {
      this.o.log.warn({ address, reason }, 'lost the line to another node');
      this.end();
      return;
    }
    this.o.log.info({ address, reason }, 'the line to another node broke, and is opened again');
    // Where the connection is at fault, gRPC makes another one, in its own time; ours are shorter.
    if (!refused) this.closeChannel();
    this.retry = setTimeout(
      ownTurn({ timer: 'line to a node', address }, () => this.open()),
      this.retryMs,
    ).unref();
    this.retryMs = Math.min(RETRY_MAX_MS, this.retryMs * 2);
  }

  private refuse(error: unknown): boolean {
    if (this.o.gate.refused(this.address, error) === undefined) return false;
    if (this.refused || this.gone) return true;
    this.refused = true;
    this.stream = undefined;
    this.outgoing.abandon();
    this.closeChannel();
    setTimeout(
      ownTurn({ timer: 'a node that was refused' }, () => this.end()),
      REFUSED_MS,
    ).unref();
    return true;
  }

  /** Whoever answers nothing for too long is let go. */
  look(nowMs: number): void {
    if (!this.outgoing.isStalled(nowMs)) return;
    this.o.log.warn({ address: this.address }, 'a node took no pages for too long');
    this.stream?.cancel();
    this.end();
  }

  private end(): void {
    if (this.gone) return;
    this.gone = true;
    clearTimeout(this.retry);
    this.stream = undefined;
    this.o.onDropped(this.outgoing.abandon());
    this.closeChannel();
    this.o.onGone();
  }

  private closeChannel(): void {
    this.channel?.close();
    this.channel = undefined;
  }

  close(): void {
    this.gone = true;
    clearTimeout(this.retry);
    this.stream?.end();
    // How it ends is nothing to go on from.
    this.stream = undefined;
    this.closeChannel();
  }
}
