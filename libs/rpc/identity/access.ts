// Who may call what, from the descriptors: the option `access` of each method. A method without it is refused to all.
import { type DescMethod, getOption, hasOption } from '@bufbuild/protobuf';
import { access, type Role } from '@odonata/proto/auth/v1/access';
import type { RpcError } from '../error.ts';
import type { CallContext } from '../service.ts';
import { methodPath } from '../service.ts';
import { AccessRefusal } from './access-refusal.ts';
import { ANYONE, type Caller, isPerson, nameOfRole, personOf, type Scope, shownCaller } from './identity.ts';

export interface AccessRule {
  readonly roles: ReadonlySet<Role>;
  readonly owner: ReadonlySet<Role>;
}

const NOBODY: AccessRule = { roles: new Set(), owner: new Set() };
const rules = new WeakMap<DescMethod, AccessRule>();

export function accessRule(method: DescMethod): AccessRule {
  let rule = rules.get(method);
  if (rule === undefined) {
    rule = hasOption(method, access) ? ruleOf(method) : NOBODY;
    rules.set(method, rule);
  }
  return rule;
}

function ruleOf(method: DescMethod): AccessRule {
  const { roles, owner } = getOption(method, access);
  return { roles: new Set(roles), owner: new Set(owner) };
}

/** @throws RpcError PERMISSION_DENIED, which says whose roles would do */
export function admit(path: string, { roles, owner }: AccessRule, caller: Caller): Scope {
  if (caller === ANYONE || roles.has(caller.role)) return 'all';
  if (owner.has(caller.role)) return 'own';
  const all = [...new Set([...roles, ...owner])];
  // A person cannot become a service.
  const people = isPerson(caller) ? all.filter((role) => isPerson({ role })) : [];
  const may = (people.length > 0 ? people : all).map(nameOfRole).join(', ') || 'nobody';
  throw new AccessRefusal('role', `${shownCaller(caller)} may not call ${path}; ${may} may`);
}

/**
 * Refuses whoever may touch only their own what is somebody else's. Every handler of a method with `owner` asks.
 * @param what `process 12 of node1`
 * @param heard what they are told in its place, where they are not to know that it is there
 * @throws RpcError PERMISSION_DENIED, or as `heard`
 */
export function ownerOnly(
  { caller, scope }: CallContext,
  owner: string,
  what: string,
  heard?: RpcError,
): void {
  if (isTheirs({ caller, scope }, owner)) return;
  throw new AccessRefusal('owner', `${what} belongs to ${owner}, not to ${shownCaller(caller)}`, {
    ...(heard && { heard }),
  });
}

/** For lists, which leave out what is not theirs. */
export function isTheirs({ caller, scope }: Pick<CallContext, 'caller' | 'scope'>, owner: string): boolean {
  return scope === 'all' || personOf(caller) === owner;
}

export const accessOf = (method: DescMethod, caller: Caller): Scope =>
  admit(methodPath(method), accessRule(method), caller);
