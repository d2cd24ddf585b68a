// The users of NATS where it runs on Kubernetes or in containers: a role each, by a password that nats-server finds in its
// environment. Prints the file that its configuration includes:
//
//   node libs/bus/kubernetes-users.ts >k8s/base/nats-users.conf
import { type NatsUser, natsAuthorization } from './permissions.ts';

export const KUBERNETES_CLUSTER = 'odonata';

const USERS: readonly NatsUser[] = [
  { user: 'cohd', role: 'cohd', password: '$NATS_COHD_PASSWORD' },
  { user: 'pmapd', role: 'pmapd', password: '$NATS_PMAPD_PASSWORD' },
];

export const kubernetesUsers = (): string =>
  `# Made by libs/bus/kubernetes-users.ts from libs/bus/permissions.ts: who may do what.\n${natsAuthorization(KUBERNETES_CLUSTER, USERS)}`;

if (import.meta.main) process.stdout.write(kubernetesUsers());
