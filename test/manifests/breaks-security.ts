// The same of images, identities, the network and Pod Security.
import {
  certificateIsOfARole,
  identityIsOwn,
  keysAreGuarded,
  uidsAreDistinct,
  whatIsReadIsThere,
} from './identities.ts';
import { onlyMemoryIsOfTheMachine, podSecurityIsEnforced } from './pod-security.ts';
import { type Break, hasPinnedImages, networkIsThePicture } from './policy.ts';
import { type Manifest, podOf, workloads } from './render.ts';

const podNamed = (all: Manifest[], name: string): Manifest =>
  podOf(workloads(all).find(({ metadata }) => metadata.name === name)!);
const named = (all: Manifest[], name: string): Manifest => all.find(({ metadata }) => metadata.name === name);
const volume = (pod: Manifest, name: string): Manifest =>
  pod.volumes.find((each: Manifest) => each.name === name);
const mount = (pod: Manifest, name: string): Manifest =>
  pod.containers[0].volumeMounts.find((each: Manifest) => each.name === name);
const egressOf = (all: Manifest[], name: string): Manifest[] => named(all, name).spec.egress;

const IMAGES: Break[] = [
  'registry.invalid/odonata/cohd:latest',
  'odonata/cohd:0.2.0',
  'docker.io/odonata/cohd:0.2.0',
  'registry.invalid.example.com/odonata/cohd:0.2.0',
  'registry.example/odonata/cohd:0.2.0',
  'registry.example/odonata/cohd@sha256:0',
].map((image) => [
  hasPinnedImages,
  `cohd: image ${image} is not pinned`,
  (all) => {
    podNamed(all, 'cohd').containers[0].image = image;
  },
]);

const NETWORK: Break[] = [
  [
    networkIsThePicture,
    'vkerneld->cohd:7421 is open',
    (all) => {
      const { spec } = named(all, 'to-cohd');
      spec.ingress[0].from.push(egressOf(all, 'from-vkerneld')[0]!.to[0]);
      spec.ingress[0].from.at(-1).namespaceSelector.matchLabels = {
        'kubernetes.io/metadata.name': 'odonata-nodes',
      };
      spec.ingress[0].from.at(-1).podSelector = {};
      const to = egressOf(all, 'from-pmapd').find(({ ports }) => ports[0].port === 7421);
      named(all, 'from-vkerneld').spec.egress = [{ ports: [{ port: 7411 }] }, to];
    },
  ],
  [
    networkIsThePicture,
    'vkerneld->address(0.0.0.0/0):443 is open',
    (all) => {
      egressOf(all, 'from-vkerneld').push({
        to: [{ ipBlock: { cidr: '0.0.0.0/0' } }],
        ports: [{ port: 443 }],
      });
    },
  ],
  [
    networkIsThePicture,
    'vkerneld->anywhere:any is open',
    (all) => {
      egressOf(all, 'from-vkerneld').push({});
    },
  ],
  [
    networkIsThePicture,
    'vkerneld->namespace(team):443 is open',
    (all) => {
      const to = [{ namespaceSelector: { matchLabels: { team: 'a' } } }];
      egressOf(all, 'from-vkerneld').push({ to, ports: [{ port: 443 }] });
    },
  ],
  [
    networkIsThePicture,
    'anywhere->vkerneld:any is open',
    (all) => {
      // No policy is about what comes in to the pods of the machines any more.
      for (const { kind, metadata, spec } of all)
        if (kind === 'NetworkPolicy' && metadata.namespace === 'odonata-nodes') spec.policyTypes = ['Egress'];
    },
  ],
  [
    networkIsThePicture,
    'vkerneld->syslinkd:7411 is closed',
    (all) => {
      // Without the name of the namespace, routers of its own are meant.
      delete egressOf(all, 'from-vkerneld')[0]!.to[0].namespaceSelector;
    },
  ],
  [
    networkIsThePicture,
    'nats->nats:6222 is closed',
    (all) => {
      named(all, 'to-nats').spec.ingress.pop();
    },
  ],
];

const IDENTITIES: Break[] = [
  [
    identityIsOwn,
    'vkerneld: the Secret odonata-tls-pmapd is not for it',
    (all) => {
      podNamed(all, 'vkerneld').volumes.push({
        ...{ name: 'other', secret: { secretName: 'odonata-tls-pmapd', defaultMode: 0o440 } },
      });
    },
  ],
  [
    identityIsOwn,
    'pmapd: has no TLS',
    (all) => {
      const [container] = podNamed(all, 'pmapd').containers;
      container.env = container.env.filter(({ name }: Manifest) => name !== 'ODONATA_PMAPD_TLS_DIR');
    },
  ],
  [
    keysAreGuarded,
    'vkerneld: the files of tls are not of mode 0440',
    (all) => {
      volume(podNamed(all, 'vkerneld'), 'tls').secret.defaultMode = 0o444;
    },
  ],
  [
    keysAreGuarded,
    'pmapd: the files of nats are not of mode 0440',
    (all) => {
      delete volume(podNamed(all, 'pmapd'), 'nats').secret.defaultMode;
    },
  ],
  [
    keysAreGuarded,
    "vkerneld: the files of tls are not its group's",
    (all) => {
      delete podNamed(all, 'vkerneld').securityContext.fsGroup;
    },
  ],
  [
    keysAreGuarded,
    'cohd: a renewed tls takes a restart: it is mounted by subPath',
    (all) => {
      mount(podNamed(all, 'cohd'), 'tls').subPath = 'tls.crt';
    },
  ],
  [
    keysAreGuarded,
    'cohd: tls may be written',
    (all) => {
      mount(podNamed(all, 'cohd'), 'tls').readOnly = false;
    },
  ],
  [
    whatIsReadIsThere,
    'vkerneld: no Secret odonata-tls-cohd with',
    (all) => {
      volume(podNamed(all, 'vkerneld'), 'tls').secret.secretName = 'odonata-tls-cohd';
    },
  ],
  [
    whatIsReadIsThere,
    'pmapd: no ConfigMap pmapd-config',
    (all) => {
      podNamed(all, 'pmapd').containers[0].envFrom[0].configMapRef.name = 'pmapd-config';
    },
  ],
];

const UIDS: Break[] = [
  [
    uidsAreDistinct,
    'virtual kernels have the uid of pmapd',
    (all) => {
      podNamed(all, 'vkerneld').securityContext.runAsUser = 10001;
    },
  ],
  [
    uidsAreDistinct,
    'virtual kernels are in a group of pmapd',
    (all) => {
      podNamed(all, 'vkerneld').securityContext.supplementalGroups = [10001];
    },
  ],
  [
    uidsAreDistinct,
    'pmapd lets in another uid than that of virtual kernels',
    (all) => {
      podNamed(all, 'vkerneld').securityContext.runAsUser = 10003;
    },
  ],
  [
    uidsAreDistinct,
    'vkerneld looks for pmapd elsewhere',
    (all) => {
      podNamed(all, 'vkerneld').containers[0].env.push({
        ...{ name: 'ODONATA_VKERNELD_PMAPD_DIR', value: '/run/odonata/pmapd' },
      });
    },
  ],
];

const POD_SECURITY: Break[] = [
  [
    podSecurityIsEnforced,
    'cohd: is baseline (keeps capabilities), its namespace restricted',
    (all) => {
      delete podNamed(all, 'cohd').containers[0].securityContext.capabilities;
    },
  ],
  [
    podSecurityIsEnforced,
    'syslinkd: is restricted, its namespace privileged',
    (all) => {
      workloads(all).find(({ metadata }) => metadata.name === 'syslinkd')!.metadata.namespace =
        'odonata-nodes';
    },
  ],
  [
    podSecurityIsEnforced,
    'nats: is restricted, its namespace privileged',
    (all) => {
      named(all, 'odonata').metadata.labels = {};
    },
  ],
  [
    onlyMemoryIsOfTheMachine,
    'vkerneld: needs hostPath /dev/shm, hostPath /var/run',
    (all) => {
      podNamed(all, 'vkerneld').volumes.push({ name: 'run', hostPath: { path: '/var/run' } });
    },
  ],
  [
    onlyMemoryIsOfTheMachine,
    'pmapd: needs hostPath /dev/shm, no runAsNonRoot',
    (all) => {
      delete podNamed(all, 'pmapd').securityContext.runAsNonRoot;
    },
  ],
  [
    onlyMemoryIsOfTheMachine,
    'pmapd: needs hostPath /dev/shm, hostPort 7431',
    (all) => {
      podNamed(all, 'pmapd').containers[0].ports[0].hostPort = 7431;
    },
  ],
];

/** Of cert-manager, which only production has. */
export const CERTIFICATE_BREAKS: Break[] = [
  [
    certificateIsOfARole,
    'odonata-tls-vkerneld: is not of the role vkerneld alone',
    (all) => {
      named(all, 'odonata-tls-vkerneld').spec.uris.push('odonata://odonata/pmapd/*');
    },
  ],
  [
    certificateIsOfARole,
    'odonata-tls-cohd: is not of the role cohd alone',
    (all) => {
      named(all, 'odonata-tls-cohd').spec.uris = ['odonata://odonata/pmapd/*'];
    },
  ],
  [
    certificateIsOfARole,
    'odonata-tls-admin: a person may serve',
    (all) => {
      named(all, 'odonata-tls-admin').spec.usages.push('server auth');
    },
  ],
  [
    certificateIsOfARole,
    'odonata-tls-pmapd: is not where it is mounted',
    (all) => {
      named(all, 'odonata-tls-pmapd').metadata.namespace = 'odonata';
    },
  ],
];

export const SECURITY_BREAKS: Break[] = [...IMAGES, ...NETWORK, ...IDENTITIES, ...UIDS, ...POD_SECURITY];
