import { create } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import type { Address, Frame, Register } from '@odonata/proto/syslink/v1/syslink';
import { AddressSchema, EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { AccessRefusal } from '@odonata/rpc/identity/access-refusal.ts';
import { ANYONE, type Caller, isPerson, shownCaller, speaksFor } from '@odonata/rpc/identity/identity.ts';
import { notFound, overQuota, tryAgain } from '@odonata/rpc/refusal.ts';
import type { RoutedTrace } from './routed-trace.ts';

/** Endpoints that went away are remembered so long, and at most so many: a list shows them as not connected. */
const REMEMBER_MS = 10 * 60_000;
const REMEMBER_LIMIT = 1_000;
export const CONNECTED_LIMIT = 10_000;
/** Clients of one person. */
export const CLIENTS_LIMIT = 1_024;
/** The lower half of an identity. */
const REGISTRATIONS_LIMIT = 2 ** 32 - 1;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;

/** The stream of an endpoint. */
export interface Connection {
  /** Who is at its other end. */
  readonly caller: Caller;
  /** @param sent called when the stream has taken it: from then on its reader may have it */
  send(frame: Frame, sent?: () => void): void;
  /** Bytes that it has not taken yet. */
  readonly waitingBytes: number;
  /** Ends the stream with an error. */
  end(error: RpcError): void;
}

/** A request that the endpoint has not answered. */
export interface Owed {
  /** Who gets the answer: the endpoint that asked, or the link that its question came by. */
  readonly from: Endpoint;
  /** Who asked. */
  readonly asker: Address;
  readonly msgid: bigint;
  readonly proto: string;
  readonly deadlineMs: number;
  readonly expiresMs: number;
  /** The identity that a name was resolved to here. */
  readonly named?: bigint | undefined;
  /** Who asked gave it up. */
  isAborted?: boolean;
}

/** One end of a circuit. */
export interface Leg {
  readonly endpoint: Endpoint;
  /** In the numbering of the endpoint's stream. */
  readonly number: bigint;
  peer: Leg;
  /** This end opened it. */
  readonly opened: boolean;
  /** Sent by this end, not yet taken by the other. */
  underWayBytes: number;
  /** Of these, what waits here still: the other end cannot have taken it. */
  parkedBytes: number;
  halfClosed: boolean;
  /** Of whoever opened the circuit, where it is traced. */
  trace?: RoutedTrace | undefined;
}

export interface Endpoint {
  readonly sysid: bigint;
  readonly name: string;
  kind: EndpointKind;
  session: bigint;
  node: string;
  nodeIndex: number;
  caller: Caller;
  connection: Connection | undefined;
  goneAtMs: number;
  /** Requests to it, by who asked and the number that they gave: `<sysid>/<msgid>`. */
  readonly owed: Map<string, Owed>;
  /** Requests of it, as above: who owes the answer. */
  readonly asked: Map<string, Endpoint>;
  readonly legs: Map<bigint, Leg>;
  /** The last number that this router gave a circuit on its stream. */
  lastLeg: bigint;
  /** True: no endpoint, but the line to another router. What comes by it says itself who sent it. */
  readonly isLink: boolean;
}

const addresses = new WeakMap<Endpoint, Address>();

/** The same one each time, as long as its session is: it goes with each message, and nobody changes it. */
export function addressOf(endpoint: Endpoint): Address {
  const known = addresses.get(endpoint);
  const { sysid, name, session } = endpoint;
  if (known?.session === session) return known;
  const address = create(AddressSchema, { sysid, name, session });
  addresses.set(endpoint, address);
  return address;
}

/** The line to another router. @param dialled by this one: then its circuits have odd numbers, else even ones */
export function linkEndpoint(name: string, connection: Connection, dialled: boolean): Endpoint {
  return {
    ...{
      sysid: 0n,
      name: `router ${name}`,
      kind: EndpointKind.UNSPECIFIED,
      session: 0n,
      node: '',
      nodeIndex: 0,
    },
    ...{ caller: connection.caller, connection, goneAtMs: 0, lastLeg: dialled ? -1n : 0n },
    ...{ owed: new Map(), asked: new Map(), legs: new Map(), isLink: true },
  };
}

/** Who is registered, by identity and by name. A named endpoint keeps its identity when it comes back. */
export class Registry {
  readonly #bySysid = new Map<bigint, Endpoint>();
  readonly #byName = new Map<string, Endpoint>();
  /** The upper half of every identity. */
  readonly #routerBits: bigint;
  #registrations = 0;
  /** One more for each change of who is attached by a name. */
  version = 0;
  /** Clients that are connected, by whose they are. */
  readonly #clients = new Map<string, number>();

  /**
   * @param router its number, 32 bits, another one in each life of each router. So an identity that was given by
   *   another router, or in another life, meets nobody here.
   */
  constructor(router: number) {
    this.#routerBits = BigInt(router) << 32n;
  }

  /**
   * The endpoint that registers, not yet connected. ABORTED when a later session of that name is connected. An earlier
   * one is still connected in the answer: the caller ends it.
   */
  register(request: Register, caller: Caller): Endpoint {
    const { name, kind, session, node, nodeIndex } = request;
    if (name === '' && kind !== EndpointKind.CLIENT) {
      throw new RpcError(Code.InvalidArgument, 'only a client may register without a name');
    }
    if (name !== '' && !NAME.test(name))
      throw new RpcError(Code.InvalidArgument, `"${name}" is no endpoint name`);
    if (this.#bySysid.size >= CONNECTED_LIMIT + REMEMBER_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CONNECTED_LIMIT} endpoints are registered already`);
    }
    expectOwnName(request, caller);
    if (name === '' && this.#clientsOf(caller) >= CLIENTS_LIMIT)
      throw overQuota(
        shownCaller(caller),
        `${shownCaller(caller)} has ${CLIENTS_LIMIT} clients connected, the most of one person`,
      );
    if (name !== '') this.version += 1;
    const known = name === '' ? undefined : this.#byName.get(name);
    if (known === undefined) return this.#add(request, caller);
    if (known.connection !== undefined && session < known.session) {
      throw new RpcError(Code.Aborted, `a later start of ${name} (session ${known.session}) is registered`);
    }
    Object.assign(known, { kind, session, node, nodeIndex, caller });
    return known;
  }

  /** It went away. A client is forgotten, a named one remembered for a while. */
  gone(endpoint: Endpoint, nowMs: number): void {
    if (endpoint.name !== '') this.version += 1;
    endpoint.connection = undefined;
    endpoint.goneAtMs = nowMs;
    if (endpoint.name === '' && this.#bySysid.delete(endpoint.sysid)) this.#count(endpoint.caller, -1);
  }

  forgetOld(nowMs: number): void {
    const away = [...this.#byName.values()]
      .filter((endpoint) => endpoint.connection === undefined)
      .sort((a, b) => b.goneAtMs - a.goneAtMs);
    for (const [index, endpoint] of away.entries()) {
      if (index < REMEMBER_LIMIT && nowMs - endpoint.goneAtMs < REMEMBER_MS) continue;
      this.#byName.delete(endpoint.name);
      this.#bySysid.delete(endpoint.sysid);
    }
  }

  /** Of those that are away, whose certificates count no more: they do not come back. */
  forgetRevoked(isRevoked: (caller: Caller) => boolean): void {
    for (const endpoint of [...this.#byName.values()]) {
      if (endpoint.connection !== undefined || !isRevoked(endpoint.caller)) continue;
      this.#byName.delete(endpoint.name);
      this.#bySysid.delete(endpoint.sysid);
      this.version += 1;
    }
  }

  /** True where it is attached here now. */
  has(to: Address): boolean {
    const endpoint = to.sysid !== 0n ? this.#bySysid.get(to.sysid) : this.#byName.get(to.name);
    return endpoint?.connection !== undefined;
  }

  /**
   * The connected endpoint that an address means, or the error that the sender gets.
   * @param elsewhere names at other routers
   */
  find(
    to: Address | undefined,
    elsewhere: () => readonly string[] = () => [],
  ): Endpoint & { connection: Connection } {
    if (to === undefined || (to.sysid === 0n && to.name === '')) {
      throw new RpcError(Code.InvalidArgument, 'no address');
    }
    const endpoint = to.sysid !== 0n ? this.#bySysid.get(to.sysid) : this.#byName.get(to.name);
    const wanted = to.sysid !== 0n ? `with sysid ${to.sysid}` : `"${to.name}"`;
    if (endpoint === undefined) {
      throw notFound(
        { type: 'endpoint', name: to.name || to.sysid },
        `no endpoint ${wanted}; registered: ${this.#names(elsewhere())}`,
      );
    }
    if (to.session !== 0n && to.session !== endpoint.session) {
      const shown = endpoint.name || `endpoint ${endpoint.sysid}`;
      throw new RpcError(Code.Aborted, `session ${to.session} of ${shown} is over; ${endpoint.session} runs`);
    }
    if (endpoint.connection === undefined) {
      throw tryAgain(Code.Unavailable, `${endpoint.name} is not connected`);
    }
    return endpoint as Endpoint & { connection: Connection };
  }

  /** By name, then identity. */
  list(): Endpoint[] {
    return [...this.#bySysid.values()].sort((a, b) =>
      a.name === b.name ? Number(a.sysid - b.sysid) : a.name < b.name ? -1 : 1,
    );
  }

  #names(elsewhere: readonly string[]): string {
    const here = this.list().flatMap((e) => (e.name !== '' && e.connection !== undefined ? [e.name] : []));
    const names = elsewhere.length === 0 ? here : [...new Set([...here, ...elsewhere])].sort();
    if (names.length === 0) return 'none';
    return names.length > 20
      ? `${names.slice(0, 20).join(', ')} and ${names.length - 20} more`
      : names.join(', ');
  }

  #add({ name, kind, session, node, nodeIndex }: Register, caller: Caller): Endpoint {
    if (this.#registrations >= REGISTRATIONS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, 'this router has given all its identities; start it again');
    }
    this.#registrations += 1;
    const sysid = this.#routerBits + BigInt(this.#registrations);
    const endpoint: Endpoint = {
      ...{ sysid, name, kind, session, node, nodeIndex, caller },
      ...{ connection: undefined, goneAtMs: 0, lastLeg: 0n },
      ...{ owed: new Map(), asked: new Map(), legs: new Map(), isLink: false },
    };
    this.#bySysid.set(endpoint.sysid, endpoint);
    if (name !== '') this.#byName.set(name, endpoint);
    else this.#count(caller, 1);
    return endpoint;
  }

  #clientsOf(caller: Caller): number {
    return this.#clients.get(shownCaller(caller)) ?? 0;
  }

  #count(caller: Caller, more: number): void {
    // Where nobody has an identity all look the same.
    if (caller === ANYONE) return;
    const count = this.#clientsOf(caller) + more;
    if (count > 0) this.#clients.set(shownCaller(caller), count);
    else this.#clients.delete(shownCaller(caller));
  }
}

/** A name is that of one identity, whatever number of session somebody gives. @throws RpcError PERMISSION_DENIED */
function expectOwnName({ name, kind, node }: Register, caller: Caller): void {
  if (caller === ANYONE || isOwnName({ name, kind, node }, caller)) return;
  throw new AccessRefusal(
    'identity',
    `${shownCaller(caller)} may not register as ${name === '' ? 'a client' : `"${name}"`}`,
  );
}

function isOwnName({ name, kind, node }: Pick<Register, 'name' | 'kind' | 'node'>, caller: Caller): boolean {
  switch (kind) {
    case EndpointKind.PMAP:
      return caller.role === Role.PMAPD && speaksFor(caller, node) && name === `${node}/pmapd`;
    case EndpointKind.VKERNEL:
      return caller.role === Role.VKERNELD && speaksFor(caller, node) && name === `${node}/vkerneld`;
    case EndpointKind.DIRECTORY:
      return caller.role === Role.COHD && speaksFor(caller, name);
    case EndpointKind.DOOR:
      return caller.role === Role.DOOR && name === 'door';
    case EndpointKind.GATEWAY:
      return caller.role === Role.GATEWAY && name.startsWith('gateway') && speaksFor(caller, name);
    case EndpointKind.CLIENT:
      return isPerson(caller) && name === '';
    default:
      return false;
  }
}
