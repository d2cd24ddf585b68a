// Names that endpoints answer to besides their own: who has them, who may use them, who gets the next request. Pure: the
// time is told.
//
//   alice:web   of whoever alice is: she registers it, and services of the cluster do so for her programs
//   :clock      of the cluster: those who run it, and its services, register it
//   alice:web@west   the same of another cluster: a gateway registers it
//
// Several endpoints may have one name. It belongs to the stream of its endpoint and to a lease: it ends with the first of
// these that ends. Who may not use a name does not learn that there is one.

/** Of one endpoint. */
export const NAMES_OF_ENDPOINT = 256;
/** Of one person at a router, whoever registered them: what is left is for the others. */
export const NAMES_OF_PERSON = 512;
/** Of one router. */
export const NAMES_OF_ROUTER = 1_024;
export const NAME_LEASE_MS = 30_000;
const LEAST_LEASE_MS = 1_000;

/** What an endpoint says of a name. */
export interface NameClaim {
  readonly name: string;
  readonly load: number;
  readonly unwell: boolean;
  readonly everyone: boolean;
  readonly groups: readonly string[];
  /** 0: NAME_LEASE_MS. */
  readonly leaseMs: number;
}

export interface Holder extends Omit<NameClaim, 'leaseMs'> {
  readonly sysid: bigint;
  readonly session: bigint;
  /** Its own name; empty for a client. */
  readonly endpoint: string;
  /** Routers to there; 0: attached here. */
  readonly hops: number;
  readonly router: string;
}

/** Who asks. */
export interface Asker {
  readonly user: string | undefined;
  readonly groups: readonly string[];
  /** They may use everybody's. */
  readonly all: boolean;
}

const NAME = /^(?:[a-z_][a-z0-9_-]{0,31})?:[A-Za-z0-9][A-Za-z0-9._/-]{0,63}(?:@[a-z0-9][a-z0-9-]{0,30})?$/;
const NAME_LENGTH = 97;

export const isName = (name: string): boolean => name.length <= NAME_LENGTH && NAME.test(name);
export const isScoped = (name: string): boolean => name.includes(':');

/** The cluster that a name is of; empty: this one. */
export const clusterOf = (name: string): string => {
  const at = name.lastIndexOf('@');
  return at < 0 ? '' : name.slice(at + 1);
};
const isForeign = (name: string): boolean => name.includes('@');

/** Whose a name is; empty: the cluster's. Of another cluster it is nobody's here: `alice@west`, whom no person is called. */
export function scopeOf(name: string): string {
  const person = name.slice(0, Math.max(0, name.indexOf(':')));
  return isForeign(name) ? `${person}@${clusterOf(name)}` : person;
}

export function mayUse(
  { user, groups, all }: Asker,
  holder: Pick<Holder, 'name' | 'everyone' | 'groups'>,
): boolean {
  const scope = scopeOf(holder.name);
  if (all || holder.everyone || (scope !== '' && user === scope)) return true;
  return holder.groups.some((group) => groups.includes(group));
}

/** Whose turn it is first: the well ones, by what they have to do, as they said and as is seen from here. */
export function inTurn(holders: readonly Holder[], waiting: (sysid: bigint) => number): Holder[] {
  return [...holders].sort(
    (a, b) =>
      Number(a.unwell) - Number(b.unwell) ||
      a.load - b.load ||
      waiting(a.sysid) - waiting(b.sysid) ||
      a.hops - b.hops ||
      (a.sysid < b.sysid ? -1 : 1),
  );
}

interface Lease {
  readonly holder: Holder;
  readonly untilMs: number;
}

export class NameTable {
  /** By identity, then name. */
  readonly #leases = new Map<bigint, Map<string, Lease>>();
  #count = 0;
  /** By whose they are. */
  readonly #ofPerson = new Map<string, number>();
  /** One more for each change that others have to hear of. */
  version = 0;

  /** @returns why it cannot be */
  register(
    who: Pick<Holder, 'sysid' | 'session' | 'endpoint'>,
    claim: NameClaim,
    nowMs: number,
  ): string | undefined {
    const { leaseMs, ...said } = claim;
    const held = this.#leases.get(who.sysid) ?? new Map<string, Lease>();
    const before = held.get(claim.name)?.holder;
    if (before === undefined) {
      if (held.size >= NAMES_OF_ENDPOINT) return `an endpoint has ${NAMES_OF_ENDPOINT} names at most`;
      if (this.#count >= NAMES_OF_ROUTER) return `a router has ${NAMES_OF_ROUTER} names at most`;
      const scope = scopeOf(claim.name);
      if (scope !== '' && (this.#ofPerson.get(scope) ?? 0) >= NAMES_OF_PERSON)
        return `${scope} has ${NAMES_OF_PERSON} names at this router, the most of one person`;
      this.#counted(scope, 1);
    }
    const holder = { ...said, ...who, hops: 0, router: '' };
    held.set(claim.name, { holder, untilMs: nowMs + Math.max(LEAST_LEASE_MS, leaseMs || NAME_LEASE_MS) });
    this.#leases.set(who.sysid, held);
    if (before === undefined || !saysTheSame(before, holder)) this.version += 1;
    return undefined;
  }

  withdraw(sysid: bigint, name: string): void {
    const held = this.#leases.get(sysid);
    if (held === undefined || !held.delete(name)) return;
    this.#counted(scopeOf(name), -1);
    this.version += 1;
    if (held.size === 0) this.#leases.delete(sysid);
  }

  #counted(scope: string, more: 1 | -1): void {
    this.#count += more;
    const count = (this.#ofPerson.get(scope) ?? 0) + more;
    if (count > 0) this.#ofPerson.set(scope, count);
    else this.#ofPerson.delete(scope);
  }

  /** Its stream ended. */
  gone(sysid: bigint): void {
    for (const name of [...(this.#leases.get(sysid)?.keys() ?? [])]) this.withdraw(sysid, name);
  }

  tick(nowMs: number): void {
    for (const [sysid, held] of [...this.#leases]) {
      for (const [name, { untilMs }] of [...held]) if (untilMs <= nowMs) this.withdraw(sysid, name);
    }
  }

  /** @param name only this one */
  holders(name?: string): Holder[] {
    const found: Holder[] = [];
    for (const held of this.#leases.values()) {
      if (name === undefined) for (const { holder } of held.values()) found.push(holder);
      else if (held.has(name)) found.push(held.get(name)!.holder);
    }
    return found;
  }
}

const saysTheSame = (a: Holder, b: Holder): boolean =>
  a.load === b.load &&
  a.unwell === b.unwell &&
  a.everyone === b.everyone &&
  a.session === b.session &&
  a.groups.join() === b.groups.join();
