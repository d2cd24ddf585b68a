// For each policy changes of the manifests that it must notice.
import { SECURITY_BREAKS } from './breaks-security.ts';
import * as policy from './policy.ts';
import { type Manifest, podOf, workloads } from './render.ts';

/** The pod of a workload. */
export const first = (all: Manifest[], name: string): Manifest =>
  podOf(workloads(all).find((w) => w.metadata.name === name)!);
const OF_SERVICES: policy.Break[] = [
  [
    policy.machinesAreChosen,
    'vkerneld runs on machines that nobody chose',
    (all) => {
      delete first(all, 'vkerneld').nodeSelector['odonata.dev/node'];
    },
  ],
  [
    policy.isConfined,
    'is privileged',
    (all) => {
      first(all, 'vkerneld').containers[0].securityContext.privileged = true;
    },
  ],
  [
    policy.isConfined,
    'may be root',
    (all) => {
      delete first(all, 'nats').securityContext.runAsNonRoot;
    },
  ],
  [
    policy.isConfined,
    'may write to its image',
    (all) => {
      delete first(all, 'cohd').containers[0].securityContext.readOnlyRootFilesystem;
    },
  ],
  [
    policy.isConfined,
    'keeps capabilities',
    (all) => {
      first(all, 'pmapd').containers[0].securityContext.capabilities.add = ['SYS_PTRACE'];
    },
  ],
  [
    policy.isConfined,
    'gets a token',
    (all) => {
      delete first(all, 'syslinkd').automountServiceAccountToken;
    },
  ],
  [
    policy.hasProbesAndLimits,
    'has no livenessProbe',
    (all) => {
      delete first(all, 'cohd').containers[0].livenessProbe;
    },
  ],
  [
    policy.hasProbesAndLimits,
    'has no limits of memory',
    (all) => {
      delete first(all, 'pmapd').containers[0].resources.limits.memory;
    },
  ],
  [
    policy.selectorsMatch,
    'selects nothing',
    (all) => {
      all.find(({ kind }) => kind === 'Service').spec.selector = { no: 'pod' };
    },
  ],
  [
    policy.portsMatch,
    'port grpc is not that of',
    (all) => {
      first(all, 'pmapd').containers[0].ports[0].containerPort = 1;
    },
  ],
  [
    policy.settingsAreRead,
    'nobody reads ODONATA_COHD_COLOUR',
    (all) => {
      first(all, 'cohd').containers[0].env.push({ name: 'ODONATA_COHD_COLOUR', value: 'red' });
    },
  ],
  [
    policy.settingsAreRead,
    'ODONATA_PMAPD_NODE is missing',
    (all) => {
      const [c] = first(all, 'pmapd').containers;
      c.env = c.env.filter((e: Manifest) => e.name !== 'ODONATA_PMAPD_NODE');
    },
  ],
  [
    policy.settingsAreRead,
    'is refused',
    (all) => {
      first(all, 'cohd').containers[0].env.push({ name: 'ODONATA_COHD_LEASE_MS', value: '1' });
    },
  ],
  [
    policy.natsSecretsAreOwn,
    'cohd: the Secret nats-pmapd is not for it',
    (all) => {
      const pod = first(all, 'cohd');
      pod.volumes.push(first(all, 'pmapd').volumes.find((v: Manifest) => v.name === 'nats'));
    },
  ],
  [
    policy.natsSecretsAreOwn,
    'pmapd: a Secret of NATS is in its environment',
    (all) => {
      const secretKeyRef = { name: 'nats-pmapd', key: 'password' };
      first(all, 'pmapd').containers[0].env.push({
        name: 'ODONATA_PMAPD_NATS_TOKEN',
        valueFrom: { secretKeyRef },
      });
    },
  ],
  [
    policy.natsSecretsAreOwn,
    'cohd: has no credential for NATS',
    (all) => {
      first(all, 'cohd').containers[0].volumeMounts = [];
    },
  ],
  [
    policy.drainsInTime,
    'is killed before its drain of 60 s is over',
    (all) => {
      first(all, 'pmapd').terminationGracePeriodSeconds = 30;
    },
  ],
  ...['pmapd', 'vkerneld'].map(
    (name): policy.Break => [
      policy.framesFitTheLimits,
      `${name}: is ended for the frames of its node`,
      (all) => {
        first(all, name).containers[0].resources.limits.memory = '1200Mi';
      },
    ],
  ),
  [
    policy.natsHoldsTheStore,
    'max_file_store 512000000 holds no store that needs',
    (all) => {
      const { data } = all.find((m) => m.metadata.name.startsWith('nats-config'));
      data['nats.conf'] = data['nats.conf'].replace(/max_file_store: \S+/, 'max_file_store: 512M');
    },
  ],
  [
    policy.natsHoldsTheStore,
    'a volume of 2147483648 may be full before',
    (all) => {
      const [claim] = workloads(all).find((w) => w.metadata.name === 'nats')!.spec.volumeClaimTemplates;
      claim.spec.resources.requests.storage = '2Gi';
    },
  ],
  [
    policy.natsHoldsTheStore,
    'pages are on other servers than records',
    (all) => {
      first(all, 'pmapd').containers[0].env.push({ name: 'ODONATA_PMAPD_STORE_REPLICAS', value: '2' });
    },
  ],
  [
    policy.pmapdsHandOver,
    'a pmapd ends before its successor is there',
    (all) => {
      workloads(all).find((w) => w.metadata.name === 'pmapd')!.spec.updateStrategy.rollingUpdate = {
        maxUnavailable: 1,
      };
    },
  ],
  [
    policy.pmapdsHandOver,
    'the successor of a pmapd cannot listen beside it',
    (all) => {
      first(all, 'pmapd').containers[0].ports[0].hostPort = 7431;
    },
  ],
  [
    policy.routersOutliveEachOther,
    'cohd: syslinkd:7411 does not stand for every router',
    (all) => {
      first(all, 'cohd').containers[0].env.push({ name: 'ODONATA_COHD_SYSLINK', value: 'syslinkd:7411' });
    },
  ],
  [
    policy.routersOutliveEachOther,
    'vkerneld: syslinkd-headless.odonata:7411 does not stand for every router',
    (all) => {
      delete all.find((m) => m.metadata.name === 'syslinkd-headless').spec.publishNotReadyAddresses;
    },
  ],
  [
    policy.routersOutliveEachOther,
    'an update takes a router away',
    (all) => {
      workloads(all).find((w) => w.metadata.name === 'syslinkd')!.spec.strategy = { type: 'Recreate' };
    },
  ],
  [
    policy.drainsInTime,
    'syslinkd: is killed before its drain of 20 s is over',
    (all) => {
      first(all, 'syslinkd').terminationGracePeriodSeconds = 20;
    },
  ],
  [
    policy.routersOutliveEachOther,
    'a router is ready before services can have found it',
    (all) => {
      const [c] = first(all, 'syslinkd').containers;
      c.env = [...(c.env ?? []), { name: 'ODONATA_SYSLINKD_SETTLE_MS', value: '2000' }];
    },
  ],
  [
    policy.routersOutliveEachOther,
    'all may be evicted at once',
    (all) => {
      all.splice(
        all.findIndex((m) => m.kind === 'PodDisruptionBudget' && m.metadata.name === 'syslinkd'),
        1,
      );
    },
  ],
];

export const BREAKS: policy.Break[] = [...OF_SERVICES, ...SECURITY_BREAKS];
