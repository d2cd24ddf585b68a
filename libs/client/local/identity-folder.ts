// Who is who in a cluster of this machine: a folder for each that speaks.
//
//   <stateDir>/identity/<role>-<name>/   tls.crt, tls.key, ca.crt: of a service, and of the person who started the cluster
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { PERSON, type RoleName } from '@odonata/rpc/identity/identity.ts';
import type { Credential } from '../credential.ts';

interface Where {
  readonly stateDir: string;
}

export const identityDir = ({ stateDir }: Where): string => join(stateDir, 'identity');

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

/** Of whoever started the cluster; undefined for a cluster without identities. */
export const credentialHere = (plan: Where & { readonly insecure?: boolean }): Credential | undefined =>
  plan.insecure ? undefined : { tlsDir: tlsDirOf(plan, 'admin', adminName()) };
