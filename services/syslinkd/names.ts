// Names that endpoints have registered (libs/syslink/names), as the router uses them: here and at other routers.
import { create } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import type { Address, NameRegister } from '@odonata/proto/syslink/v1/syslink';
import { AddressSchema, type NamedEndpoint, NamedEndpointSchema } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { AccessRefusal } from '@odonata/rpc/identity/access-refusal.ts';
import {
  ANYONE,
  type Caller as Identity,
  isPerson,
  isService,
  shownCaller,
} from '@odonata/rpc/identity/identity.ts';
import { notFound, overQuota, tryAgain } from '@odonata/rpc/refusal.ts';
import { isForeign } from '@odonata/rpc/syslink/crossing.ts';
import {
  type Asker,
  clusterOf,
  type Holder,
  inTurn,
  isName,
  mayUse,
  NameTable,
  scopeOf,
} from '@odonata/syslink/names/name-table.ts';
import type { Elsewhere } from './elsewhere.ts';
import type { Endpoint } from './registry.ts';

export type Who = Pick<Identity, 'role' | 'name' | 'groups'>;

/** Who uses names: whoever runs the cluster, and its services, use all of them. */
export function askerOf(caller: Who | undefined): Asker {
  if (caller === undefined) return { user: undefined, groups: [], all: false };
  const { role, name, groups } = caller;
  const who = { cluster: '', role, name, groups };
  return { user: isPerson(who) ? name : undefined, groups, all: role === Role.ADMIN || isService(who) };
}

/** @throws RpcError PERMISSION_DENIED */
function expectOwnScope(name: string, caller: Identity): void {
  const { role } = caller;
  if (isForeign(name) || role === Role.GATEWAY) {
    const isTheirs = role === Role.GATEWAY && isForeign(name) && clusterOf(name) !== caller.cluster;
    if (isTheirs) return;
    throw new AccessRefusal(
      'identity',
      `${shownCaller(caller)} may not register "${name}"; a gateway does, of other clusters`,
    );
  }
  const scope = scopeOf(name);
  const runs = role === Role.ADMIN || isService(caller) || (scope === '' && role === Role.OPERATOR);
  const own = scope !== '' && role === Role.USER && caller.name === scope;
  const operators = role === Role.OPERATOR && caller.name === scope;
  if (caller === ANYONE || runs || own || operators) return;
  const may = role === Role.USER ? `; use "${caller.name}:..."` : '';
  throw new AccessRefusal('identity', `${shownCaller(caller)} may not register "${name}"${may}`);
}

export class Names {
  readonly #table = new NameTable();
  readonly #elsewhere: Elsewhere;
  /** Requests by a name that are not answered, by the identity of who got them. */
  readonly #waiting = new Map<bigint, number>();

  constructor(elsewhere: Elsewhere) {
    this.#elsewhere = elsewhere;
  }

  get version(): number {
    return this.#table.version;
  }

  /** @throws RpcError */
  register({ sysid, session, name: endpoint, caller }: Endpoint, claim: NameRegister, nowMs: number): void {
    expectOwnScope(claim.name, caller);
    if (!isName(claim.name)) {
      const wrong = `"${claim.name}" is no name; use PERSON:NAME, or :NAME of the cluster`;
      throw new RpcError(Code.InvalidArgument, wrong);
    }
    const full = this.#table.register({ sysid, session, endpoint }, claim, nowMs);
    if (full !== undefined) throw overQuota(shownCaller(caller), full);
  }

  withdraw({ sysid }: Endpoint, name: string): void {
    this.#table.withdraw(sysid, name);
  }

  gone({ sysid }: Endpoint): void {
    this.#table.gone(sysid);
  }

  tick(nowMs: number): void {
    this.#table.tick(nowMs);
  }

  /** Registered here. */
  here(): Holder[] {
    return this.#table.holders();
  }

  /** Those that the asker may use: by name, and in turn. @param name only this one */
  list(asker: Asker, name?: string): Holder[] {
    const all = [...this.#table.holders(name), ...this.#elsewhere.holders(name)];
    const mine = all.filter((holder) => mayUse(asker, holder));
    return inTurn(mine, (sysid) => this.#waiting.get(sysid) ?? 0).sort((a, b) =>
      a.name === b.name ? 0 : a.name < b.name ? -1 : 1,
    );
  }

  /** Whose turn it is. @throws RpcError NOT_FOUND, UNAVAILABLE */
  choose({ name }: Address, asker: Asker): Address {
    const [first] = this.list(asker, name);
    if (first === undefined) throw notFound({ type: 'endpoint', name }, `nobody has the name "${name}"`);
    if (first.unwell) throw tryAgain(Code.Unavailable, `nobody who has the name "${name}" is well`);
    return create(AddressSchema, { sysid: first.sysid, session: first.session, name });
  }

  /** A request by a name goes there, or was answered. */
  count(sysid: bigint, more: 1 | -1): void {
    const count = (this.#waiting.get(sysid) ?? 0) + more;
    if (count > 0) this.#waiting.set(sysid, count);
    else this.#waiting.delete(sysid);
  }
}

export function namedEndpoint({ hops: _, groups, ...holder }: Holder, router = ''): NamedEndpoint {
  return create(NamedEndpointSchema, { ...holder, groups: [...groups], router: holder.router || router });
}
