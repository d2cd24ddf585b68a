// Keys and certificates: a role has one of its own, in files that its own user reads and that are new when the Secret is.
import type { Policy } from './policy.ts';
import { SETTINGS, variablesOf } from './policy.ts';
import { type Manifest, podOf, workloads } from './render.ts';

const TLS = /^odonata-tls-([a-z]+)/;
const unless = (holds: boolean, problem: string): string[] => (holds ? [] : [problem]);

function eachService(
  all: Manifest[],
  check: (container: Manifest, pod: Manifest, workload: Manifest) => string[],
): string[] {
  return workloads(all).flatMap((workload) =>
    podOf(workload)
      .containers.filter(({ name }: Manifest) => name in SETTINGS)
      .flatMap((container: Manifest) =>
        check(container, podOf(workload), workload).map((problem) => `${workload.metadata.name}: ${problem}`),
      ),
  );
}

/** Mutual TLS between all services, by the Secret of the own role alone. */
export const identityIsOwn: Policy = (all) =>
  eachService(all, (container, pod) => {
    const dir = variablesOf(all, container).get(`ODONATA_${container.name.toUpperCase()}_TLS_DIR`);
    const volumes = (pod.volumes ?? []).filter(({ secret }: Manifest) => TLS.test(secret?.secretName ?? ''));
    const mount = container.volumeMounts?.find(({ mountPath }: Manifest) => mountPath === dir);
    return [
      ...unless(dir !== undefined, 'has no TLS'),
      ...unless(
        volumes.some(({ name }: Manifest) => name === mount?.name),
        'has no identity',
      ),
      ...volumes.flatMap(({ secret: { secretName } }: Manifest) =>
        unless(TLS.exec(secretName)![1] === container.name, `the Secret ${secretName} is not for it`),
      ),
    ];
  });

/** By the group of the pod, and nobody else's; a new Secret is there without a restart, which no file of a subPath is. */
export const keysAreGuarded: Policy = (all) =>
  workloads(all).flatMap((workload) => {
    const pod = podOf(workload);
    const secrets: Manifest[] = (pod.volumes ?? []).filter(({ secret }: Manifest) => secret !== undefined);
    const { fsGroup, runAsGroup } = pod.securityContext ?? {};
    return [
      ...secrets.flatMap(({ name, secret }) => [
        ...unless(((secret.defaultMode ?? 0o644) & 0o337) === 0, `the files of ${name} are not of mode 0440`),
        ...unless(
          (secret.items ?? []).every(({ mode }: Manifest) => mode === undefined),
          `a file of ${name} has a mode of its own`,
        ),
        ...unless(fsGroup > 0 && fsGroup === runAsGroup, `the files of ${name} are not its group's`),
      ]),
      ...pod.containers.flatMap(({ volumeMounts = [] }: Manifest) =>
        volumeMounts
          .filter(({ name }: Manifest) => secrets.some((secret) => secret.name === name))
          .flatMap(({ name, readOnly, subPath, subPathExpr }: Manifest) => [
            ...unless(readOnly === true, `${name} may be written`),
            ...unless(
              subPath === undefined && subPathExpr === undefined,
              `a renewed ${name} takes a restart: it is mounted by subPath`,
            ),
          ]),
      ),
    ].map((problem) => `${workload.metadata.name}: ${problem}`);
  });

/** Of cert-manager: one URI, of the role that the Secret is of, in the namespace where that is mounted. */
export const certificateIsOfARole: Policy = (all) =>
  all
    .filter(({ kind, spec }) => kind === 'Certificate' && spec.isCA !== true)
    .flatMap(({ metadata, spec }) => {
      const role = TLS.exec(spec.secretName)?.[1];
      const isService = role !== undefined && role in SETTINGS;
      const place = workloads(all).find(({ metadata: { name } }) => name === role)?.metadata.namespace;
      return [
        ...unless(
          spec.uris?.length === 1 &&
            spec.uris[0] === `odonata://odonata/${role}/${isService ? '*' : 'admin'}`,
          `is not of the role ${role} alone`,
        ),
        ...unless(isService || !spec.usages.includes('server auth'), 'a person may serve'),
        ...unless(metadata.namespace === (place ?? 'odonata'), 'is not where it is mounted'),
        ...unless(spec.privateKey?.rotationPolicy === 'Always', 'keeps its key for ever'),
      ].map((problem) => `${metadata.name}: ${problem}`);
    });

/** Secrets that operators make, or cert-manager, or the Job of trials: by namespace. */
const FROM_ELSEWHERE: Record<string, RegExp> = {
  odonata: /^(nats-(cohd|pmapd|routes)|odonata-tls-(syslinkd|cohd|console)|odonata-console-web)$/,
  'odonata-nodes': /^(nats-pmapd|odonata-tls-(pmapd|vkerneld))$/,
};

/** What a pod waits for comes: a Secret or ConfigMap of its namespace, with the keys that it reads. */
export const whatIsReadIsThere: Policy = (all) =>
  workloads(all).flatMap(({ metadata: { name, namespace }, spec }) => {
    const pod = spec.template.spec;
    const given = (kind: string, what: string) =>
      all.find((m) => m.kind === kind && m.metadata.name === what && m.metadata.namespace === namespace);
    const secret = (what: string, keys: string[]) => {
      const found = given('Secret', what);
      const there = found ? keys.every((key) => key in found.data) : FROM_ELSEWHERE[namespace]?.test(what);
      return unless(there === true, `${name}: no Secret ${what} with ${keys.join(', ')} in ${namespace}`);
    };
    const map = (what: string) =>
      unless(given('ConfigMap', what) !== undefined, `${name}: no ConfigMap ${what} in ${namespace}`);
    return [
      ...(pod.volumes ?? []).flatMap(({ secret: from, configMap }: Manifest) => [
        ...(from
          ? secret(
              from.secretName,
              (from.items ?? []).map(({ key }: Manifest) => key),
            )
          : []),
        ...(configMap ? map(configMap.name) : []),
      ]),
      ...pod.containers.flatMap(({ env = [], envFrom = [] }: Manifest) => [
        ...env.flatMap(({ valueFrom }: Manifest) =>
          valueFrom?.secretKeyRef ? secret(valueFrom.secretKeyRef.name, [valueFrom.secretKeyRef.key]) : [],
        ),
        ...envFrom.flatMap(({ configMapRef }: Manifest) => map(configMapRef.name)),
      ]),
    ];
  });

/** Virtual kernels have the uid of their supervisor here: it is not that of pmapd, which knows it, and lets it in at one place. */
export const uidsAreDistinct: Policy = (all) => {
  const of = (name: string) => {
    const pod = podOf(workloads(all).find(({ metadata }) => metadata.name === name)!);
    return { pod: pod.securityContext, variables: variablesOf(all, pod.containers[0]) };
  };
  const [pmapd, vkerneld] = [of('pmapd'), of('vkerneld')];
  const groups = ({ runAsGroup, fsGroup, supplementalGroups = [] }: Manifest) => [
    runAsGroup,
    fsGroup,
    ...supplementalGroups,
  ];
  const guest = Number(pmapd.variables.get('ODONATA_PMAPD_VKERNEL_UID'));
  const shared = pmapd.variables.get('ODONATA_PMAPD_VKERNEL_DIR');
  return [
    ...unless(pmapd.pod.runAsUser !== vkerneld.pod.runAsUser, 'virtual kernels have the uid of pmapd'),
    ...unless(
      !groups(pmapd.pod).some((group) => groups(vkerneld.pod).includes(group)),
      'virtual kernels are in a group of pmapd',
    ),
    ...unless(guest === vkerneld.pod.runAsUser, 'pmapd lets in another uid than that of virtual kernels'),
    ...unless(
      shared !== undefined && shared === vkerneld.variables.get('ODONATA_VKERNELD_PMAPD_DIR'),
      'vkerneld looks for pmapd elsewhere',
    ),
    ...unless(
      pmapd.variables.get('ODONATA_PMAPD_SOCKET_DIR') !==
        vkerneld.variables.get('ODONATA_VKERNELD_SOCKET_DIR'),
      'two users share a folder',
    ),
  ];
};
