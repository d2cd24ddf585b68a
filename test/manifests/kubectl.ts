// kubectl as `make k8s-test` calls it, and what it finds in the cluster of KUBECONFIG.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';

/** By workload: its namespace. */
export const WORKLOADS = {
  'statefulset/nats': 'odonata',
  'deployment/syslinkd': 'odonata',
  'deployment/cohd': 'odonata',
  'daemonset/pmapd': 'odonata-nodes',
  'deployment/vkerneld': 'odonata-nodes',
} as const;
export const NAMESPACES = ['odonata', 'odonata-nodes'] as const;
export const LABEL = 'odonata.dev/node';
const READY = '--timeout=300s';
const ANSWER_MS = 900_000;

export function missingCluster(): string | undefined {
  if (!process.env.KUBECONFIG) return 'KUBECONFIG is not set';
  if (findTool('kubectl') === undefined) return 'kubectl is not installed';
  const { status, stderr } = spawnSync('kubectl', ['version', '--request-timeout=10s'], { encoding: 'utf8' });
  return status === 0 ? undefined : `the cluster does not answer: ${stderr.trim().split('\n').at(-1)}`;
}

export function kubectl(...args: string[]): string {
  return execFileSync('kubectl', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: ANSWER_MS,
  });
}

/** What kubectl says where it must refuse. @throws Error where it does not */
export function refusalOf(...args: string[]): string {
  const { status, stderr } = spawnSync('kubectl', args, { encoding: 'utf8', timeout: ANSWER_MS });
  if (status === 0) throw new Error(`kubectl ${args.join(' ')} was not refused`);
  return stderr;
}

export function waitReady(...only: (keyof typeof WORKLOADS)[]): void {
  for (const [workload, namespace] of Object.entries(WORKLOADS))
    if (only.length === 0 || only.includes(workload as keyof typeof WORKLOADS))
      kubectl('-n', namespace, 'rollout', 'status', workload, READY);
}

export function scale(workload: keyof typeof WORKLOADS, replicas: number): void {
  kubectl('-n', WORKLOADS[workload], 'scale', workload, `--replicas=${replicas}`);
  waitReady(workload);
}

// biome-ignore lint/suspicious/noExplicitAny: what Kubernetes answers; whoever asks knows its shape
export const items = (...args: string[]): any[] => JSON.parse(kubectl('get', ...args, '-o', 'json')).items;

/** The machines of the cluster that have a pmapd. */
export const machinesWithPmapd = (): string[] =>
  items('-n', 'odonata-nodes', 'pods', '-l', 'app.kubernetes.io/name=pmapd').map(({ spec }) => spec.nodeName);

/** How often containers were started again, all of them together. */
export const restarts = (): number =>
  NAMESPACES.flatMap((namespace) => items('-n', namespace, 'pods'))
    .flatMap(({ status }) => status.containerStatuses ?? [])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);

/** Puts the certificate of an admin into a folder, as README.md says. */
export function fetchAdmin(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { data } = JSON.parse(kubectl('-n', 'odonata', 'get', 'secret', 'odonata-tls-admin', '-o', 'json'));
  for (const file of ['tls.crt', 'tls.key', 'ca.crt'])
    writeFileSync(join(folder, file), Buffer.from(data[file], 'base64'), { mode: 0o600 });
}

/** A port of this machine that leads to a router. */
export async function forwardRouter(port: number): Promise<ChildProcess> {
  const child = spawn('kubectl', ['-n', 'odonata', 'port-forward', 'service/syslinkd', `${port}:7411`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`kubectl port-forward ended with ${code}`)));
  });
  return child;
}
