// Pages between nodes: a stream from each sender to each receiver. What is lost with a stream is
// recalled again by the directory.
import assert from 'node:assert/strict';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { PAGE_BYTES, type PageRun, type PageState } from '@odonata/coherency/page.ts';
import { runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import {
  type DeliverRequest,
  DeliverRequestSchema,
  type DeliverResponse,
  TransferService,
} from '@odonata/proto/pmap/v1/pmap';
import type { WireVersions } from '@odonata/proto/wire/v1/wire';
import { hear } from '@odonata/rpc/bug.ts';
import { openChannel, openStream, type RpcChannel } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { prefixOf } from '@odonata/rpc/large-bytes.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import { HEAD_BYTES, PageBuffer, type PagePool } from './page-buffer.ts';

/** Who was refused is tried again after this. */
const REFUSED_MS = 1_000;

/** `bytes data = 2` */
const DATA_FIELD = DeliverRequestSchema.field.data.number;

type DeliverInit = MessageInitShape<typeof DeliverRequestSchema>;

interface Peer {
  channel: RpcChannel;
  stream: ClientDuplexStream<DeliverInit, DeliverResponse>;
  /** Nothing was sent on it yet. */
  isNew: boolean;
  /** The other node speaks another version of the wire: nothing is sent to it for a while. */
  refused: boolean;
}

/** What is said of pages beside their bytes. */
export interface Delivered {
  version: number;
  state: PageState;
  epoch: bigint;
  sender: number;
  receiver: number;
  /** In the first message of a stream. */
  wire?: WireVersions | undefined;
}

/**
 * A DeliverRequest as it is sent. Where there is room before the bytes, its head goes there, and they are copied no more.
 * @returns the buffer that is used again when it is sent
 */
export function encodeDeliver(
  run: PageRun,
  about: Delivered,
  bytes: PageBuffer | undefined,
): { message: Buffer; room?: Buffer | undefined } {
  const head = {
    ...{ run, zero: bytes === undefined, version: BigInt(about.version), state: stateWire.to(about.state) },
    ...{ epoch: about.epoch, sender: about.sender, receiver: about.receiver },
    ...(about.wire && { wire: about.wire }),
  };
  const encoded = toBinary(DeliverRequestSchema, create(DeliverRequestSchema, head));
  if (bytes === undefined) return { message: Buffer.from(encoded) };
  const { data } = bytes;
  const field = prefixOf(DATA_FIELD, data.length);
  const headBytes = encoded.length + field.length;
  assert(headBytes <= HEAD_BYTES, `the head of a message of pages has ${headBytes} bytes`);
  const room = bytes.takeRoom();
  const message =
    room?.subarray(HEAD_BYTES - headBytes, HEAD_BYTES + data.length) ??
    Buffer.allocUnsafeSlow(headBytes + data.length);
  message.set(encoded, 0);
  message.set(field, encoded.length);
  if (room === undefined) message.set(data, headBytes);
  return { message, room };
}

/** The sending side. */
export class Transfers {
  private readonly peers = new Map<string, Peer>();
  private readonly pool: PagePool;
  private readonly log: Logger;
  private readonly gate: WireGate;

  constructor(log: Logger, pool: PagePool) {
    this.log = log;
    this.gate = new WireGate('pmapd', log);
    this.pool = pool;
  }

  /** Sends a run of pages; `bytes` undefined: zeros. `keep`: the bytes stay as they are, somebody keeps them. */
  send(address: string, run: PageRun, about: Delivered, bytes: PageBuffer | undefined, keep: boolean): void {
    const peer = this.peer(address);
    // As lost with a stream: the directory recalls it again.
    if (peer.refused) return;
    const wire = peer.isNew ? wireSpoken() : undefined;
    peer.isNew = false;
    const { message, room } = encodeDeliver(run, { ...about, wire }, bytes);
    const sent = () => {
      if (room !== undefined && !keep) this.pool.giveBack(room);
    };
    peer.stream.write(message as unknown as DeliverInit, sent);
  }

  private peer(address: string): Peer {
    const known = this.peers.get(address);
    if (known !== undefined) return known;
    const channel = openChannel(address);
    const stream = openStream(TransferService.method.deliver, channel);
    const peer: Peer = { channel, stream, isNew: true, refused: false };
    this.peers.set(address, peer);
    const gone = (reason: string) => {
      if (this.peers.get(address) !== peer) return;
      this.peers.delete(address);
      channel.close();
      this.log.warn({ address, reason }, 'lost the line to another node');
    };
    const refuse = (error: unknown): boolean => {
      if (this.gate.refused(address, error) === undefined) return false;
      if (this.peers.get(address) !== peer || peer.refused) return true;
      peer.refused = true;
      channel.close();
      setTimeout(() => {
        if (this.peers.get(address) === peer) this.peers.delete(address);
      }, REFUSED_MS).unref();
      return true;
    };
    stream.on('error', (error) => {
      if (!refuse(error) && !peer.refused) gone(error.message);
    });
    stream.on('end', () => {
      if (!peer.refused) gone('it ended the stream');
    });
    hear(stream, this.log, { address }, ({ wire }: DeliverResponse) => {
      try {
        agreeOnWire(`pmapd at ${address}`, wire, 'pmapd');
      } catch (error) {
        refuse(error);
        stream.cancel();
      }
    });
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

/** The node that pages come to. */
interface Receiver {
  readonly memory: Pick<CoherentMemory, 'step'>;
  readonly line: {
    /** True where pages that were sent to a holder are for who it is now at the leader of their shard. */
    acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean;
  };
}

/** The receiving side. */
export function transferHandlers(
  node: Receiver,
  gate: WireGate,
): Pick<Handlers<typeof TransferService>, 'deliver'> {
  return {
    deliver: raw((call) => {
      let begun = false;
      let over = false;
      call.on('data', (message: DeliverRequest) => {
        if (over) return;
        if (!begun) {
          try {
            gate.agree(`pmapd at ${call.getPeer()}`, message.wire);
          } catch (error) {
            over = true;
            failStream(call, fromServiceError(error));
            return;
          }
          begun = true;
          call.write({ wire: wireSpoken() });
        }
        try {
          deliver(node, message);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          failStream(call, new RpcError(Code.InvalidArgument, error.message));
        }
      });
      call.on('end', () => call.end());
      call.on('error', () => {});
    }),
  };
}

/** @throws RangeError when the message will not do */
function deliver(node: Receiver, message: DeliverRequest): void {
  const run = runFromWire(message.run);
  // Sent under an earlier leader, or late: whoever wants it asks anew.
  if (!node.line.acceptsFor(run.dataspace, run.firstPage, message.epoch, message.receiver)) return;
  const { zero, data: bytes } = message;
  if (!zero && bytes.length !== run.pageCount * PAGE_BYTES)
    throw new RangeError(`data: ${bytes.length} bytes for ${run.pageCount} pages`);
  const state = stateWire.from(message.state);
  const data = { type: 'data', run, state, version: Number(message.version), zero } as const;
  node.memory.step({ type: 'arrive', data, bytes: new PageBuffer(bytes) });
}
