// Pages that come from other nodes: looked at, handed to the memory, and answered when there is something to answer.
import { type Arrival, Arrivals } from '@odonata/coherency/node/transfer/arrivals.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { runFromWire } from '@odonata/coherency/wire.ts';
import {
  type DeliverRequest,
  type DeliverResponse,
  DeliverResponseSchema,
  type TransferService,
} from '@odonata/proto/pmap/v1/pmap';
import { type BareStream, framed } from '@odonata/rpc/bare-stream.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { Caller } from '@odonata/rpc/identity/identity.ts';
import type { RawCall } from '@odonata/rpc/raw-call.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import { encoder, type OutInit } from '@odonata/rpc/service.ts';
import { isContext, type TraceContext } from '@odonata/rpc/trace/context.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { type DeliveredPages, deliveredOf, deliveredPages, isSpoilt, pagesOf } from './deliver-message.ts';
import type { PageBuffer } from './page-buffer.ts';
import type { SpoiltMessages } from './spoilt-messages.ts';

/** So many bytes are answered at once, and fewer a little later: an answer for each page would cost as much as the page. */
const ANSWERED_BYTES = 128 * 1024;
const ANSWER_MS = 20;

/** Pages that came, and their bytes. */
export interface Arrived {
  readonly type: 'arrive';
  readonly data: ReturnType<typeof pagesOf>;
  readonly bytes: PageBuffer;
}

/** The node that pages come to. */
export interface Receiver {
  /** False: whoever calls may bring nothing of it, or nobody knows it here. It is passed over, and the others of the stream come. */
  takesFrom?(caller: Caller, dataspace: bigint): boolean;
  readonly memory: { step(event: Arrived): void };
  readonly line: {
    /** True where pages that were sent to a holder are for who it is now at the leader of their shard. */
    acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean;
  };
  readonly spoilt: Pick<SpoiltMessages, 'met'>;
  readonly traces?:
    | { within(name: string, parent: TraceContext, run: PageRun, what: () => void): void }
    | undefined;
}

const encode = encoder(DeliverResponseSchema);

type Call = RawCall<DeliverRequest, OutInit<(typeof TransferService)['method']['deliver']>>;

/** One stream. */
class Arriving {
  private readonly node: Receiver;
  private readonly call: Call;
  private readonly arrivals: Arrivals;
  private readonly caller: Caller;
  private arrival: Arrival | undefined;
  private begun = false;
  private unanswered = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Where it goes by HTTP/2 itself. */
  bare: BareStream | undefined;

  constructor(node: Receiver, call: Call, arrivals: Arrivals, caller: Caller) {
    this.caller = caller;
    this.node = node;
    this.call = call;
    this.arrivals = arrivals;
  }

  get hasBegun(): boolean {
    return this.begun;
  }

  /** @throws RpcError when the message will not do */
  take(delivered: DeliveredPages): void {
    const { head: message, pages } = delivered;
    const first = !this.begun;
    this.begun = true;
    const sequence = Number(message.sequence);
    try {
      // Before all else: it may say anything.
      this.check(delivered);
      if (first && sequence > 0) this.arrival = this.arrivals.begin(message.transfer, sequence);
      this.place(delivered, sequence);
    } catch (error) {
      // What is here is not sent again.
      if (this.arrival !== undefined) this.answer(first);
      throw error;
    }
    if (first) this.answer(true);
    if (this.arrival === undefined || first) return;
    this.unanswered += pages.length;
    if (message.ask || this.unanswered >= ANSWERED_BYTES) this.answer(false);
    else
      this.timer ??= setTimeout(
        ownTurn({ timer: 'answer to pages' }, () => this.answer(false)),
        ANSWER_MS,
      ).unref();
  }

  private check(delivered: DeliveredPages): void {
    if (!isSpoilt(delivered)) return;
    this.node.spoilt.met(this.call.getPeer());
    throw new RpcError(Code.DataLoss, `checksum: message ${delivered.head.sequence} was spoilt on its way`);
  }

  private place(delivered: DeliveredPages, sequence: number): void {
    if (sequence > 0 !== (this.arrival !== undefined))
      throw new RpcError(Code.InvalidArgument, 'sequence: messages of a stream are counted, or none is');
    const arrived = this.arrival?.look(sequence) ?? 'next';
    if (arrived === 'known') return;
    if (arrived === 'gap') {
      const here = this.arrival?.received;
      throw new RpcError(Code.InvalidArgument, `sequence: ${sequence} comes after ${here}`);
    }
    try {
      deliver(this.node, delivered, this.caller);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RpcError(Code.InvalidArgument, error.message);
    }
    this.arrival?.took(sequence);
  }

  private answer(first: boolean): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.unanswered = 0;
    const received = this.arrival && BigInt(this.arrival.received);
    const answer: Partial<DeliverResponse> = first ? { wire: wireSpoken() } : {};
    const said = { ...answer, ...(received !== undefined && { received }) };
    if (this.bare === undefined) this.call.write(said);
    else this.bare.write([framed(encode(said))]);
  }

  close(): void {
    clearTimeout(this.timer);
  }
}

/** The receiving side. */
export function transferHandlers(
  node: Receiver,
  gate: WireGate,
): Pick<Handlers<typeof TransferService>, 'deliver'> {
  const arrivals = new Arrivals();
  return {
    deliver: raw((call, { caller }) => {
      const arriving = new Arriving(node, call, arrivals, caller);
      let over = false;
      const fail = (error: RpcError): void => {
        over = true;
        arriving.close();
        failStream(call, error);
      };
      const take = (delivered: DeliveredPages): void => {
        if (over) return;
        if (!arriving.hasBegun) {
          try {
            gate.agree(`pmapd at ${call.getPeer()}`, delivered.head.wire);
            // Answers are few bytes: nobody waits for the other to read.
            call.widen();
          } catch (error) {
            fail(fromServiceError(error));
            return;
          }
        }
        try {
          arriving.take(delivered);
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          fail(error);
        }
      };
      // Pages go into the memory file from where HTTP/2 put them.
      arriving.bare = call.bare((first, more) => take(deliveredOf(first, more)));
      if (arriving.bare === undefined)
        call.on('data', (message: DeliverRequest) => take(deliveredPages(message)));
      call.on('end', () => {
        arriving.close();
        call.end();
      });
      call.on('cancelled', () => arriving.close());
      call.on('error', () => arriving.close());
    }),
  };
}

/** @throws RangeError when the message will not do */
function deliver(node: Receiver, delivered: DeliveredPages, caller: Caller): void {
  const { head: message, pages } = delivered;
  const run = runFromWire(message.run);
  // Sent under an earlier leader, late, or to the pmap manager of this node before this one: whoever wants it asks anew.
  if (!node.line.acceptsFor(run.dataspace, run.firstPage, message.epoch, message.receiver)) return;
  // Not acknowledged to the directory, so nobody takes this node for one that has it.
  if (node.takesFrom?.(caller, run.dataspace) === false) return;
  const arrive = (): void => node.memory.step({ type: 'arrive', data: pagesOf(delivered), bytes: pages });
  const { trace } = message;
  if (node.traces !== undefined && isContext(trace)) node.traces.within('take pages', trace, run, arrive);
  else arrive();
}
