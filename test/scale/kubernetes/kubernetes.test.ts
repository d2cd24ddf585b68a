// The steps on Kubernetes: there is no cluster here, so kubectl is a program that notes what it is asked. What it
// "forwards" to is real: NATS with its users, and two replicas of cohd.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Authority } from '@odonata/authority/authority.ts';
import { natsAuthorization } from '@odonata/bus/permissions.ts';
import { parseIdentity } from '@odonata/rpc/identity/identity.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pickPorts } from '../../../services/vkctl/cluster/ports.ts';
import { ServiceProcess } from '../../operate/service-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'scale-kubernetes-'));
const put = (name: string, value: unknown): void => writeFileSync(join(folder, name), JSON.stringify(value));
const services: ServiceProcess[] = [];
/** What the Secret of a role has. */
const tlsOf = (role: string): string => join(folder, 'tls', role);

beforeAll(async () => {
  // An executable by the name of kubectl, run by our own node.
  mkdirSync(join(folder, 'bin'));
  const fake = join(import.meta.dirname, 'fake-kubectl.ts');
  writeFileSync(join(folder, 'bin/kubectl'), `#!/bin/sh\nexec '${process.execPath}' '${fake}' "$@"\n`);
  chmodSync(join(folder, 'bin/kubectl'), 0o755);

  const authority = await Authority.in(join(folder, 'authority'), 'odonata');
  for (const who of ['syslinkd/*', 'cohd/*', 'pmapd/*', 'vkerneld/*', 'admin/admin'])
    await authority.issue(parseIdentity(`odonata://odonata/${who}`)!, tlsOf(who.split('/')[0]!), { days: 1 });

  const [nats, ...grpc] = (await pickPorts(3)) as [number, number, number];
  const password = '"for-trials-only"';
  const users = (['cohd', 'pmapd'] as const).map((role) => ({ user: role, role, password }));
  writeFileSync(join(folder, 'nats.conf'), natsAuthorization('odonata', users));
  writeFileSync(join(folder, 'cohd'), 'cohd\nfor-trials-only\n', { mode: 0o600 });
  services.push(ServiceProcess.nats(nats, join(folder, 'nats'), ['-c', join(folder, 'nats.conf')]));
  const names = ['cohd-a', 'cohd-b'];
  const replicas = names.map((name, i) => {
    // They say they are where only pods reach them.
    const place = ['--listen', `127.0.0.1:${grpc[i]}`, '--advertise', `10.9.8.${i}:7421`, '--replica', name];
    const bus = [
      '--nats',
      `nats://127.0.0.1:${nats}`,
      '--nats-credentials',
      join(folder, 'cohd'),
      '--cluster',
      'odonata',
    ];
    const tls = ['--tls-dir', tlsOf('cohd')];
    return ServiceProcess.service('cohd', [...place, ...bus, ...tls, '--metrics-listen', '127.0.0.1:0']);
  });
  services.unshift(...replicas);
  const metrics = await Promise.all(replicas.map(async (one) => String((await one.line('metrics')).address)));
  put('forwards', {
    'service/nats :4222': `127.0.0.1:${nats}`,
    ...Object.fromEntries(
      names.flatMap((name, i) => [
        [`pod/${name} :7421`, `127.0.0.1:${grpc[i]}`],
        [`pod/${name} :7422`, metrics[i]],
      ]),
    ),
  });
  podsAre(names);
});

function podsAre(names: string[]): void {
  put(
    'pods',
    names.map((name, i) => ({ name, ip: `10.9.8.${i}` })),
  );
}
afterAll(async () => {
  for (const service of services) await service.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function scale(args: string[]) {
  const PATH = `${join(folder, 'bin')}:${process.env.PATH}`;
  const env = {
    ...process.env,
    PATH,
    KUBECONFIG: join(folder, 'none'),
    FAKE_KUBECTL: folder,
    TMPDIR: folder,
  };
  writeFileSync(join(folder, 'calls'), '');
  const files = ['--svg', join(folder, 'x.svg'), '--json', join(folder, 'report')];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../main.ts'), ...args, ...files], {
    env,
  });
  const [[code], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    text(child.stdout),
    text(child.stderr),
  ]);
  const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
  return { code, stdout, stderr, calls };
}

const RUN = ['--kubernetes', '--quick', '--service', 'cohd', '--replicas', '2'];

test('scales the Deployment, measures its pods, and scales it back', async () => {
  put('replicas', 1);
  put('autoscalers', { items: [] });
  put('settings', { ODONATA_COHD_CLUSTER: 'odonata', ODONATA_COHD_STANDALONE: 'false' });
  const { code, stderr, calls } = await scale(RUN);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  expect(calls).toEqual(
    [
      'get deployment cohd -o json',
      'get horizontalpodautoscaler -o json',
      'get configmap config-1 -o json',
      'scale deployment/cohd --replicas=2',
      'rollout status deployment/cohd --timeout=300s',
      'get pods -l app.kubernetes.io/name=cohd -o json',
      'get daemonset pmapd -o json',
      'get secret nats-pmapd-2 -o json',
      'get secret odonata-tls-pmapd -o json',
      'get secret odonata-tls-cohd -o json',
      'port-forward service/nats :4222',
      'port-forward pod/cohd-a :7421',
      'port-forward pod/cohd-a :7422',
      'port-forward pod/cohd-b :7421',
      'port-forward pod/cohd-b :7422',
      'scale deployment/cohd --replicas=1',
    ].map((call) => `-n ${/pmapd/.test(call) ? 'odonata-nodes' : 'odonata'} ${call}`),
  );
  const report = JSON.parse(readFileSync(join(folder, 'report'), 'utf8'));
  expect(report.kubernetes).toBe(true);
  for (const row of report.services.cohd.rows) {
    expect(row.replicas).toBe(2);
    expect(row.perS).toBeGreaterThan(0);
    // By the pods' own counters: both did a part of it, and no acquire is missing.
    expect(row.workShare).toBeGreaterThanOrEqual(1);
    expect(row.workShare).toBeLessThan(1.5);
    expect(row.residentMib).toBeGreaterThan(10);
  }
});

test('the same of routers, each through a port of its own', async () => {
  const names = ['syslinkd-a', 'syslinkd-b'];
  const ports = await pickPorts(names.length);
  const routers = ports.map((port) =>
    ServiceProcess.service('syslinkd', [
      ...['--listen', `127.0.0.1:${port}`, '--tls-dir', tlsOf('syslinkd'), '--metrics-listen', '127.0.0.1:0'],
    ]),
  );
  services.unshift(...routers);
  const metrics = await Promise.all(routers.map(async (one) => String((await one.line('metrics')).address)));
  put(
    'forwards',
    Object.fromEntries(
      names.flatMap((name, i) => [
        [`pod/${name} :7411`, `127.0.0.1:${ports[i]}`],
        [`pod/${name} :7412`, metrics[i]],
      ]),
    ),
  );
  podsAre(names);
  put('replicas', 1);
  put('autoscalers', { items: [] });
  put('settings', {});
  const run = ['--kubernetes', '--quick', '--service', 'syslinkd', '--replicas', '2'];
  const { code, stderr, calls } = await scale(run);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  expect(calls).toContain('-n odonata scale deployment/syslinkd --replicas=2');
  expect(calls.at(-1)).toBe('-n odonata scale deployment/syslinkd --replicas=1');
  const report = JSON.parse(readFileSync(join(folder, 'report'), 'utf8'));
  expect(calls.filter((call) => call.includes('odonata-tls-'))).toEqual([
    '-n odonata-nodes get secret odonata-tls-vkerneld -o json',
    '-n odonata get secret odonata-tls-admin -o json',
  ]);
  // What was fetched is gone.
  expect(readdirSync(folder).filter((name) => name.startsWith('odonata-identities-'))).toEqual([]);
  for (const row of report.services.syslinkd.rows) {
    expect(row.perS).toBeGreaterThan(0);
    expect(row.workShare).toBeLessThan(1.5);
  }
});

test('an autoscaler, and a replica that must be alone, are told before anything is scaled', async () => {
  put('replicas', 1);
  put('settings', { ODONATA_COHD_STANDALONE: 'false' });
  const autoscaler = { metadata: { name: 'cohd' }, spec: { scaleTargetRef: { name: 'cohd' } } };
  put('autoscalers', { items: [autoscaler] });
  const scaler = await scale(RUN);
  expect(scaler.code).toBe(1);
  expect(scaler.stderr).toMatch(/horizontalpodautoscaler\/cohd scales deployment\/cohd/);

  put('autoscalers', { items: [] });
  put('settings', { ODONATA_COHD_STANDALONE: 'true' });
  const alone = await scale(RUN);
  expect(alone.code).toBe(1);
  expect(alone.stderr).toMatch(/run alone .*k8s\/components\/cohd-replicas/);
  for (const { calls } of [scaler, alone]) expect(calls.join('\n')).not.toMatch(/scale deployment/);
});
