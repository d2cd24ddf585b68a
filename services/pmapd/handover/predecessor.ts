// The present pmap manager of a node, towards the next one:
//
//   hello                      ->  standing_by               any time before; one may stand by
//   SIGTERM, or hello said at once:
//                                  ahead ..., ahead_end      what is large, while everything goes on
//   copied                     ->                            the directory holds the leases; virtual kernels say their last
//                                                            word; and everything freezes
//   userfaultfds over the door ->  the snapshot in pieces, end
//   taken                      ->  this process closes its sockets, lets go of its lock on the node, and ends; the successor
//                                  listens where it did
//
// Other nodes see nothing of it but that lines break and come back. Where the successor is not done in time, dies, or the
// leases would not last, the hand-over is given up: everything thaws, and this pmap manager goes on. frozen-mark.ts says who
// goes on should it be this one that dies.
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { HOLD_MAX_MS } from '@odonata/coherency/lease.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import {
  type HandOverService,
  NodeSnapshotSchema,
  type SucceedRequest,
  type SucceedResponseSchema,
  type SuccessorHello,
} from '@odonata/proto/pmap/v1/handover';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller, shownCaller, speaksFor } from '@odonata/rpc/identity/identity.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Handlers } from '@odonata/rpc/server.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { handOver } from '@odonata/userfault/descriptor-door.ts';
import type { Node } from '../node.ts';
import type { Session } from '../sessions/session.ts';
import { partsAhead } from './copy-ahead.ts';
import { clearFrozen, markFrozen } from './frozen-mark.ts';
import { FORM, snapshotOf } from './snapshot.ts';

/** How long the successor may take for what is copied ahead; nothing waits for that. */
const AHEAD_MS = 30_000;
/** Where this process is about to end. */
const AHEAD_AT_STOP_MS = 5_000;
/** How long the replicas of the directory may take to say that they hold the leases. */
const HOLD_MS = 1_000;
/** How long virtual kernels, and what is under way for them, may take to come to a rest. */
const PREPARE_MS = 2_000;
/** How long everything may be frozen until the successor says that it has everything. */
const FROZEN_MS = 2_500;
/** What must be left of the leases then: for the end of this process, and the first word of the successor. */
const LEFT_MS = 1_500;
const PIECE_BYTES = 1 << 20;

export interface PredecessorOptions {
  node: Node;
  socketDir: string;
  shards: number;
  log: Logger;
  /** A hand-over begins, or was given up. */
  onHandingOver(begins: boolean): void;
  /** The successor has everything: stops this process as SIGTERM does. */
  stop(): void;
}

interface Successor {
  /** Starts the hand-over. `stops`: this process ends in any case. */
  begin(how: { stops: boolean }): void;
  /** True when it has everything. */
  over: Promise<boolean>;
}

type Events = AsyncIterator<SucceedRequest>;

export class Predecessor {
  private readonly o: PredecessorOptions;
  private successor: Successor | undefined;
  private over = false;

  constructor(options: PredecessorOptions) {
    this.o = options;
  }

  /** True once another pmap manager has everything. */
  get isOver(): boolean {
    return this.over;
  }

  /** For the socket of this node's user only: who succeeds gets everything. */
  handlers(): Handlers<typeof HandOverService> {
    const { o } = this;
    const predecessor = this;
    return {
      async *succeed(requests, { signal, caller }) {
        predecessor.expectOurs(caller);
        const events = requests[Symbol.asyncIterator]();
        const hello = await next(events, 'hello');
        predecessor.check(hello);
        const { promise: told, resolve: begin } = Promise.withResolvers<{ stops: boolean }>();
        const { promise: over, resolve: finish } = Promise.withResolvers<boolean>();
        predecessor.successor = { begin, over };
        const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        try {
          yield { event: { case: 'standingBy', value: { wire: wireSpoken() } } };
          o.log.info('another pmap manager of this node stands by');
          if (hello.atOnce) begin({ stops: false });
          const how = await Promise.race([told, gone]);
          if (how === undefined) return;
          yield* predecessor.handing({ hello, events, gone, ...how });
          finish(true);
          if (!how.stops) o.stop();
          await gone;
        } finally {
          predecessor.successor = undefined;
          finish(false);
        }
      },
    };
  }

  // The socket is of our user, and the method for pmap managers: of this node, and no other one of the machine.
  private expectOurs(caller: Caller): void {
    const { name, security } = this.o.node;
    if (caller === ANYONE || (caller.role === Role.PMAPD && speaksFor(caller, name))) return;
    const text = `${shownCaller(caller)} may not take the place of pmapd ${name}`;
    security.refused('identity', shownCaller(caller), text);
    throw new RpcError(Code.PermissionDenied, text);
  }

  private check({ node, shards, form, wire }: SuccessorHello): void {
    const { o } = this;
    agreeOnWire('successor', wire, 'pmapd');
    if (this.successor !== undefined || o.node.isStopping)
      throw new RpcError(Code.AlreadyExists, `another pmap manager of ${o.node.name} stands by already`);
    if (node === o.node.name && shards === o.shards && form >= FORM) return;
    throw new RpcError(
      Code.FailedPrecondition,
      `a pmap manager of ${o.node.name} with ${o.shards} shards runs here, whose state has form ${FORM}; ` +
        `one of ${node} with ${shards} shards, which knows form ${form}, cannot go on with it`,
    );
  }

  /**
   * Hands everything over to who stands by, since this process is about to end.
   * @returns false: there is nobody, or nobody who took it, and this one has everything still
   */
  async handOver(): Promise<boolean> {
    this.successor?.begin({ stops: true });
    return (await this.successor?.over) ?? false;
  }

  /** Everything up to the word of the successor that it has everything. @throws Error where it is given up */
  private async *handing(how: {
    hello: SuccessorHello;
    events: Events;
    gone: Promise<void>;
    stops: boolean;
  }): AsyncGenerator<MessageInitShape<typeof SucceedResponseSchema>> {
    const { node, socketDir, log } = this.o;
    const { hello, events, gone, stops } = how;
    const tokens = new Map<Session, Uint8Array>();
    const tokenOf = (session: Session): Uint8Array => {
      const token = tokens.get(session) ?? randomBytes(16);
      if (!tokens.has(session)) handOver(hello.door, token, session.userfault.fd);
      tokens.set(session, token);
      return token;
    };
    const left = gone.then(() => {
      throw new RpcError(Code.Aborted, 'the next pmap manager went away');
    });
    left.catch(() => {}); // It may be over by then.
    let frozen = false;
    let reason: unknown = 'the next pmap manager went away';
    try {
      // Also where this process gets no processor time meanwhile: there is one more of it, and it starts.
      node.letBorrowedGo();
      await node.bringAhead(stops ? AHEAD_AT_STOP_MS : AHEAD_MS);
      await node.line.hold(HOLD_MAX_MS, HOLD_MS);
      if (hello.ahead) {
        for (const part of partsAhead(node, this.o.shards, tokenOf)) {
          yield { event: { case: 'ahead' as const, value: part } };
          await turn();
        }
        yield { event: { case: 'aheadEnd' as const, value: {} } };
        await inTime(stops ? AHEAD_AT_STOP_MS : AHEAD_MS, [next(events, 'copied'), left]);
      }
      await node.line.hold(HOLD_MAX_MS, HOLD_MS);
      const pausedAtMs = monotonicMs();
      this.o.onHandingOver(true);
      // Who ends in any case can do no better than to go on.
      const untilMs = () => (stops ? Number.POSITIVE_INFINITY : node.line.usableUntilMs - LEFT_MS);
      expectTime(untilMs() - monotonicMs() - PREPARE_MS);
      await node.prepareHandOver(PREPARE_MS);
      const forMs = Math.min(FROZEN_MS, untilMs() - monotonicMs());
      expectTime(forMs);
      const frozenAtMs = monotonicMs();
      frozen = true;
      const state = node.freeze();
      if (!node.memory.placeAll())
        throw new RpcError(Code.ResourceExhausted, 'some pages have no room in the memory files of the node');
      const name = hello.ahead ? markFrozen(socketDir) : '';
      const known = new Set(tokens.keys());
      const token = (session: Session) => (known.has(session) ? undefined : tokenOf(session));
      const message = snapshotOf(state, pausedAtMs, token, arenaToken(hello.door, node));
      const bytes = toBinary(NodeSnapshotSchema, message);
      const pages = state.memory.residentPages();
      log.info({ tookMs: monotonicMs() - frozenAtMs, bytes: bytes.length, pages }, 'frozen');
      for (let at = 0; at < bytes.length; at += PIECE_BYTES)
        yield { event: { case: 'piece' as const, value: bytes.subarray(at, at + PIECE_BYTES) } };
      yield { event: { case: 'end' as const, value: { sizeBytes: BigInt(bytes.length), frozen: name } } };
      await inTime(frozenAtMs + forMs - monotonicMs(), [next(events, 'taken'), left]);
      this.over = true;
      log.info({ tookMs: monotonicMs() - pausedAtMs }, 'another pmap manager goes on');
    } catch (error) {
      reason = error instanceof RpcError ? error.details : String(error);
      throw new RpcError(
        Code.Aborted,
        `the hand-over is given up, and the pmap manager that runs goes on: ${reason}`,
        {
          cause: error,
        },
      );
    } finally {
      // Also where the stream ended under a `yield`.
      if (!this.over) {
        if (frozen) clearFrozen(socketDir);
        node.endHandOver();
        this.o.onHandingOver(false);
        log.warn({ reason }, 'the hand-over is given up: this pmap manager goes on');
      }
    }
  }
}

/** Hands over the file of the private pages of vmspaces made by hand. */
function arenaToken(door: string, { handmade }: Node): Uint8Array | undefined {
  const { file } = handmade.arena;
  if (file === undefined) return undefined;
  const token = randomBytes(16);
  handOver(door, token, file);
  return token;
}

function expectTime(leftMs: number): void {
  if (leftMs >= 100) return;
  const reason = 'this node has no lease of the whole directory, or not for long enough, and it is not held';
  throw new RpcError(Code.FailedPrecondition, reason);
}

type SucceedEvent = SucceedRequest['event'];

/** @throws RpcError when something else comes, or nothing more */
async function next<C extends 'hello' | 'copied' | 'taken'>(
  events: Events,
  wanted: C,
): Promise<Extract<SucceedEvent, { case: C }>['value']> {
  const { value } = await events.next();
  const event = (value as SucceedRequest | undefined)?.event;
  if (event?.case !== wanted) throw new RpcError(Code.FailedPrecondition, `${wanted} is expected here`);
  return event.value as never;
}

/** @throws RpcError when none of them is there by then */
async function inTime(ms: number, any: Promise<unknown>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const waitedMs = Math.max(0, Math.round(ms));
      reject(new RpcError(Code.DeadlineExceeded, `the next pmap manager was not done within ${waitedMs} ms`));
    }, ms);
  });
  try {
    await Promise.race([late, ...any]);
  } finally {
    clearTimeout(timer);
  }
}
