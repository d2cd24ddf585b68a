// Pages between nodes: a stream from each sender to each receiver. What is lost with a stream is
// recalled again by the directory.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { PAGE_BYTES, type PageRun, type PageState } from '@odonata/coherency/page.ts';
import { runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import {
  type DeliverRequest,
  DeliverRequestSchema,
  type DeliverResponse,
  TransferService,
} from '@odonata/proto/pmap/v1/pmap';
import { openChannel, openStream, type RpcChannel } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import type { Node } from './node.ts';

/** `bytes data = 2` */
const DATA_FIELD = DeliverRequestSchema.field.data.number;

type DeliverInit = MessageInitShape<typeof DeliverRequestSchema>;

interface Peer {
  channel: RpcChannel;
  stream: ClientDuplexStream<DeliverInit, DeliverResponse>;
}

/** A message under way to another holder. */
export interface Delivery {
  /** Takes the bytes of the pages. After `send` it is used for another message, unless it is kept. */
  readonly data: Buffer;
  send(options: { keep: boolean }): void;
}

/** Room for the head of a message and the longest run of pages. */
const POOLED_BYTES = 128 + 64 * PAGE_BYTES;
const POOLED_MAX = 16;

/** A DeliverRequest with room for its bytes at the end: pages are read into the message, and copied no more. */
export function encodeDeliver(
  head: Omit<DeliverInit, '$typeName' | 'data'>,
  dataBytes: number,
  allocate: (bytes: number) => Buffer = Buffer.allocUnsafeSlow,
): { message: Buffer; data: Buffer } {
  const encoded = toBinary(DeliverRequestSchema, create(DeliverRequestSchema, head));
  if (dataBytes === 0) return { message: Buffer.from(encoded), data: Buffer.alloc(0) };
  const field = new BinaryWriter().tag(DATA_FIELD, WireType.LengthDelimited).uint32(dataBytes).finish();
  const message = allocate(encoded.length + field.length + dataBytes);
  message.set(encoded, 0);
  message.set(field, encoded.length);
  return { message, data: message.subarray(encoded.length + field.length) };
}

/** The sending side. */
export class Transfers {
  private readonly peers = new Map<string, Peer>();
  /** Buffers for long messages: fresh ones cost page faults and collections. */
  private readonly pool: Buffer[] = [];
  private readonly log: Logger;

  constructor(log: Logger) {
    this.log = log;
  }

  /** A message for a run of pages, to be filled and sent. `zero`: there is nothing to fill. */
  delivery(
    address: string,
    run: PageRun,
    zero: boolean,
    about: { version: number; state: PageState; epoch: bigint; sender: number; receiver: number },
  ): Delivery {
    const { sender, receiver, epoch } = about;
    const head = {
      run,
      zero,
      version: BigInt(about.version),
      state: stateWire.to(about.state),
      epoch,
      sender,
      receiver,
    };
    let buffer: Buffer | undefined;
    const { message, data } = encodeDeliver(head, zero ? 0 : run.pageCount * PAGE_BYTES, (bytes) => {
      if (bytes < POOLED_BYTES / 4 || bytes > POOLED_BYTES) return Buffer.allocUnsafeSlow(bytes);
      buffer = this.pool.pop() ?? Buffer.allocUnsafeSlow(POOLED_BYTES);
      return buffer.subarray(0, bytes);
    });
    const send = ({ keep }: { keep: boolean }): void => {
      const sent = () => {
        if (buffer !== undefined && !keep && this.pool.length < POOLED_MAX) this.pool.push(buffer);
      };
      this.peer(address).stream.write(message as unknown as DeliverInit, sent);
    };
    return { data, send };
  }

  private peer(address: string): Peer {
    const known = this.peers.get(address);
    if (known !== undefined) return known;
    const channel = openChannel(address);
    const stream = openStream(TransferService.method.deliver, channel);
    const peer = { channel, stream };
    this.peers.set(address, peer);
    const gone = (reason: string) => {
      if (this.peers.get(address) !== peer) return;
      this.peers.delete(address);
      channel.close();
      this.log.warn({ address, reason }, 'lost the line to another node');
    };
    stream.on('error', (error) => gone(error.message));
    stream.on('end', () => gone('it ended the stream'));
    stream.resume();
    return peer;
  }

  close(): void {
    for (const { stream, channel } of this.peers.values()) {
      stream.end();
      channel.close();
    }
    this.peers.clear();
  }
}

/** The receiving side. */
export function transferHandlers(
  node: Pick<Node, 'memory' | 'acceptsFor'>,
): Pick<Handlers<typeof TransferService>, 'deliver'> {
  return {
    deliver: raw((call) => {
      call.on('data', (message: DeliverRequest) => {
        const run = runFromWire(message.run);
        // Sent under an earlier leader, or late: whoever wants it asks anew.
        if (!node.acceptsFor(run.dataspace, run.firstPage, message.epoch, message.receiver)) return;
        if (!message.zero && message.data.length !== run.pageCount * PAGE_BYTES) {
          failStream(
            call,
            new RpcError(
              Code.InvalidArgument,
              `data: ${message.data.length} bytes for ${run.pageCount} pages`,
            ),
          );
          return;
        }
        const state = stateWire.from(message.state);
        node.memory.arrive(
          { type: 'data', run, state, version: Number(message.version), zero: message.zero },
          message.data,
        );
      });
      call.on('end', () => call.end());
      call.on('error', () => {});
    }),
  };
}
