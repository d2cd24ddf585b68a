// `make k8s-test`: the dev overlay on the cluster that KUBECONFIG names: deployed, used, scaled, rolled, deleted.
// Without a cluster it says in one line what is missing, and ends with 0. The images must be where the cluster finds
// them: `make images`, then for kind: kind load docker-image odonata/{cohd,pmapd,syslinkd,vkerneld}:0.2.0
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { startVkctl } from '../cluster/command.ts';
import { countWords } from './count-words.ts';
import { K8S } from './render.ts';

const OVERLAY = join(K8S, 'overlays/dev');
const READY = '--timeout=300s';

function missing(): string | undefined {
  if (!process.env.KUBECONFIG) return 'KUBECONFIG is not set';
  if (findTool('kubectl') === undefined) return 'kubectl is not installed';
  const { status, stderr } = spawnSync('kubectl', ['version', '--request-timeout=10s'], { encoding: 'utf8' });
  return status === 0 ? undefined : `the cluster does not answer: ${stderr.trim().split('\n').at(-1)}`;
}

function kubectl(...args: string[]): string {
  return execFileSync('kubectl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function step<T>(what: string, work: () => T): T {
  console.log(`k8s-test: ${what}`);
  return work();
}

function waitReady(): void {
  for (const workload of [
    'statefulset/nats',
    'deployment/syslinkd',
    'deployment/cohd',
    'daemonset/pmapd',
    'deployment/vkerneld',
  ])
    kubectl('-n', 'odonata', 'rollout', 'status', workload, READY);
}

/** The machines of the cluster that have a pmapd: not those that are tainted. */
function machinesWithPmapd(): string[] {
  const pmapd = ['-n', 'odonata', 'get', 'pods', '-l', 'app.kubernetes.io/name=pmapd'];
  return kubectl(...pmapd, '-o', 'jsonpath={.items[*].spec.nodeName}').split(' ');
}

/** Counts words through the router, reached by a forwarded port. */
async function countThroughRouter(round: number, nodes: string[] = []): Promise<void> {
  const [port] = (await pickPorts(1)) as [number];
  const forward = await forwardRouter(port);
  try {
    const env = { ...process.env, NO_COLOR: '1', ODONATA_SYSLINK: `127.0.0.1:${port}` };
    await countWords((args) => startVkctl(args, { env }).ended, round, nodes);
  } finally {
    forward.kill();
  }
}

async function forwardRouter(port: number): Promise<ChildProcess> {
  const child = spawn('kubectl', ['-n', 'odonata', 'port-forward', 'service/syslinkd', `${port}:7411`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`kubectl port-forward ended with ${code}`)));
  });
  return child;
}

const why = missing();
if (why !== undefined) {
  console.log(`k8s-test: skipped: ${why}`);
  process.exit(0);
}
// Where somebody chose some already, these are taken, and stay.
const choosesMachines = kubectl('get', 'nodes', '-l', 'odonata.dev/node=true', '-o', 'name').trim() === '';
try {
  if (choosesMachines)
    step('choosing all machines', () => kubectl('label', 'nodes', '--all', 'odonata.dev/node=true'));
  step('deploying the dev overlay', () => kubectl('apply', '-k', OVERLAY));
  step('waiting until all is ready', waitReady);
  await step('counting words', () => countThroughRouter(1));
  const machines = machinesWithPmapd();
  step(`scaling vkerneld to ${machines.length}, one a machine`, () =>
    kubectl('-n', 'odonata', 'scale', 'deployment/vkerneld', `--replicas=${machines.length}`),
  );
  waitReady();
  await step('counting words on every machine', () => countThroughRouter(2, machines));
  step('rolling every service', () =>
    kubectl('-n', 'odonata', 'rollout', 'restart', 'deployment,daemonset,statefulset'),
  );
  waitReady();
  await step('counting words on every machine again', () => countThroughRouter(3, machines));
  console.log('k8s-test: passed');
} catch (error) {
  step('what there is', () => console.log(kubectl('-n', 'odonata', 'get', 'pods,events', '-o', 'wide')));
  throw error;
} finally {
  step('deleting', () => kubectl('delete', '-k', OVERLAY, '--ignore-not-found', '--wait', READY));
  if (choosesMachines) step('choosing none', () => kubectl('label', 'nodes', '--all', 'odonata.dev/node-'));
}
