// The certificates of a cluster of this machine: its authority, and a folder for each that speaks (libs/client knows where).
//
//   <stateDir>/identity/ca/              ca.crt, ca.key: the authority; it stays as long as the store stays
//   <stateDir>/identity/<role>-<name>/   tls.crt, tls.key, ca.crt: of a service, and of the person who started the cluster
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '@odonata/authority/authority.ts';
import { NATS_NAME } from '@odonata/bus/credential.ts';
import { folderOf } from '@odonata/client/credential.ts';
import { adminName, credentialHere, identityDir, tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import { type Caller, type RoleName, roleOf } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { ClusterPlan } from './record.ts';

export { adminName, identityDir, tlsDirOf } from '@odonata/client/local/identity-folder.ts';

/** A cluster lives no longer; each start makes new ones. */
export const DAYS = 3_650;

type Where = Pick<ClusterPlan, 'stateDir'>;

/** What nats-server shows, where it is reached from other machines. */
export const natsServerDir = (plan: Where): string => join(identityDir(plan), 'nats-server');
export const authorityDir = (plan: Where): string => join(identityDir(plan), 'ca');
/** The identity of whoever started the cluster; undefined for a cluster without identities. */
export const adminFolder = (plan: Where & Pick<ClusterPlan, 'insecure'>): TlsFolder | undefined =>
  folderOf(credentialHere(plan));

/** Makes what is missing of the authority, and new certificates for all. */
export async function makeCertificates(
  plan: ClusterPlan,
  services: readonly [RoleName, string][],
): Promise<void> {
  mkdirSync(identityDir(plan), { recursive: true, mode: 0o700 });
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  if (plan.host !== undefined) await authority.issueServer(NATS_NAME, natsServerDir(plan), { days: DAYS });
  const all: readonly [RoleName, string][] = [...services, ['admin', adminName()]];
  await Promise.all(
    all.map(([role, name]) =>
      authority.issue(callerOf(plan, role, name), tlsDirOf(plan, role, name), {
        days: DAYS,
        host: plan.host,
      }),
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
