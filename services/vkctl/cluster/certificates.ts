// Who is who in a cluster of this machine: its authority, and a folder for each that speaks.
//
//   <stateDir>/identity/ca/              ca.crt, ca.key: the authority; it stays as long as the store stays
//   <stateDir>/identity/<role>-<name>/   tls.crt, tls.key, ca.crt: of a service, and of the person who started the cluster
import { mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { type Caller, PERSON, type RoleName, roleOf } from '@odonata/rpc/identity/identity.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { ClusterPlan } from './record.ts';

/** A cluster lives no longer; each start makes new ones. */
const DAYS = 3_650;

type Where = Pick<ClusterPlan, 'stateDir'>;

export const identityDir = ({ stateDir }: Where): string => join(stateDir, 'identity');
export const authorityDir = (plan: Where): string => join(identityDir(plan), 'ca');
/** @param name of a node, a replica, a router or a person */
export const tlsDirOf = (plan: Where, role: RoleName, name: string): string =>
  join(identityDir(plan), `${role}-${name}`);

/** Whoever starts a cluster is its admin, by the name that they have on this machine. */
export function adminName(): string {
  const uid = process.getuid!();
  try {
    const { username } = userInfo();
    if (PERSON.test(username)) return username;
  } catch {
    // A uid without a name.
  }
  return `uid${uid}`;
}

/** The identity of whoever started the cluster; undefined for a cluster without identities. */
export const adminFolder = (plan: Where & Pick<ClusterPlan, 'insecure'>): TlsFolder | undefined =>
  plan.insecure ? undefined : new TlsFolder(tlsDirOf(plan, 'admin', adminName()));

/** Makes what is missing of the authority, and new certificates for all. */
export async function makeCertificates(
  plan: ClusterPlan,
  services: readonly [RoleName, string][],
): Promise<void> {
  mkdirSync(identityDir(plan), { recursive: true, mode: 0o700 });
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  const all: readonly [RoleName, string][] = [...services, ['admin', adminName()]];
  await Promise.all(
    all.map(([role, name]) =>
      authority.issue(callerOf(plan, role, name), tlsDirOf(plan, role, name), { days: DAYS }),
    ),
  );
}

export const callerOf = (
  { cluster }: Pick<ClusterPlan, 'cluster'>,
  role: RoleName,
  name: string,
): Caller => ({
  ...{ cluster, role: roleOf(role)!, name, groups: [] },
});
