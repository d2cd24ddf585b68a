// For whom something is asked, where one service asks another on behalf of somebody (proto/odonata/auth/v1/access.proto).
import { Role } from '@odonata/proto/auth/v1/access';
import type { CallContext } from '../service.ts';
import { ANYONE, personOf } from './identity.ts';
import { ownFolder } from './own.ts';

export interface Requester {
  /** Whose is what they make; empty: they make nothing. */
  readonly user: string;
  readonly groups: string[];
  /** They may do everything, also with what belongs to others. */
  readonly all: boolean;
}

/** A service that asks on its own behalf. */
export const THE_SERVICE: Requester = { user: '', groups: [], all: true };

/** Who calls. A virtual kernel asks for the person whose it is, with no more than that one may. */
export function requesterOf({ caller, scope }: Pick<CallContext, 'caller' | 'scope'>): Requester {
  const all = scope === 'all' && (caller === ANYONE || caller.role !== Role.VKERNEL);
  return { user: personOf(caller) ?? '', groups: [...caller.groups], all };
}

/** The same, in the groups that they are in now: what was made for them earlier, as a session, knows those of then. */
export function asOfNow(requester: Requester): Requester {
  const listed = ownFolder()?.identity.people?.get(requester.user);
  return listed === undefined ? requester : { ...requester, groups: [...listed.groups] };
}

/** False where a list of people is kept here, and they are not in it, or were removed. */
export function mayBeIn(user: string): boolean {
  const people = ownFolder()?.peopleNow();
  return people === undefined || people.get(user)?.removed === false;
}
