// The present pmap manager of a node, towards the next one:
//
//   hello                      ->  standing_by     any time before; one may stand by
//   SIGTERM, or hello said at once: virtual kernels say their last word, and everything freezes
//   userfaultfds over the door ->  the snapshot in pieces, end
//   taken                      ->  this process ends, and the successor listens where it did
//
// Other nodes see nothing of it but that lines break and come back. Should the successor die after the freeze, it is as if
// this pmap manager had died.
import { randomBytes } from 'node:crypto';
import { toBinary } from '@bufbuild/protobuf';
import {
  type HandOverService,
  NodeSnapshotSchema,
  type SucceedRequest,
  type SuccessorHello,
} from '@odonata/proto/pmap/v1/handover';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Handlers } from '@odonata/rpc/server.ts';
import { handOver } from '@odonata/userfault/descriptor-door.ts';
import type { Node } from '../node.ts';
import { FORM, snapshotOf } from './snapshot.ts';

/** How long virtual kernels, and what is under way for them, may take to come to a rest. */
const PREPARE_MS = 1_000;
/** How long the successor may take to say that it has everything. */
const TAKEN_MS = 5_000;
const PIECE_BYTES = 1 << 20;

export interface PredecessorOptions {
  node: Node;
  shards: number;
  log: Logger;
  /** The successor wants to go on now: stops this process as SIGTERM does. */
  stop(): void;
}

interface Successor {
  /** Starts the hand-over. */
  begin(): void;
  /** True when it has everything. */
  over: Promise<boolean>;
}

export class Predecessor {
  private readonly o: PredecessorOptions;
  private successor: Successor | undefined;

  constructor(options: PredecessorOptions) {
    this.o = options;
  }

  /** For the socket of this node's user only: who succeeds gets everything. */
  handlers(): Handlers<typeof HandOverService> {
    const { o } = this;
    const predecessor = this;
    return {
      async *succeed(requests, { signal }) {
        const events = requests[Symbol.asyncIterator]();
        const hello = await next(events, 'hello');
        predecessor.check(hello);
        const { promise: told, resolve: begin } = Promise.withResolvers<void>();
        const { promise: over, resolve: finish } = Promise.withResolvers<boolean>();
        predecessor.successor = { begin, over };
        const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        void aborted.then(begin);
        try {
          yield { event: { case: 'standingBy', value: {} } };
          o.log.info('another pmap manager of this node stands by');
          if (hello.atOnce) o.stop();
          await told;
          if (signal.aborted) return;
          try {
            yield* predecessor.pieces(hello.door);
          } catch (error) {
            o.log.error({ err: error }, 'what this pmap manager knows cannot be told');
            throw error;
          }
          await Promise.race([next(events, 'taken'), late()]);
          finish(true);
          // The end of this process ends the stream, and says that all its sockets are free.
          await aborted;
        } finally {
          predecessor.successor = undefined;
          finish(false);
        }
      },
    };
  }

  private check({ node, shards, form }: SuccessorHello): void {
    const { o } = this;
    if (this.successor !== undefined || o.node.isStopping)
      throw new RpcError(Code.AlreadyExists, `another pmap manager of ${o.node.name} stands by already`);
    if (node === o.node.name && shards === o.shards && form >= FORM) return;
    throw new RpcError(
      Code.FailedPrecondition,
      `a pmap manager of ${o.node.name} with ${o.shards} shards runs here, whose state has form ${FORM}; ` +
        `one of ${node} with ${shards} shards, which knows form ${form}, cannot go on with it`,
    );
  }

  /** Hands everything over to who stands by. @returns false: there is nobody, and nothing was done */
  async handOver(): Promise<boolean> {
    if (this.successor === undefined) return false;
    const { node, log } = this.o;
    const startMs = monotonicMs();
    const { successor } = this;
    await node.prepareHandOver(PREPARE_MS);
    successor.begin();
    if (await successor.over) log.info({ tookMs: monotonicMs() - startMs }, 'another pmap manager goes on');
    else log.error('the next pmap manager did not take over: what only this node has is lost');
    return true;
  }

  private async *pieces(door: string) {
    const { node, log } = this.o;
    const startMs = monotonicMs();
    const frozen = node.freeze();
    const tokens = frozen.sessions.map(() => randomBytes(16));
    frozen.sessions.forEach(({ userfault }, place) => {
      handOver(door, tokens[place]!, userfault.fd);
    });
    const bytes = toBinary(NodeSnapshotSchema, snapshotOf(frozen, tokens));
    const pages = frozen.memory.residentPages();
    log.info({ tookMs: monotonicMs() - startMs, bytes: bytes.length, pages }, 'frozen');
    for (let at = 0; at < bytes.length; at += PIECE_BYTES)
      yield { event: { case: 'piece' as const, value: bytes.subarray(at, at + PIECE_BYTES) } };
    yield { event: { case: 'end' as const, value: { sizeBytes: BigInt(bytes.length) } } };
  }
}

type SucceedEvent = SucceedRequest['event'];

/** @throws RpcError when something else comes, or nothing more */
async function next<C extends 'hello' | 'taken'>(
  events: AsyncIterator<SucceedRequest>,
  wanted: C,
): Promise<Extract<SucceedEvent, { case: C }>['value']> {
  const { value } = await events.next();
  const event = (value as SucceedRequest | undefined)?.event;
  if (event?.case !== wanted) throw new RpcError(Code.FailedPrecondition, `${wanted} is expected here`);
  return event.value as never;
}

async function late(): Promise<never> {
  await delay(TAKEN_MS);
  throw new RpcError(Code.DeadlineExceeded, `no "taken" within ${TAKEN_MS} ms`);
}
