// Who may come to the NATS server of a cluster of this machine: each service as itself, by a random password.
//
//   <stateDir>/identity/<role>-<name>/nats   user and password, a line each, of mode 0600
//   <stateDir>/identity/keeper/nats          of the supervisor, which looks after the records of the directory,
//   <stateDir>/identity/keeper/nats-pages    and after the store
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type NatsRole, type NatsUser, natsAuthorization } from '@odonata/bus/permissions.ts';
import { identityDir, tlsDirOf } from './certificates.ts';
import { membersIn, readNodes } from './nodes-file.ts';
import type { ClusterPlan } from './record.ts';

const PASSWORD_BYTES = 24;

type Where = Pick<ClusterPlan, 'stateDir'>;

export const natsFileOf = (plan: Where, role: 'cohd' | 'pmapd', name: string): string =>
  join(tlsDirOf(plan, role, name), 'nats');
export const keeperFile = (plan: Where): string => join(identityDir(plan), 'keeper', 'nats');
export const pagesKeeperFile = (plan: Where): string => join(identityDir(plan), 'keeper', 'nats-pages');

type Known = Pick<ClusterPlan, 'stateDir' | 'cluster' | 'nodes'>;

/** Makes a credential for each of this machine. */
export const makeNatsUsers = (plan: Known, replicas: readonly string[]): NatsUser[] => [
  makeUser('keeper', 'keeper', keeperFile(plan)),
  makeUser('pages-keeper', 'pages-keeper', pagesKeeperFile(plan)),
  ...replicas.map((name) => makeUser('cohd', name, natsFileOf(plan, 'cohd', name))),
  ...plan.nodes.map(({ name }) => makeUser('pmapd', natsUserOf(name), natsFileOf(plan, 'pmapd', name))),
];

/** The part of the server's configuration that knows them, and the nodes of other machines. */
export function natsUsersConfig(plan: Known, here: readonly NatsUser[]): string {
  const members = membersIn(readNodes(plan)).map(
    ({ name, natsPassword }): NatsUser => ({
      ...{ user: natsUserOf(name), password: JSON.stringify(natsPassword), role: 'pmapd' },
    }),
  );
  return natsAuthorization(plan.cluster, [...here, ...members]);
}

/** Of the pmap manager of a node. */
export const natsUserOf = (node: string): string => `pmapd-${node}`;

export const newNatsPassword = (): string => randomBytes(PASSWORD_BYTES).toString('base64url');

/** @param file from which the service reads it at each connection */
export function writeNatsCredential(file: string, user: string, password: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${user}\n${password}\n`, { mode: 0o600 });
}

function makeUser(role: NatsRole, user: string, file: string): NatsUser {
  const password = newNatsPassword();
  writeNatsCredential(file, user, password);
  return { user, password: JSON.stringify(password), role };
}
