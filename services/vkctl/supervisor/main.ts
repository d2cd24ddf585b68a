// The supervisor of a local cluster: a detached process that `vkctl up` starts.
// stdin: the plan as JSON. fd 3: the cluster's lock, held by `up` and from now on by us.
import { readFileSync } from 'node:fs';
import { createLog } from '@odonata/rpc/log.ts';
import { isAlive } from '../cluster/identity.ts';
import { adoptLock } from '../cluster/lock.ts';
import { clusterPaths } from '../cluster/paths.ts';
import { planSchema } from '../cluster/record.ts';
import { Supervisor } from './supervisor.ts';

const plan = planSchema.parse(JSON.parse(readFileSync(0, 'utf8')));
const paths = { ...clusterPaths(plan.cluster), ...plan };
const log = createLog('supervisor', plan.logLevel);
const supervisor = new Supervisor({ plan, paths, lock: adoptLock(paths.lockFile, 3), log });

async function end(reason: string, code: number): Promise<void> {
  log.info({ reason }, 'going down');
  await supervisor.stop();
  process.exit(code);
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => void end(signal, 0));
}
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'supervisor failed');
  void end('uncaught exception', 70);
});
process.on('SIGUSR2', () => supervisor.replaceAsked());
supervisor.start();

const { owner } = plan;
if (owner) {
  setInterval(() => {
    if (!isAlive(owner)) void end(`owner ${owner.pid} is gone`, 0);
  }, 500);
}
