import { create } from '@bufbuild/protobuf';
import type { Address, Frame, Message } from '@odonata/proto/syslink/v1/syslink';
import { AddressSchema } from '@odonata/proto/syslink/v1/syslink';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { noAnswer } from '@odonata/rpc/plain-words.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import {
  BULK_BYTES,
  CALLS_LIMIT,
  CIRCUIT_WINDOW_BYTES,
  frame,
  HEAD_BYTES,
  MESSAGE_DEADLINE_MS,
  statusInit,
} from '@odonata/rpc/syslink/frame.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import { callerOf } from './asking.ts';
import { CircuitTable } from './circuits.ts';
import type { Connection, Endpoint } from './registry.ts';
import { Registry } from './registry.ts';

/** Above this an endpoint does not keep up: new requests to it are refused. */
export const FULL_BYTES = 64 * 1024 * 1024;
/** Above this it does not read at all: its stream is ended. Replies and circuits within their windows stay below. */
export const DEAF_BYTES = 256 * 1024 * 1024;

/**
 * The router, without sockets, clock or timers: frames in, frames out, the time is told.
 *
 * A message is a request or the reply to one. The router knows every request that is not answered yet, so that each
 * gets exactly one answer: the endpoint's, or UNAVAILABLE when that goes away. A reply that nobody waits for is
 * dropped. Circuits: see CircuitTable.
 */
export class Router {
  readonly #registry: Registry;
  readonly #endpoints = new Map<Connection, Endpoint>();
  readonly #circuits = new CircuitTable();
  /** Frames that endpoints sent, by what they belong to. */
  readonly counters = { requests: 0, circuitPieces: 0 };
  readonly #number: number;
  readonly #settledAtMs: number;
  #draining = false;

  /**
   * @param options.number random, of this life of this router; 32 bits
   * @param options.settledAtMs until then services may not have found it
   */
  constructor(options: { number: number; settledAtMs?: number }) {
    this.#number = options.number;
    this.#settledAtMs = options.settledAtMs ?? 0;
    this.#registry = new Registry(options.number);
  }

  /**
   * It stops soon: endpoints are asked to go elsewhere, and what is new is refused. What is under way goes on, and
   * messages too: a signal must still reach the program at the end of a circuit.
   */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#endpoints.keys()) connection.send(frame({ case: 'goAway', value: {} }));
  }

  /** It stops now, whatever is under way: who waits for somebody is told that it is the router's end, not theirs. */
  breakAll(error: RpcError): void {
    for (const endpoint of this.endpoints()) {
      this.#refuseOwed(endpoint, error);
      this.#circuits.abortAll(endpoint, error);
    }
  }

  /** No circuit is open, and every request is answered. */
  get idle(): boolean {
    return this.endpoints().every(({ legs, owed }) => legs.size === 0 && owed.size === 0);
  }

  /** By name, then identity; also those that went away lately. */
  endpoints(): Endpoint[] {
    return this.#registry.list();
  }

  receive(connection: Connection, received: Frame, nowMs: number): void {
    const endpoint = this.#endpoints.get(connection);
    const { frame } = received;
    if (endpoint === undefined) {
      this.#register(connection, received, nowMs);
      return;
    }
    switch (frame.case) {
      case 'message':
        if (frame.value.reply) this.#reply(endpoint, frame.value);
        else {
          this.counters.requests++;
          this.#request(endpoint, frame.value, nowMs);
        }
        break;
      case 'circuitOpen':
        this.#circuits.open(endpoint, frame.value, (to) => {
          if (this.#draining) throw stops();
          return this.#destination(to, frame.value.hopLimit);
        });
        break;
      case 'circuitOpened':
        this.#circuits.opened(endpoint, frame.value.circuit);
        break;
      case 'circuitData':
        this.counters.circuitPieces++;
        this.#circuits.data(endpoint, frame.value);
        break;
      case 'circuitWindow':
        this.#circuits.window(endpoint, frame.value);
        break;
      case 'circuitClose':
        this.#circuits.close(endpoint, frame.value);
        break;
      case undefined:
        break; // of a later version
      default:
        this.#drop(connection, new RpcError(Code.InvalidArgument, `unexpected frame: ${frame.case}`), nowMs);
    }
  }

  /** The stream ended. */
  disconnected(connection: Connection, nowMs: number): void {
    const endpoint = this.#endpoints.get(connection);
    if (endpoint === undefined) return;
    this.#endpoints.delete(connection);
    if (endpoint.connection !== connection) return; // replaced by a later stream of the same endpoint
    this.#forgetWork(endpoint);
    this.#registry.gone(endpoint, nowMs);
  }

  /** Every second or so. */
  tick(nowMs: number): void {
    this.#registry.forgetOld(nowMs);
    for (const [connection, endpoint] of this.#endpoints) {
      for (const owed of endpoint.owed.values()) {
        if (owed.expiresMs <= nowMs) {
          this.#settle(endpoint, owed.from, owed.msgid);
          const error = new RpcError(
            Code.DeadlineExceeded,
            noAnswer(shown(endpoint), owed.deadlineMs, owed.proto),
          );
          refuse(owed.from, { msgid: owed.msgid, proto: owed.proto }, error);
        }
      }
      if (connection.waitingBytes > DEAF_BYTES) {
        this.#drop(
          connection,
          new RpcError(Code.ResourceExhausted, `${shown(endpoint)} does not read`),
          nowMs,
        );
      }
    }
  }

  #register(connection: Connection, { frame: received }: Frame, nowMs: number): void {
    if (received.case !== 'register') {
      connection.end(new RpcError(Code.InvalidArgument, 'the first frame must register the endpoint'));
      return;
    }
    let endpoint: Endpoint;
    try {
      if (this.#draining) throw stops();
      const { name, wire } = received.value;
      agreeOnWire(name || 'client', wire, 'syslinkd');
      endpoint = this.#registry.register(received.value, connection.caller);
    } catch (error) {
      connection.end(fromServiceError(error));
      return;
    }
    const earlier = endpoint.connection;
    if (earlier !== undefined) {
      this.#drop(
        earlier,
        new RpcError(Code.Aborted, `a later start of ${endpoint.name} took its place`),
        nowMs,
      );
    }
    endpoint.connection = connection;
    this.#endpoints.set(connection, endpoint);
    const value = {
      sysid: endpoint.sysid,
      circuitWindowBytes: CIRCUIT_WINDOW_BYTES,
      router: this.#number,
      settling: nowMs < this.#settledAtMs,
      wire: wireSpoken(),
    };
    connection.send(frame({ case: 'registered', value }));
  }

  #drop(connection: Connection, error: RpcError, nowMs: number): void {
    this.disconnected(connection, nowMs);
    connection.end(error);
  }

  /** Where to, or the error for the sender. */
  #destination(to: Address | undefined, hopLimit: number): Endpoint & { connection: Connection } {
    if (hopLimit === 0) throw new RpcError(Code.FailedPrecondition, 'the hop limit is used up');
    const destination = this.#registry.find(to);
    if (destination.connection.waitingBytes > FULL_BYTES) {
      throw new RpcError(Code.ResourceExhausted, `${shown(destination)} does not keep up`);
    }
    return destination;
  }

  #request(from: Endpoint, message: Message, nowMs: number): void {
    try {
      if (message.head.length > HEAD_BYTES) {
        throw new RpcError(
          Code.InvalidArgument,
          `a head of ${message.head.length} bytes; at most ${HEAD_BYTES}`,
        );
      }
      if (message.bulk.length > BULK_BYTES) {
        throw new RpcError(
          Code.InvalidArgument,
          `a bulk of ${message.bulk.length} bytes; at most ${BULK_BYTES}`,
        );
      }
      if (from.asked.has(message.msgid)) {
        throw new RpcError(Code.InvalidArgument, `msgid ${message.msgid} is in use`);
      }
      if (from.asked.size >= CALLS_LIMIT) {
        throw new RpcError(Code.ResourceExhausted, `${CALLS_LIMIT} requests wait already`);
      }
      const to = this.#destination(message.to, message.hopLimit);
      const deadlineMs = message.deadlineMs || MESSAGE_DEADLINE_MS;
      to.owed.set(owedKey(from, message.msgid), {
        from,
        msgid: message.msgid,
        proto: message.proto,
        deadlineMs,
        expiresMs: nowMs + deadlineMs,
      });
      from.asked.set(message.msgid, to);
      message.from = addressOf(from);
      message.caller = callerOf(from);
      message.hopLimit -= 1;
      to.connection.send(frame({ case: 'message', value: message }));
    } catch (error) {
      refuse(from, message, fromServiceError(error));
    }
  }

  #reply(from: Endpoint, message: Message): void {
    const owed = from.owed.get(`${message.to?.sysid}/${message.msgid}`);
    if (owed === undefined) return;
    this.#settle(from, owed.from, owed.msgid);
    if (message.head.length > HEAD_BYTES || message.bulk.length > BULK_BYTES) {
      refuse(owed.from, message, new RpcError(Code.Internal, `the reply of ${shown(from)} is too large`));
      return;
    }
    message.from = addressOf(from);
    owed.from.connection?.send(frame({ case: 'message', value: message }));
  }

  #settle(answerer: Endpoint, asker: Endpoint, msgid: bigint): void {
    answerer.owed.delete(owedKey(asker, msgid));
    asker.asked.delete(msgid);
  }

  /** Its stream is gone: whoever waits for it is told, and nobody needs to answer it. */
  #forgetWork(endpoint: Endpoint): void {
    const error = new RpcError(Code.Unavailable, `${shown(endpoint)} went away`);
    this.#refuseOwed(endpoint, error);
    for (const [msgid, answerer] of [...endpoint.asked]) this.#settle(answerer, endpoint, msgid);
    this.#circuits.closeAll(endpoint, error);
  }

  #refuseOwed(endpoint: Endpoint, error: RpcError): void {
    for (const owed of [...endpoint.owed.values()]) {
      this.#settle(endpoint, owed.from, owed.msgid);
      if (owed.from !== endpoint) refuse(owed.from, { msgid: owed.msgid, proto: owed.proto }, error);
    }
  }
}

function owedKey(from: Endpoint, msgid: bigint): string {
  return `${from.sysid}/${msgid}`;
}

/** Whoever gets it attaches to another router, or to the next life of this one. */
function stops(): RpcError {
  return tryAgain(Code.Unavailable, 'this router stops; another one takes what is new');
}

function shown(endpoint: Endpoint): string {
  return endpoint.name || `client ${endpoint.sysid}`;
}

export function addressOf({ sysid, name, session }: Endpoint): Address {
  return create(AddressSchema, { sysid, name, session });
}

/** Answers a request in the place of an endpoint. */
function refuse(asker: Endpoint, { msgid, proto }: { msgid: bigint; proto: string }, error: RpcError): void {
  const value = { to: addressOf(asker), msgid, proto, reply: true, status: statusInit(error) };
  asker.connection?.send(frame({ case: 'message', value }));
}
