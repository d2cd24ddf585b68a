// Who speaks: a role in a cluster and a name in that role, as a URI in the certificate (and in the tokens made with it).
//
//   odonata://CLUSTER/ROLE/NAME             odonata://default/pmapd/node1
//   odonata://CLUSTER/ROLE/NAME?groups=A+B  odonata://default/user/alice?groups=physics+chess
//
// ROLE and NAME: cohd REPLICA, pmapd NODE, vkerneld NODE, syslinkd ROUTER, vkernel NODE/VKERNEL, door door, gateway GATEWAY; of people admin, operator,
// user or viewer, and their name.
import { Role } from '@odonata/proto/auth/v1/access';

export { PERSON } from './person.ts';

export interface Caller {
  readonly cluster: string;
  readonly role: Role;
  readonly name: string;
  /** Of a person, or of the person whose virtual kernel this is. */
  readonly groups: readonly string[];
  /** Of a virtual kernel: the person whose it is. */
  readonly user?: string;
  /** Of the certificate by which they came in; upper-case hex. */
  readonly serial?: string;
}

/** What a caller may touch by a method: anybody's things, or their own. */
export type Scope = 'all' | 'own';

/** `pmapd` */
export type RoleName = keyof typeof ROLES;

const ROLES = {
  admin: Role.ADMIN,
  operator: Role.OPERATOR,
  user: Role.USER,
  viewer: Role.VIEWER,
  cohd: Role.COHD,
  pmapd: Role.PMAPD,
  vkerneld: Role.VKERNELD,
  syslinkd: Role.SYSLINKD,
  vkernel: Role.VKERNEL,
  door: Role.DOOR,
  gateway: Role.GATEWAY,
} as const;

/** Roles that people have, the mightiest first. */
export const PEOPLE: readonly RoleName[] = ['admin', 'operator', 'user', 'viewer'];
const PEOPLE_ROLES: ReadonlySet<Role> = new Set(PEOPLE.map((name) => ROLES[name]));
const SERVICE_ROLES: ReadonlySet<Role> = new Set([
  Role.COHD,
  Role.PMAPD,
  Role.VKERNELD,
  Role.SYSLINKD,
  Role.DOOR,
]);

export const isPerson = ({ role }: Pick<Caller, 'role'>): boolean => PEOPLE_ROLES.has(role);
export const isService = ({ role }: Caller): boolean => SERVICE_ROLES.has(role);

/** Everybody, in a cluster without identities: may do everything, and owns what everybody owns. */
export const ANYONE: Caller = { cluster: '', role: Role.ADMIN, name: 'anyone', groups: [] };

/** Who has not said who they are; may do nothing. */
export const NOBODY: Caller = { cluster: '', role: Role.UNSPECIFIED, name: 'nobody', groups: [] };

/** Bytes, so that what is read of a certificate has a bound. */
const URI_LIMIT = 512;
const URI =
  /^odonata:\/\/([a-z0-9][a-z0-9-]{0,30})\/([a-z]{1,16})\/([A-Za-z0-9*][A-Za-z0-9._-]{0,62}(?:\/[A-Za-z0-9][A-Za-z0-9._-]{0,62})?)(?:\?groups=([a-z0-9_+-]{1,200}))?$/;

export const roleOf = (name: string): Role | undefined =>
  Object.hasOwn(ROLES, name) ? ROLES[name as RoleName] : undefined;

export function nameOfRole(role: Role): RoleName | 'nobody' {
  return (Object.keys(ROLES) as RoleName[]).find((name) => ROLES[name] === role) ?? 'nobody';
}

export function formatIdentity({ cluster, role, name, groups }: Caller): string {
  return `odonata://${cluster}/${nameOfRole(role)}/${name}${groups.length > 0 ? `?groups=${groups.join('+')}` : ''}`;
}

/** Undefined where it is none. */
export function parseIdentity(uri: string): Caller | undefined {
  const match = uri.length <= URI_LIMIT ? URI.exec(uri) : null;
  const role = match === null ? undefined : roleOf(match[2]!);
  if (match === null || role === undefined) return undefined;
  const groups = match[4]?.split('+').filter((group) => group !== '') ?? [];
  return { cluster: match[1]!, role, name: match[3]!, groups };
}

/** `pmapd node1`, for people. */
export const shownCaller = ({ role, name }: Caller): string => `${nameOfRole(role)} ${name}`;

/** Whose things somebody makes; undefined for a service, which has none. */
export function personOf(caller: Caller): string | undefined {
  if (caller.role === Role.VKERNEL) return caller.user;
  return isPerson(caller) ? caller.name : undefined;
}

/**
 * True where a certificate's holder may speak as this name: `*` stands for each (a certificate that all instances of a
 * role share, as in a Deployment).
 */
export const speaksFor = ({ name }: Caller, wanted: string): boolean => name === '*' || name === wanted;
