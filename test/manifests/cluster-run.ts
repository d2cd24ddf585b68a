// `make k8s-test`: the dev overlay on the cluster that KUBECONFIG names: deployed, used, scaled, rolled, deleted.
// Without a cluster it says in one line what is missing, and ends with 0. The images must be where the cluster finds
// them: `make images`, then for kind: kind load docker-image odonata/{cohd,pmapd,syslinkd,vkerneld}:0.1.0
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { startVkctl } from '../cluster/command.ts';
import { buildGuest } from '../guests/build.ts';
import { K8S } from './render.ts';

const OVERLAY = join(K8S, 'overlays/dev');
const READY = '--timeout=300s';
const WORDS = { dragonfly: 5000, odonata: 3000, pmap: 1000 };

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

/** Counts words in shared memory through the router, and checks the counts. */
async function countWords(folder: string, round: number): Promise<void> {
  const [port] = (await pickPorts(1)) as [number];
  const forward = await forwardRouter(port);
  try {
    const env = { ...process.env, NO_COLOR: '1', ODONATA_SYSLINK: `127.0.0.1:${port}` };
    const vkctl = async (...args: string[]) => {
      const { code, stdout, stderr } = await startVkctl(args, { env }).ended;
      if (code !== 0) throw new Error(`vkctl ${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout;
    };
    const wasm = await buildGuest('wordcount');
    const [text, table] = [`text${round}`, `words${round}`];
    await vkctl('ds', 'load', text, join(folder, 'text'));
    await vkctl('run', wasm, text, table, '0', '1');
    const dump = await vkctl('run', wasm, '--dump', table);
    for (const [word, count] of Object.entries(WORDS)) {
      const found = dump
        .split('\n')
        .some((line) => line.includes(word) && line.split(/\s+/).includes(`${count}`));
      if (!found) throw new Error(`the table has no ${count} times ${word}:\n${dump}`);
    }
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
const folder = mkdtempSync(join(tmpdir(), 'odonata-k8s-'));
try {
  const text = Object.entries(WORDS).map(([word, count]) => `${word} `.repeat(count));
  writeFileSync(join(folder, 'text'), `${text.join('\n')}\n`);
  step('deploying the dev overlay', () => kubectl('apply', '-k', OVERLAY));
  step('waiting until all is ready', waitReady);
  await step('counting words', () => countWords(folder, 1));
  const machines = kubectl('get', 'nodes', '-o', 'name').trim().split('\n').length;
  step(`scaling vkerneld to ${machines}, one a machine`, () =>
    kubectl('-n', 'odonata', 'scale', 'deployment/vkerneld', `--replicas=${machines}`),
  );
  waitReady();
  step('rolling every service', () =>
    kubectl('-n', 'odonata', 'rollout', 'restart', 'deployment', 'daemonset', 'statefulset'),
  );
  waitReady();
  await step('counting words again', () => countWords(folder, 2));
  console.log('k8s-test: passed');
} finally {
  step('deleting', () => kubectl('delete', '-k', OVERLAY, '--ignore-not-found', '--wait', READY));
  rmSync(folder, { recursive: true });
}
