// `make k8s-test`: the dev overlay on the cluster that KUBECONFIG names: deployed, used, each service scaled, certificates renewed,
// all rolled, deleted. Without a cluster it says in one line what is missing, and ends with 0. The images must be where the
// cluster finds them: k8s/README.md says how.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { startVkctl } from '../cluster/command.ts';
import { countWords } from './count-words.ts';
import {
  fetchAdmin,
  forwardRouter,
  items,
  kubectl,
  LABEL,
  machinesWithPmapd,
  missingCluster,
  NAMESPACES,
  refusalOf,
  restarts,
  scale,
  waitReady,
} from './kubectl.ts';
import { K8S, render } from './render.ts';

/** The dev overlay, but of directories that may be several (one alone is another kind), which this run scales itself. */
const OVERLAY = join(K8S, '../build/k8s-test');
const OVERLAY_TEXT = `resources: [../../k8s/overlays/dev]
components: [../../k8s/components/cohd-replicas]
patches:
  - target: { kind: HorizontalPodAutoscaler, name: cohd }
    patch: '{ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "cohd" }, "$patch": "delete" }'
`;
/** The kubelet brings a new Secret within a minute and a half or so. */
const RENEWED_MS = 240_000;

const folder = mkdtempSync(join(tmpdir(), 'odonata-k8s-test-'));
const startedMs = performance.now();
let round = 0;

async function step<T>(what: string, work: () => T): Promise<T> {
  console.log(`k8s-test: ${((performance.now() - startedMs) / 1000).toFixed(0).padStart(4)} s  ${what}`);
  return await work();
}

/** Counts words through the router, reached by a forwarded port, as an admin. */
async function count(machines: string[] = []): Promise<void> {
  const [port] = (await pickPorts(1)) as [number];
  const forward = await forwardRouter(port);
  const admin = join(folder, 'admin');
  try {
    fetchAdmin(admin);
    const env = {
      ...process.env,
      ...{ NO_COLOR: '1', ODONATA_SYSLINK: `127.0.0.1:${port}`, ODONATA_TLS_DIR: admin },
    };
    await countWords((args) => startVkctl(args, { env }).ended, ++round, machines);
    const stranger = await startVkctl(['ps'], { env: { ...env, ODONATA_TLS_DIR: '' } }).ended;
    if (stranger.code === 0) throw new Error('a router answers somebody without a certificate');
  } finally {
    forward.kill();
  }
}

/** All by another authority than before: services trust the new one once they have read it, and nobody starts again. */
async function renew(machines: string[]): Promise<void> {
  const before = restarts();
  for (const namespace of NAMESPACES) {
    const names = items('-n', namespace, 'secrets')
      .map(({ metadata }) => metadata.name)
      .filter((name) => name.startsWith('odonata-tls-'));
    kubectl('-n', namespace, 'delete', 'secret', ...names);
  }
  kubectl('-n', 'odonata', 'delete', 'job', 'identities');
  // Nothing but the Job: replicas stay as they are.
  const job = render(OVERLAY).find(({ kind, metadata }) => kind === 'Job' && metadata.name === 'identities');
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
  kubectl('apply', '-f', join(folder, 'job.json'));
  kubectl('-n', 'odonata', 'wait', '--for=condition=complete', 'job/identities', '--timeout=120s');
  const endMs = performance.now() + RENEWED_MS;
  for (;;) {
    await sleep(10_000);
    try {
      await count(machines);
      break;
    } catch (error) {
      if (performance.now() > endMs) throw error;
    }
  }
  const after = restarts();
  if (after !== before) throw new Error(`${after - before} containers started again for a certificate`);
}

async function run(chosen: string[], choose: (machine: string) => void): Promise<void> {
  const [first, ...others] = chosen as [string, ...string[]];
  await step(`choosing ${first}`, () => choose(first));
  await step('deploying the dev overlay', () => kubectl('apply', '-k', OVERLAY));
  await step('waiting until all is ready', () => waitReady());
  await step('counting words', () => count());
  await step('refused by Pod Security: memory of the machine, beside the routers', () => {
    const hostPath = { spec: { volumes: [{ name: 'machine', hostPath: { path: '/dev/shm' } }] } };
    const pod = ['run', 'x', '--image=registry.invalid/x', `--overrides=${JSON.stringify(hostPath)}`];
    const said = refusalOf('-n', 'odonata', ...pod, '--dry-run=server');
    if (!/violates PodSecurity "restricted.*hostPath/.test(said)) throw new Error(said);
  });
  await step(`choosing ${others.length} more, for a pmapd each`, () => {
    for (const machine of others) choose(machine);
    waitReady('daemonset/pmapd');
  });
  const machines = machinesWithPmapd();
  await step(`scaling vkerneld to ${machines.length}, one a machine`, () =>
    scale('deployment/vkerneld', machines.length),
  );
  await step('scaling syslinkd to 2', () => scale('deployment/syslinkd', 2));
  await step('scaling cohd to 3', () => scale('deployment/cohd', 3));
  await step('counting words on every machine', () => count(machines));
  await step('renewing every certificate, without a restart', () => renew(machines));
  await step('rolling every service', () => {
    for (const namespace of NAMESPACES)
      kubectl('-n', namespace, 'rollout', 'restart', 'deployment,daemonset,statefulset');
    waitReady();
  });
  await step('counting words on every machine again', () => count(machines));
  await step('scaling back, directories to 2, and all else to 1', () => {
    scale('deployment/cohd', 2);
    scale('deployment/syslinkd', 1);
    scale('deployment/vkerneld', 1);
  });
  await step('counting words once more', () => count());
}

const why = missingCluster();
if (why !== undefined) {
  console.log(`k8s-test: skipped: ${why}`);
  process.exit(0);
}
// Where somebody chose some already, these are taken, and stay.
const labelled = items('nodes', '-l', `${LABEL}=true`);
mkdirSync(OVERLAY, { recursive: true });
writeFileSync(join(OVERLAY, 'kustomization.yaml'), OVERLAY_TEXT);
const chosen = (labelled.length > 0 ? labelled : items('nodes')).map(({ metadata }) => metadata.name);
try {
  await run(chosen, (machine) => {
    if (labelled.length === 0) kubectl('label', 'node', machine, `${LABEL}=true`);
  });
  await step('passed', () => {});
} catch (error) {
  for (const namespace of NAMESPACES) {
    console.log(kubectl('-n', namespace, 'get', 'pods', '-o', 'wide'));
    const events = kubectl('-n', namespace, 'get', 'events', '--sort-by=.lastTimestamp');
    console.log(events.split('\n').slice(-20).join('\n'));
  }
  process.exitCode = 1;
  console.error(error);
} finally {
  await step('deleting', () =>
    kubectl('delete', '-k', OVERLAY, '--ignore-not-found', '--wait', '--timeout=600s'),
  );
  if (labelled.length === 0)
    await step('choosing none', () => kubectl('label', 'nodes', '--all', `${LABEL}-`));
  rmSync(folder, { recursive: true });
  rmSync(OVERLAY, { recursive: true, force: true });
}
