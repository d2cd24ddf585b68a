// What the Pod Security Standards say of a pod, from its spec alone: https://kubernetes.io/docs/concepts/security/pod-security-standards
import type { Policy } from './policy.ts';
import { type Manifest, namespacesOf, podOf, workloads } from './render.ts';

const LEVELS = ['privileged', 'baseline', 'restricted'] as const;
export type PodSecurityLevel = (typeof LEVELS)[number];

const BASELINE_CAPABILITIES = new Set(
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'.split(
    ' ',
  ),
);
const RESTRICTED_VOLUMES = new Set(
  'configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret'.split(' '),
);

/** The strictest level that it meets, and what keeps it from the next one. */
export function podSecurityOf(pod: Manifest): { level: PodSecurityLevel; because: string[] } {
  const baseline = beyondBaseline(pod);
  if (baseline.length > 0) return { level: 'privileged', because: baseline };
  const restricted = beyondRestricted(pod);
  return restricted.length > 0
    ? { level: 'baseline', because: restricted }
    : { level: 'restricted', because: [] };
}

const containersOf = (pod: Manifest): Manifest[] => [
  ...pod.containers,
  ...(pod.initContainers ?? []),
  ...(pod.ephemeralContainers ?? []),
];
const kindOf = ({ name: _name, ...kind }: Manifest): string => Object.keys(kind)[0] ?? 'emptyDir';
const when = (holds: boolean | undefined, what: string): string[] => (holds ? [what] : []);

function beyondBaseline(pod: Manifest): string[] {
  const { securityContext: whole = {}, volumes = [] } = pod;
  return [
    ...['hostNetwork', 'hostPID', 'hostIPC'].flatMap((key) => when(pod[key] === true, key)),
    ...volumes.flatMap((volume: Manifest) =>
      when(kindOf(volume) === 'hostPath', `hostPath ${volume.hostPath?.path}`),
    ),
    ...when((whole.sysctls ?? []).length > 0, 'sysctls'),
    ...containersOf(pod).flatMap(({ securityContext: own = {}, ports = [], ...container }) => [
      ...when(own.privileged === true, 'privileged'),
      ...(own.capabilities?.add ?? []).flatMap((name: string) =>
        when(!BASELINE_CAPABILITIES.has(name), `capability ${name}`),
      ),
      ...ports.flatMap(({ hostPort }: Manifest) => when((hostPort ?? 0) > 0, `hostPort ${hostPort}`)),
      ...['startupProbe', 'livenessProbe', 'readinessProbe'].flatMap((probe) =>
        when(
          container[probe]?.httpGet?.host ?? container[probe]?.tcpSocket?.host,
          `${probe} of another host`,
        ),
      ),
      ...when((own.seccompProfile ?? whole.seccompProfile)?.type === 'Unconfined', 'no seccomp'),
      ...when((own.procMount ?? 'Default') !== 'Default', 'procMount'),
      ...when((own.appArmorProfile ?? whole.appArmorProfile)?.type === 'Unconfined', 'no AppArmor'),
      ...when((own.seLinuxOptions ?? whole.seLinuxOptions) !== undefined, 'seLinuxOptions'),
      ...when((own.windowsOptions ?? whole.windowsOptions)?.hostProcess, 'hostProcess'),
    ]),
  ];
}

function beyondRestricted(pod: Manifest): string[] {
  const { securityContext: whole = {}, volumes = [] } = pod;
  return [
    ...volumes.flatMap((volume: Manifest) =>
      when(!RESTRICTED_VOLUMES.has(kindOf(volume)), `volume ${kindOf(volume)}`),
    ),
    ...containersOf(pod).flatMap(({ securityContext: own = {} }) => [
      ...when(own.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation'),
      ...when((own.runAsNonRoot ?? whole.runAsNonRoot) !== true, 'no runAsNonRoot'),
      ...when((own.runAsUser ?? whole.runAsUser) === 0, 'runAsUser 0'),
      ...when(
        !['RuntimeDefault', 'Localhost'].includes((own.seccompProfile ?? whole.seccompProfile)?.type),
        'no seccomp profile',
      ),
      ...when(!own.capabilities?.drop?.includes('ALL'), 'keeps capabilities'),
      ...when(
        (own.capabilities?.add ?? []).some((name: string) => name !== 'NET_BIND_SERVICE'),
        'adds capabilities',
      ),
    ]),
  ];
}

/** What is the same for a pod and its namespace; so a namespace is as strict as all of its pods allow. */
export const podSecurityIsEnforced: Policy = (all) =>
  workloads(all).flatMap((workload) => {
    const { name, namespace } = workload.metadata;
    const labels = namespacesOf(all).find(({ metadata }) => metadata.name === namespace)?.metadata.labels;
    const enforced = labels?.['pod-security.kubernetes.io/enforce'] ?? 'privileged';
    const { level, because } = podSecurityOf(podOf(workload));
    const why = because.length > 0 ? ` (${because.join(', ')})` : '';
    return level === enforced ? [] : [`${name}: is ${level}${why}, its namespace ${enforced}`];
  });

/** Which need more than `restricted`, and why: the memory of the machine, and nothing else. */
export const onlyMemoryIsOfTheMachine: Policy = (all) =>
  workloads(all).flatMap((workload) => {
    const { level, because } = podSecurityOf(podOf(workload));
    const isNode = ['pmapd', 'vkerneld'].includes(workload.metadata.name);
    const fits = level === 'restricted' || (isNode && because.join() === 'hostPath /dev/shm');
    // Beside that, a pod is as restricted as any.
    const { volumes = [], ...rest } = podOf(workload);
    const without = { ...rest, volumes: volumes.filter(({ hostPath }: Manifest) => hostPath === undefined) };
    const other = podSecurityOf(without);
    return fits && other.level === 'restricted'
      ? []
      : [`${workload.metadata.name}: needs ${[...because, ...other.because].join(', ')}`];
  });

/** A row for README.md: `| pod | namespace | level | what keeps it from the next one |` */
export function podSecurityRows(all: Manifest[]): string[][] {
  return workloads(all)
    .map((workload) => {
      const { level, because } = podSecurityOf(podOf(workload));
      const { name, namespace } = workload.metadata;
      return [`\`${name}\``, `\`${namespace}\``, level, because.join(', ') || '-'];
    })
    .sort();
}
