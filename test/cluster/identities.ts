// Identities in a cluster of a test, made by its own authority: of a service that the test stands in for, or of a person.

import { join } from 'node:path';
import { Role } from '@odonata/proto/auth/v1/access';
import { Authority } from '../../libs/authority/authority.ts';
import { parseIdentity } from '../../libs/rpc/identity/identity.ts';
import { TlsFolder } from '../../libs/rpc/identity/tls-folder.ts';
import { makeToken } from '../../libs/rpc/identity/token.ts';
import { authorityDir, identityDir } from '../../services/vkctl/cluster/certificates.ts';
import type { ClusterPlan } from '../../services/vkctl/cluster/record.ts';

/** @param who `pmapd/node1`, `user/alice?groups=physics` */
export async function identityIn(
  plan: Pick<ClusterPlan, 'stateDir' | 'cluster'>,
  who: string,
): Promise<TlsFolder> {
  const caller = parseIdentity(`odonata://${plan.cluster}/${who}`);
  if (caller === undefined) throw new Error(`${who} is no identity`);
  const dir = join(identityDir(plan), `test-${who.replaceAll(/[^a-z0-9]/g, '-')}`);
  await (await Authority.in(authorityDir(plan), plan.cluster)).issue(caller, dir, { days: 1 });
  return new TlsFolder(dir);
}

/** What a virtual kernel of a node, of a person's, shows to that node's sockets. */
export async function vkernelTokenIn(
  plan: Pick<ClusterPlan, 'stateDir' | 'cluster'>,
  about: { node: string; name: string; user: string; sockets: readonly string[] },
): Promise<string> {
  const { node, name, user, sockets } = about;
  const { identity } = await identityIn(plan, `vkerneld/${node}`);
  const subject = { cluster: plan.cluster, role: Role.VKERNEL, name: `${node}/${name}`, user, groups: [] };
  return makeToken(identity, { audience: sockets, nowMs: Date.now(), lifeMs: 3_600_000, subject });
}
