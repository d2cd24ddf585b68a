// What must hold of the manifests; each check names what breaks it. No problem: an empty list.

import { bytesToOffer, DEFAULT_STORE_BYTES } from '@odonata/backing-store/store-bytes.ts';
import { type Setting, settingsOf } from '@odonata/rpc/config.ts';
import { STOP_MS } from '@odonata/rpc/lifecycle.ts';
import { cohdConfig } from '../../services/cohd/config.ts';
import { consoleConfig } from '../../services/console/config.ts';
import { pmapdConfig } from '../../services/pmapd/config.ts';
import { syslinkdConfig } from '../../services/syslinkd/config.ts';
import { vkerneldConfig } from '../../services/vkerneld/config.ts';
import { networkEdges } from './network.ts';
import { type Manifest, podOf, workloads } from './render.ts';

export type Policy = (all: Manifest[]) => string[];
/** A change that a policy must notice, and what it says then. */
export type Break = [check: Policy, what: string, change: (all: Manifest[]) => void];

export const SETTINGS: Record<string, Setting[]> = {
  cohd: settingsOf('cohd', cohdConfig),
  pmapd: settingsOf('pmapd', pmapdConfig),
  syslinkd: settingsOf('syslinkd', syslinkdConfig),
  vkerneld: settingsOf('vkerneld', vkerneldConfig),
};
/** Of a component, and no service of every cluster. */
const CONSOLE = settingsOf('console', consoleConfig);
/** What a service of a cluster looks up may be this old: kubeadm's CoreDNS keeps answers for 30 s. */
const DNS_MS = 30_000;
const NAME = 'app.kubernetes.io/name';

function eachContainer(all: Manifest[], check: (container: Manifest, pod: Manifest) => string[]): string[] {
  return workloads(all).flatMap((workload) =>
    podOf(workload).containers.flatMap((container: Manifest) =>
      check(container, podOf(workload)).map((problem) => `${workload.metadata.name}: ${problem}`),
    ),
  );
}
const unless = (holds: boolean, problem: string): string[] => (holds ? [] : [problem]);

export const isConfined: Policy = (all) =>
  eachContainer(all, ({ securityContext: own = {} }, pod) => [
    ...unless(own.privileged !== true && !pod.hostNetwork && !pod.hostPID && !pod.hostIPC, 'is privileged'),
    ...unless(pod.securityContext?.runAsNonRoot === true && pod.securityContext.runAsUser > 0, 'may be root'),
    ...unless(own.readOnlyRootFilesystem === true, 'may write to its image'),
    ...unless(own.allowPrivilegeEscalation === false, 'may gain privileges'),
    ...unless(own.capabilities?.drop?.includes('ALL') && !own.capabilities.add, 'keeps capabilities'),
    ...unless(
      (own.seccompProfile ?? pod.securityContext?.seccompProfile) !== undefined,
      'has no seccomp profile',
    ),
    // The Job that makes identities writes Secrets.
    ...unless(
      pod.automountServiceAccountToken === (pod.serviceAccountName === 'identities'),
      'gets a token of the API server',
    ),
  ]);

export const hasProbesAndLimits: Policy = (all) =>
  eachContainer(all, (container, pod) => [
    ...['startupProbe', 'livenessProbe', 'readinessProbe'].flatMap((probe) =>
      unless(
        // What ends by itself is not waited for by probes.
        pod.restartPolicy === 'OnFailure' ||
          container[probe]?.grpc !== undefined ||
          container[probe]?.httpGet !== undefined,
        `has no ${probe}`,
      ),
    ),
    ...['requests', 'limits'].flatMap((side) =>
      ['cpu', 'memory'].flatMap((what) =>
        unless(container.resources?.[side]?.[what] !== undefined, `has no ${side} of ${what}`),
      ),
    ),
  ]);

/**
 * What is pulled is what was meant: by digest, or by a name that no registry can have (RFC 2606), which is pulled from nowhere.
 */
export const hasPinnedImages: Policy = (all) =>
  eachContainer(all, ({ image, imagePullPolicy }) => [
    ...unless(
      /@sha256:[0-9a-f]{64}$/.test(image) || /^registry\.invalid\/[^:]+:[\w.-]+$/.test(image),
      `image ${image} is not pinned`,
    ),
    ...unless(!image.endsWith(':latest'), `image ${image} is not pinned`),
    ...unless(imagePullPolicy !== 'Always', `image ${image} cannot be loaded into a machine`),
  ]);

export const selectorsMatch: Policy = (all) => {
  const matches = (selector: Record<string, string>, namespace: string) =>
    workloads(all).some(
      ({ metadata, spec }) =>
        metadata.namespace === namespace &&
        Object.entries(selector).every(([key, value]) => spec.template.metadata.labels[key] === value),
    );
  return all.flatMap(({ kind, metadata, spec }) => {
    const selector = kind === 'Service' ? spec.selector : spec?.selector?.matchLabels;
    return selector === undefined
      ? []
      : unless(matches(selector, metadata.namespace), `${kind} ${metadata.name} selects nothing`);
  });
};

/** Services lead to ports that containers name, and these are the ports that the code has by default. */
export const portsMatch: Policy = (all) => {
  const containers = new Map<string, Manifest>(
    workloads(all).map((w) => [w.spec.template.metadata.labels[NAME], podOf(w).containers[0]]),
  );
  const portOf = (name: string, port: string | number) =>
    containers.get(name)?.ports.find((p: Manifest) => p.name === port || p.containerPort === port)
      ?.containerPort;
  const services = all.filter(({ kind }) => kind === 'Service');
  return [
    ...services.flatMap(({ metadata, spec }) =>
      spec.ports.flatMap(({ port, targetPort }: Manifest) =>
        unless(
          portOf(spec.selector[NAME], targetPort) === port,
          `Service ${metadata.name}: ${targetPort} is not ${port}`,
        ),
      ),
    ),
    ...Object.entries(SETTINGS).flatMap(([name, settings]) => {
      const listen = settings.find(({ key }) => key === 'listen')!.schema.parse(undefined) as string;
      return unless(
        portOf(name, 'grpc') === Number(listen.split(':')[1]),
        `${name}: port grpc is not that of ${listen}`,
      );
    }),
  ];
};

/** The variables of a container, those of its ConfigMaps included. */
export function variablesOf(all: Manifest[], container: Manifest): Map<string, string | undefined> {
  const variables = new Map<string, string | undefined>();
  for (const { configMapRef } of container.envFrom ?? []) {
    const map = all.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMapRef.name);
    for (const [key, value] of Object.entries(map?.data ?? {})) variables.set(key, String(value));
  }
  for (const { name, value } of container.env ?? []) variables.set(name, value);
  return variables;
}

/** What a service may hand over on SIGTERM it can, before it is killed. */
export const drainsInTime: Policy = (all) =>
  eachContainer(all, (container, pod) => {
    const drainMs = Number(
      variablesOf(all, container).get(`ODONATA_${container.name.toUpperCase()}_DRAIN_MS`) ?? 0,
    );
    const graceMs = (pod.terminationGracePeriodSeconds ?? 30) * 1_000;
    return unless(graceMs >= drainMs + STOP_MS, `is killed before its drain of ${drainMs / 1_000} s is over`);
  });

export const settingsAreRead: Policy = (all) =>
  eachContainer(all, (container) => {
    const settings = container.name === 'console' ? CONSOLE : SETTINGS[container.name];
    if (settings === undefined) return [];
    const variables = variablesOf(all, container);
    const referred = JSON.stringify(container);
    return [
      ...[...variables.keys()].flatMap((name) =>
        unless(
          settings.some((s) => s.variable === name) || referred.includes(`$(${name})`),
          `nobody reads ${name}`,
        ),
      ),
      ...settings.flatMap(({ variable, schema, kind }) => {
        if (!variables.has(variable))
          return unless(schema.safeParse(undefined).success, `${variable} is missing`);
        const value = variables.get(variable);
        if (value === undefined || value.includes('$(') || variable.endsWith('_TLS_DIR')) return [];
        const parsed = schema.safeParse(kind === 'list' ? value.split(',') : parsedValue(value));
        return unless(parsed.success, `${variable}: "${value}" is refused`);
      }),
    ];
  });

/**
 * A router may go at any time: services attach to each router by a name that stands for all, new ones included; its
 * successor is there before it ends; it has the time to drain; and several are on several machines.
 */
export const routersOutliveEachOther: Policy = (all) => {
  const routers = workloads(all).find(({ metadata }) => metadata.name === 'syslinkd');
  const pod = podOf(routers!);
  const variables = variablesOf(all, pod.containers[0]);
  const setting = (key: string): number => {
    const { variable, schema } = SETTINGS.syslinkd!.find((one) => one.key === key)!;
    const given = variables.get(variable);
    return schema.parse(given === undefined ? undefined : Number(given)) as number;
  };
  const { type, rollingUpdate } = routers!.spec.strategy;
  const named = (kind: string, name: string) =>
    all.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  const scaler = named('HorizontalPodAutoscaler', 'syslinkd')?.spec;
  const spread = pod.topologySpreadConstraints?.find(
    (one: Manifest) =>
      one.topologyKey === 'kubernetes.io/hostname' && one.labelSelector.matchLabels[NAME] === 'syslinkd',
  );
  return [
    ...workloads(all).flatMap((workload) =>
      podOf(workload).containers.flatMap((container: Manifest) => {
        const syslink = SETTINGS[container.name]?.find(({ key }) => key === 'syslink');
        // A router has it for when it is a gateway, which none is here.
        if (syslink === undefined || container.name === 'syslinkd') return [];
        const address = variablesOf(all, container).get(syslink.variable) ?? '';
        const service = serviceOf(all, address.split(':')[0]!, workload.metadata.namespace)?.spec;
        const each =
          service?.clusterIP === 'None' &&
          service.publishNotReadyAddresses === true &&
          service.selector[NAME] === 'syslinkd';
        return unless(each, `${container.name}: ${address} does not stand for every router`);
      }),
    ),
    ...unless(
      type === 'RollingUpdate' && rollingUpdate.maxUnavailable === 0,
      'an update takes a router away',
    ),
    ...unless(setting('settleMs') >= DNS_MS, 'a router is ready before services can have found it'),
    ...unless(
      named('PodDisruptionBudget', 'syslinkd')?.spec.maxUnavailable === 1,
      'all may be evicted at once',
    ),
    ...(scaler === undefined
      ? unless(routers!.spec.replicas === 1, 'several routers, and no autoscaler')
      : [
          ...unless(routers!.spec.replicas === undefined, 'replicas would fight the autoscaler'),
          ...unless(scaler.minReplicas >= 2, 'a single router'),
          ...unless(spread?.whenUnsatisfiable === 'DoNotSchedule', 'the routers may share a machine'),
        ]),
  ];
};

/** Of a name as a pod of `namespace` looks it up: `syslinkd`, or `syslinkd.odonata`. */
export function serviceOf(all: Manifest[], host: string, namespace: string): Manifest | undefined {
  const [name, place = namespace] = host.split('.');
  return all.find(
    ({ kind, metadata }) => kind === 'Service' && metadata.name === name && metadata.namespace === place,
  );
}

/** What takes the memory of a machine runs only where somebody chose that. */
export const machinesAreChosen: Policy = (all) =>
  ['pmapd', 'vkerneld'].flatMap((name) => {
    const { spec } = workloads(all).find(({ metadata }) => metadata.name === name)!;
    const { nodeSelector = {} } = spec.template.spec;
    return unless(nodeSelector['odonata.dev/node'] === 'true', `${name} runs on machines that nobody chose`);
  });

/** Bytes of a quantity of Kubernetes. */
function quantity(text: string): number {
  const [, number, unit = ''] = /^([\d.]+)([KMGT]i)?$/.exec(text)!;
  return Number(number) * 1024 ** ('KMGT'.indexOf(unit[0] ?? ' ') + 1);
}

/** Pages of memory files are charged to whoever touches them first: either may be charged all frames, beside its own. */
const BESIDE_FRAMES_BYTES = 512 * 2 ** 20;

/** Frames of a node, which the /dev/shm of each chosen machine must hold. */
export function framesBytes(all: Manifest[]): number {
  const [pmapd] = podOf(workloads(all).find(({ metadata }) => metadata.name === 'pmapd')!).containers;
  return Number(variablesOf(all, pmapd).get('ODONATA_PMAPD_FRAMES_BYTES') ?? 0);
}

export const framesFitTheLimits: Policy = (all) =>
  eachContainer(all, ({ name, resources }) =>
    unless(
      !['pmapd', 'vkerneld'].includes(name) ||
        (framesBytes(all) > 0 && quantity(resources.limits.memory) >= framesBytes(all) + BESIDE_FRAMES_BYTES),
      'is ended for the frames of its node',
    ),
  );

/** A pmapd hands over to the one that stands by beside it, and has no port of the machine, which only one could have. */
export const pmapdsHandOver: Policy = (all) => {
  const { spec } = workloads(all).find(({ metadata }) => metadata.name === 'pmapd')!;
  const { type, rollingUpdate } = spec.updateStrategy;
  const beside =
    type === 'RollingUpdate' && rollingUpdate.maxSurge === 1 && rollingUpdate.maxUnavailable === 0;
  const [container] = spec.template.spec.containers;
  const ofMachine =
    spec.template.spec.hostNetwork || container.ports.some((one: Manifest) => one.hostPort !== undefined);
  return [
    ...unless(beside, 'a pmapd ends before its successor is there'),
    ...unless(!ofMachine, 'the successor of a pmapd cannot listen beside it'),
  ];
};

/** Bytes as nats-server reads them. */
function natsBytes(text: string): number {
  const [, number, unit = ''] = /^(\d+)([KMGT]?(?:B|iB?)?)$/i.exec(text)!;
  const power = 'KMGT'.indexOf(unit[0]?.toUpperCase() ?? ' ') + 1;
  return Number(number) * (unit.length > 1 ? 1024 : 1000) ** power;
}

/**
 * NATS has room for the backing store and the records beside it, on a volume that it cannot fill (a message that was
 * replaced stays in its file until half of that is such messages); and keeps pages on as many servers as records.
 */
export const natsHoldsTheStore: Policy = (all) => {
  const config = all.find((m) => m.kind === 'ConfigMap' && m.metadata.name.startsWith('nats-config'));
  const limit = natsBytes(/max_file_store: (\S+)/.exec(config.data['nats.conf'])![1]!);
  const nats = workloads(all).find(({ metadata }) => metadata.name === 'nats')!;
  const { storage } = nats.spec.volumeClaimTemplates[0].spec.resources.requests;
  const volume = natsBytes(storage);
  const [pmapd] = podOf(workloads(all).find(({ metadata }) => metadata.name === 'pmapd')!).containers;
  const variables = variablesOf(all, pmapd);
  const setting = (name: string): number => Number(variables.get(`ODONATA_PMAPD_${name}`) ?? 0);
  const needs = bytesToOffer(setting('STORE_BYTES') || DEFAULT_STORE_BYTES);
  const replicas = setting('NATS_REPLICAS') || 1;
  return [
    ...unless(limit >= needs, `max_file_store ${limit} holds no store that needs ${needs}`),
    ...unless(volume >= 2 * limit, `a volume of ${volume} may be full before max_file_store ${limit} is`),
    ...unless(nats.spec.replicas >= replicas, `${replicas} replicas on fewer servers`),
    ...unless((setting('STORE_REPLICAS') || 1) === replicas, 'pages are on other servers than records'),
  ];
};

/** A service has its own credential for NATS, in a file and nowhere else; nats-server alone has the passwords of all. */
export const natsSecretsAreOwn: Policy = (all) =>
  eachContainer(all, (container, pod) => {
    if (container.name === 'nats') return [];
    const speaks = ['cohd', 'pmapd'].includes(container.name);
    const own = `nats-${container.name}`;
    // A hash of what it holds may follow its name.
    const ofNats = (name: string) => /^nats-(cohd|pmapd|routes)\b/.exec(name)?.[0];
    const volumes = (pod.volumes ?? []).filter(({ secret }: Manifest) => ofNats(secret?.secretName ?? ''));
    const folder = container.volumeMounts?.find(({ name }: Manifest) =>
      volumes.some((volume: Manifest) => volume.name === name),
    )?.mountPath;
    const file = variablesOf(all, container).get(`ODONATA_${container.name.toUpperCase()}_NATS_CREDENTIALS`);
    return [
      ...volumes.flatMap(({ secret }: Manifest) =>
        unless(ofNats(secret.secretName) === own, `the Secret ${ofNats(secret.secretName)} is not for it`),
      ),
      ...unless(
        !(container.env ?? []).some(({ valueFrom }: Manifest) => ofNats(valueFrom?.secretKeyRef?.name ?? '')),
        'a Secret of NATS is in its environment',
      ),
      ...unless(!speaks || (folder && file === `${folder}/credentials`), 'has no credential for NATS'),
    ];
  });

const PICTURE = [
  'vkctl->syslinkd:7411',
  ...['cohd', 'pmapd', 'vkerneld'].map((name) => `${name}->syslinkd:7411`),
  ...[
    'pmapd->cohd:7421',
    'cohd->cohd:7421',
    'pmapd->pmapd:7431',
    'cohd->nats:4222',
    'pmapd->nats:4222',
    'nats->nats:6222',
  ],
  ...Object.keys(SETTINGS).map((name) => `namespace(odonata.dev/scrapes)->${name}:metrics`),
];
/** Of the Job that makes identities for trials: nobody knows the address of an API server beforehand. */
const TRIALS = ['identities->anywhere:443', 'identities->anywhere:6443'];

export const networkIsThePicture: Policy = (all) => {
  const edges = networkEdges(all);
  const names = ['vkctl', ...workloads(all).map(({ metadata }) => metadata.name)];
  const picture = [
    ...PICTURE,
    ...names.map((name) => `${name}->dns:53`),
    ...(names.includes('identities') ? TRIALS : []),
  ];
  return [
    ...edges.flatMap((edge) => unless(picture.includes(edge), `${edge} is open`)),
    ...picture.flatMap((edge) => unless(edges.includes(edge), `${edge} is closed`)),
  ];
};

function parsedValue(value: string): unknown {
  if (/^\d+$/.test(value)) return Number(value);
  return value === 'true' ? true : value === 'false' ? false : value;
}
