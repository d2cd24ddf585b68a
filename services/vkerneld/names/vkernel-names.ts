// Which names programs of a virtual kernel may use: those of its own user, unless somebody said more or less of it.
import { invalidField } from '@odonata/rpc/refusal.ts';
import { isName, scopeOf } from '@odonata/syslink/names/name-table.ts';

/** What somebody said of a virtual kernel. */
export interface NamePolicy {
  /** Besides those of its user, each in full, or with * at the end. */
  readonly listen: readonly string[];
  readonly connect: readonly string[];
  /** Not even those of its user. */
  readonly none: boolean;
}

export interface NamedPolicy {
  readonly name: string;
  readonly user: string;
  readonly names: NamePolicy;
}

const OWN: NamePolicy = { listen: [], connect: [], none: false };
/** As many virtual kernels of a node as anything is said of. */
const SAID_MAX = 1_000;

export class VkernelNames {
  readonly #byKey = new Map<string, NamedPolicy>();

  constructor(known: readonly NamedPolicy[], keyOf: (of: NamedPolicy) => string) {
    for (const each of known) this.#byKey.set(keyOf(each), each);
  }

  /** Undefined: nobody said anything. */
  of(key: string): NamePolicy | undefined {
    return this.#byKey.get(key)?.names;
  }

  all(): Iterable<[key: string, said: NamedPolicy]> {
    return this.#byKey;
  }

  /** @throws RpcError INVALID_ARGUMENT */
  expectRules({ listen, connect }: NamePolicy): void {
    for (const [field, rules] of [['names.listen', listen] as const, ['names.connect', connect] as const])
      for (const rule of rules)
        if (!isName(rule.replace(/\*(?=@|$)/, 'x')))
          throw invalidField(field, `"${rule}" is no name: use PERSON:NAME, :NAME, or one with * at its end`);
  }

  /** @throws RpcError INVALID_ARGUMENT */
  set(key: string, { name, user, names: said }: NamedPolicy): void {
    const { listen, connect, none } = said;
    this.expectRules(said);
    if (!this.#byKey.has(key) && this.#byKey.size >= SAID_MAX)
      throw invalidField('names', `names are said of ${SAID_MAX} virtual kernels here, the most of a node`);
    const names = { listen: [...listen], connect: [...connect], none };
    if (listen.length === 0 && connect.length === 0 && !none) this.#byKey.delete(key);
    else this.#byKey.set(key, { name, user, names });
  }

  remove(key: string): boolean {
    return this.#byKey.delete(key);
  }

  may(key: string, user: string, what: 'listen' | 'connect', name: string): boolean {
    const policy = this.of(key) ?? OWN;
    if (!policy.none && scopeOf(name) === user) return true;
    return policy[what].some((rule) => matches(rule, name));
  }
}

/** What is said of names of this cluster says nothing of those of others: `alice:*` is not `alice:*@west`. */
function matches(rule: string, name: string): boolean {
  const [wanted = '', cluster = ''] = rule.split('@');
  const [local = '', of = ''] = name.split('@');
  if (cluster !== of) return false;
  return wanted.endsWith('*') ? local.startsWith(wanted.slice(0, -1)) : wanted === local;
}

/** As it is kept. */
export function policyRecord({ name, user, names: { listen, connect, none } }: NamedPolicy) {
  return { name, user, names: { listen: [...listen], connect: [...connect], none } };
}

/** In full: a name without a scope is of the user. Undefined: it is no name. */
export function fullName(name: string, user: string): string | undefined {
  const full = name.includes(':') ? name : `${user}:${name}`;
  return isName(full) ? full : undefined;
}
