// The replicas of a Deployment: scaled for the run, and scaled back after it.
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../../services/vkctl/failure.ts';
import type { Forward, Kubectl } from './kubectl.ts';

const READY = '--timeout=300s';
const SETTLED_MS = 120_000;
const LOOK_EVERY_MS = 1000;

export interface Pod {
  name: string;
  node: string;
  ip: string;
}

export interface ScaledPods {
  pods: Pod[];
  /** Settings that the pods have from their ConfigMap. */
  settings: Record<string, string>;
}

/** Scales, hands the pods to `use`, and scales back whatever happens. */
export async function withPods<T>(
  kubectl: Kubectl,
  deployment: string,
  replicas: number,
  use: (pods: ScaledPods) => Promise<T>,
): Promise<T> {
  const { spec } = await kubectl.json('get', 'deployment', deployment);
  await refuseAutoscaler(kubectl, deployment);
  const { envFrom } = spec.template.spec.containers[0];
  const configMap = envFrom[0].configMapRef.name;
  const { data: settings } = await kubectl.json('get', 'configmap', configMap);
  if (replicas > 1 && settings.ODONATA_COHD_STANDALONE === 'true') {
    throw new Failure(`deployment/${deployment} is set to run alone (ODONATA_COHD_STANDALONE)`, {
      fix: 'Deploy with k8s/components/cohd-replicas.',
    });
  }
  try {
    await kubectl.run(['scale', `deployment/${deployment}`, `--replicas=${replicas}`]);
    await kubectl.run(['rollout', 'status', `deployment/${deployment}`, READY]);
    return await use({ pods: await exactly(kubectl, deployment, replicas), settings });
  } finally {
    await kubectl.run(['scale', `deployment/${deployment}`, `--replicas=${spec.replicas ?? 1}`], {
      last: true,
    });
  }
}

/** One would scale it back meanwhile. */
async function refuseAutoscaler(kubectl: Kubectl, deployment: string): Promise<void> {
  const { items } = await kubectl.json('get', 'horizontalpodautoscaler');
  const autoscaler = items.find(
    (item: { spec: { scaleTargetRef: { name: string } } }) => item.spec.scaleTargetRef.name === deployment,
  );
  if (autoscaler === undefined) return;
  const { name } = autoscaler.metadata;
  throw new Failure(`horizontalpodautoscaler/${name} scales deployment/${deployment}`, {
    fix: `Take it away for the run: kubectl -n odonata delete horizontalpodautoscaler ${name}`,
  });
}

/** Those that go are gone, too: they would have a share of the work. */
async function exactly(kubectl: Kubectl, deployment: string, replicas: number): Promise<Pod[]> {
  const endMs = performance.now() + SETTLED_MS;
  for (;;) {
    const { items } = await kubectl.json('get', 'pods', '-l', `app.kubernetes.io/name=${deployment}`);
    if (items.length === replicas) {
      return items.map(
        (pod: { metadata: { name: string }; spec: { nodeName: string }; status: { podIP: string } }) => {
          return { name: pod.metadata.name, node: pod.spec.nodeName, ip: pod.status.podIP };
        },
      );
    }
    if (performance.now() > endMs)
      throw new Failure(
        `deployment/${deployment} has ${items.length} pods, not ${replicas}, after ${SETTLED_MS / 1000} s`,
      );
    await sleep(LOOK_EVERY_MS);
  }
}

/** Opens forwards, hands them over in order, and ends them. */
export async function withForwards<T>(
  kubectl: Kubectl,
  targets: readonly (readonly [target: string, port: number])[],
  use: (addresses: string[]) => Promise<T>,
): Promise<T> {
  const forwards: Forward[] = [];
  try {
    for (const [target, port] of targets) forwards.push(await kubectl.forward(target, port));
    return await use(forwards.map(({ address }) => address));
  } finally {
    await Promise.all(forwards.map((forward) => forward.close()));
  }
}
