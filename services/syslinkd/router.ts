import type { Address, Frame, Message, MessageAbort, NameRegister } from '@odonata/proto/syslink/v1/syslink';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { Caller } from '@odonata/rpc/identity/identity.ts';
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
import { isScoped } from '@odonata/syslink/names/name-table.ts';
import { whoAsks } from './asking.ts';
import { CircuitTable } from './circuits.ts';
import { type Elsewhere, NOBODY_ELSEWHERE } from './elsewhere.ts';
import { askerOf, Names, type Who } from './names.ts';
import type { Connection, Endpoint, Owed } from './registry.ts';
import { addressOf, linkEndpoint, Registry } from './registry.ts';

/** Above this an endpoint does not keep up: new requests to it are refused. */
export const FULL_BYTES = 64 * 1024 * 1024;
/** Requests that wait for their answers through the line to another router. */
export const LINK_CALLS_LIMIT = 65_536;
/** Above this it does not read at all: its stream is ended. Replies and circuits within their windows stay below. */
export const DEAF_BYTES = 256 * 1024 * 1024;

/**
 * The router, without sockets, clock or timers: frames in, frames out, the time is told.
 *
 * A message is a request or the reply to one. The router knows every request that is not answered yet, so that each
 * gets exactly one answer: the endpoint's, or UNAVAILABLE when that goes away. A reply that nobody waits for is
 * dropped. Circuits: see CircuitTable.
 *
 * The line to another router is an endpoint too: what it asks and answers comes from whoever is attached there, and says
 * so itself. So a request that crosses routers is owed at each of them, and each hop that breaks is answered.
 */
export class Router {
  readonly #registry: Registry;
  readonly #endpoints = new Map<Connection, Endpoint>();
  readonly #circuits = new CircuitTable();
  /** Frames that endpoints sent, by what they belong to. */
  readonly counters = { requests: 0, circuitPieces: 0 };
  readonly #number: number;
  readonly #settledAtMs: number;
  readonly #elsewhere: Elsewhere;
  readonly names: Names;
  #draining = false;

  /**
   * @param options.number random, of this life of this router; 32 bits
   * @param options.settledAtMs until then services may not have found it
   * @param options.elsewhere who is attached to other routers
   */
  constructor(options: { number: number; settledAtMs?: number; elsewhere?: Elsewhere }) {
    this.#elsewhere = options.elsewhere ?? NOBODY_ELSEWHERE;
    this.names = new Names(this.#elsewhere);
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
    for (const [connection, { isLink }] of this.#endpoints)
      if (!isLink) connection.send(frame({ case: 'goAway', value: {} }));
  }

  /** It stops now, whatever is under way: who waits for somebody is told that it is the router's end, not theirs. */
  breakAll(error: RpcError): void {
    for (const endpoint of this.#all()) {
      this.#refuseOwed(endpoint, error);
      this.#circuits.abortAll(endpoint, error);
    }
  }

  /** No circuit is open, and every request is answered. */
  get idle(): boolean {
    return this.#all().every(({ legs, owed }) => legs.size === 0 && owed.size === 0);
  }

  /** Endpoints, also those that went away lately, and lines to other routers. */
  #all(): Endpoint[] {
    return [...this.endpoints(), ...[...this.#endpoints.values()].filter(({ isLink }) => isLink)];
  }

  /** One more for each change of who is attached by which names. */
  get version(): number {
    return this.#registry.version + this.names.version;
  }

  /** A line to another router is up. `disconnected` ends it. */
  addLink(name: string, connection: Connection, dialled: boolean): Endpoint {
    const link = linkEndpoint(name, connection, dialled);
    this.#endpoints.set(connection, link);
    return link;
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
      case 'messageAbort':
        this.#abort(endpoint, frame.value);
        break;
      case 'circuitOpen':
        this.#circuits.open(endpoint, frame.value, (to) => {
          if (this.#draining) throw stops();
          expectSender(endpoint, frame.value.from, this.#number);
          frame.value.caller = whoAsks(endpoint, frame.value);
          const there = this.#unnamed(to, frame.value.caller);
          frame.value.to = there;
          return this.#destination(there, frame.value.hopLimit, endpoint);
        });
        break;
      case 'circuitOpened':
        this.#circuits.opened(endpoint, frame.value);
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
      case 'nameRegister':
      case 'nameWithdraw':
        if (endpoint.isLink) break; // names go in statements
        if (frame.case === 'nameWithdraw') this.names.withdraw(endpoint, frame.value.name);
        else this.#registerName(endpoint, frame.value, nowMs);
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
    this.names.gone(endpoint);
    if (endpoint.isLink) endpoint.connection = undefined;
    else this.#registry.gone(endpoint, nowMs);
  }

  /** Every second or so. */
  tick(nowMs: number, isRevoked: (caller: Caller) => boolean = () => false): void {
    this.#registry.forgetOld(nowMs);
    this.#registry.forgetRevoked(isRevoked);
    this.names.tick(nowMs);
    for (const [connection, endpoint] of this.#endpoints) {
      for (const owed of endpoint.owed.values()) {
        if (owed.expiresMs <= nowMs) {
          this.#settle(endpoint, owed);
          const error = new RpcError(
            Code.DeadlineExceeded,
            noAnswer(shown(endpoint), owed.deadlineMs, owed.proto),
          );
          refuse(owed, error);
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

  #registerName(endpoint: Endpoint, claim: NameRegister, nowMs: number): void {
    try {
      this.names.register(endpoint, claim, nowMs);
    } catch (error) {
      const value = { name: claim.name, status: statusInit(fromServiceError(error)) };
      endpoint.connection?.send(frame({ case: 'nameRefused', value }));
    }
  }

  /** A name that several may have becomes the identity of one of them, once, where the request comes in. */
  #unnamed(to: Address | undefined, caller: Who | undefined) {
    if (to === undefined || to.sysid !== 0n || !isScoped(to.name)) return to;
    return this.names.choose(to, askerOf(caller));
  }

  /** Where to, or the error for the sender. */
  #destination(
    to: Address | undefined,
    hopLimit: number,
    from: Endpoint,
  ): Endpoint & { connection: Connection } {
    if (hopLimit === 0) throw new RpcError(Code.FailedPrecondition, 'the hop limit is used up');
    const away = to !== undefined && !this.#registry.has(to) ? this.#elsewhere.linkTo(to, from) : undefined;
    const destination = isConnected(away) ? away : this.#registry.find(to, () => this.#elsewhere.names());
    if (destination.connection.waitingBytes > FULL_BYTES) {
      throw new RpcError(Code.ResourceExhausted, `${shown(destination)} does not keep up`);
    }
    return destination;
  }

  #request(from: Endpoint, message: Message, nowMs: number): void {
    const { msgid, proto } = message;
    const asker = from.isLink ? message.from : addressOf(from);
    if (asker === undefined) return; // who asks without a name cannot be answered
    try {
      expectSender(from, asker, this.#number);
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
      const key = owedKey(asker, msgid);
      if (from.asked.has(key)) throw new RpcError(Code.InvalidArgument, `msgid ${msgid} is in use`);
      const limit = from.isLink ? LINK_CALLS_LIMIT : CALLS_LIMIT;
      if (from.asked.size >= limit)
        throw new RpcError(Code.ResourceExhausted, `${limit} requests wait already`);
      message.caller = whoAsks(from, message);
      const there = this.#unnamed(message.to, message.caller);
      const named = there === message.to ? undefined : there?.sysid;
      message.to = there;
      const to = this.#destination(there, message.hopLimit, from);
      // It came by another line before, which broke meanwhile: whoever asked has heard so.
      if (to.owed.has(key)) throw new RpcError(Code.Aborted, `msgid ${msgid} is under way already`);
      const deadlineMs = message.deadlineMs || MESSAGE_DEADLINE_MS;
      to.owed.set(key, { from, asker, msgid, proto, named, deadlineMs, expiresMs: nowMs + deadlineMs });
      if (named !== undefined) this.names.count(named, 1);
      from.asked.set(key, to);
      if (!from.isLink) message.from = asker;
      message.hopLimit -= 1;
      to.connection.send(frame({ case: 'message', value: message }));
    } catch (error) {
      refuse({ from, asker, msgid, proto }, fromServiceError(error));
    }
  }

  /** Told once, along the way of the request; its answer comes as ever. */
  #abort(from: Endpoint, { msgid, from: asked }: MessageAbort): void {
    const asker = from.isLink ? asked : addressOf(from);
    if (asker === undefined) return;
    const key = owedKey(asker, msgid);
    const to = from.asked.get(key);
    const owed = to?.owed.get(key);
    if (owed === undefined || owed.isAborted) return;
    owed.isAborted = true;
    to?.connection?.send(frame({ case: 'messageAbort', value: { msgid, from: asker } }));
  }

  #reply(from: Endpoint, message: Message): void {
    const owed = from.owed.get(`${message.to?.sysid}/${message.msgid}`);
    if (owed === undefined) return;
    this.#settle(from, owed);
    if (message.head.length > HEAD_BYTES || message.bulk.length > BULK_BYTES) {
      refuse(owed, new RpcError(Code.Internal, `the reply of ${shown(from)} is too large`));
      return;
    }
    if (!from.isLink) message.from = addressOf(from);
    owed.from.connection?.send(frame({ case: 'message', value: message }));
  }

  #settle(answerer: Endpoint, { from, asker, msgid, named }: Owed): void {
    if (named !== undefined) this.names.count(named, -1);
    const key = owedKey(asker, msgid);
    answerer.owed.delete(key);
    from.asked.delete(key);
  }

  /** Its stream is gone: whoever waits for it is told, and nobody needs to answer it. */
  #forgetWork(endpoint: Endpoint): void {
    const error = new RpcError(Code.Unavailable, `${shown(endpoint)} went away`);
    this.#refuseOwed(endpoint, error);
    for (const [key, answerer] of [...endpoint.asked]) {
      const owed = answerer.owed.get(key);
      if (owed !== undefined) this.#settle(answerer, owed);
    }
    this.#circuits.closeAll(endpoint, error);
  }

  #refuseOwed(endpoint: Endpoint, error: RpcError): void {
    for (const owed of [...endpoint.owed.values()]) {
      this.#settle(endpoint, owed);
      if (owed.from !== endpoint) refuse(owed, error);
    }
  }
}

function owedKey({ sysid }: Address, msgid: bigint): string {
  return `${sysid}/${msgid}`;
}

const isConnected = (endpoint: Endpoint | undefined): endpoint is Endpoint & { connection: Connection } =>
  endpoint?.connection !== undefined;

/** Another router sends for those who are attached there or beyond, and not for ours. @throws RpcError */
function expectSender({ isLink, name }: Endpoint, sender: Address | undefined, router: number): void {
  if (!isLink) return;
  if (sender !== undefined && sender.sysid !== 0n && sender.sysid >> 32n !== BigInt(router)) return;
  throw new RpcError(Code.PermissionDenied, `${name} sends in the name of somebody who is not there`);
}

/** Whoever gets it attaches to another router, or to the next life of this one. */
function stops(): RpcError {
  return tryAgain(Code.Unavailable, 'this router stops; another one takes what is new');
}

function shown(endpoint: Endpoint): string {
  return endpoint.name || `client ${endpoint.sysid}`;
}

/** Answers a request in the place of an endpoint. */
function refuse(
  { from, asker, msgid, proto }: Pick<Owed, 'from' | 'asker' | 'msgid' | 'proto'>,
  error: RpcError,
): void {
  const value = { to: asker, msgid, proto, reply: true, status: statusInit(error) };
  from.connection?.send(frame({ case: 'message', value }));
}
