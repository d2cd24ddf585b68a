// The command line of a gateway of a cluster of this machine.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import {
  NODE_FLAGS,
  nearDirectories,
  pagesDoor,
  routersOf,
  type ServiceSpec,
} from '../supervisor/service-spec.ts';
import type { WantedGateway } from './gateway-file.ts';

const MAIN = fileURLToPath(new URL('../../syslinkd/main.ts', import.meta.url));
export const GATEWAY = 'gateway';

/** Of Node. */
export const gatewayArgs = (
  plan: ClusterPlan,
  { policy, logLevel, metricsListen }: WantedGateway,
): string[] => [
  ...[...NODE_FLAGS, MAIN, '--gateway', policy, '--syslink', routersOf(plan)],
  ...['--directory', nearDirectories(plan).join(), '--pages-listen', pagesDoor(plan)],
  ...['--tls-dir', tlsDirOf(plan, GATEWAY, GATEWAY), '--log-level', logLevel],
  ...['--events-file', join(plan.stateDir, 'events', `${GATEWAY}.jsonl`)],
  ...(metricsListen === undefined ? [] : ['--metrics-listen', metricsListen]),
];

export const gatewaySpec = (plan: ClusterPlan, wanted: WantedGateway): ServiceSpec => ({
  name: GATEWAY,
  // Where others connect says its policy.
  address: '-',
  command: process.execPath,
  args: gatewayArgs(plan, wanted),
  logFile: join(plan.stateDir, 'logs', `${GATEWAY}.log`),
});
