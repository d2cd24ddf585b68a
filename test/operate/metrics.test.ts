// Metrics and request ids of every service, read as Prometheus and as a person with grep read them.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildGuest } from '../guests/build.ts';
import { countWords } from '../manifests/count-words.ts';
import { OneNode } from './one-node.ts';
import { Prometheus, prometheusPrograms } from './prometheus.ts';
import { SERVICES, type ServiceName, until } from './service-process.ts';

let node: OneNode;
beforeAll(async () => {
  node = await OneNode.up();
});
afterAll(() => node?.down());

/** `name{labels}` -> value. */
async function scrape(name: ServiceName): Promise<Map<string, number>> {
  const { status, text } = await node.get(name, '/metrics');
  expect(status).toBe(200);
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
  );
}

const UNITS =
  'total|shards|seconds|bytes|pages|frames|calls|holders|dataspaces|locks|events|vkernels|vmspaces|faults|lines|endpoints|requests|circuits|processes|routers|instances|leases|connections|names|descriptors';

describe('metrics', () => {
  it.each(SERVICES)('of %s have one scheme, a help and a type', async (name) => {
    const { text } = await node.get(name, '/metrics');
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
    expect(types.length).toBeGreaterThan(8);
    for (const [, metric, type] of types) {
      expect(metric).toMatch(new RegExp(`^odonata_${name}_[a-z]+(_[a-z]+)*_(${UNITS})$`));
      expect(metric!.endsWith('_total')).toBe(type === 'counter');
      expect(text).toMatch(new RegExp(`^# HELP ${metric} [A-Z0-9]`, 'm'));
    }
  });

  it('count what a program does', async () => {
    const counter = await buildGuest('counter');
    const before = await scrape('pmapd');
    for (const how of ['atomic', 'read']) {
      const { code, stderr } = await node.vkctl(['run', counter, 'tally', how, '1000']);
      expect([code, stderr]).toEqual([0, '']);
    }
    const pmapd = await scrape('pmapd');
    const faults = (samples: Map<string, number>) =>
      [...samples].reduce((sum, [key, n]) => sum + (key.includes('_faults_total') ? n : 0), 0);
    expect(faults(pmapd)).toBeGreaterThan(faults(before));
    expect(pmapd.get('odonata_pmapd_total_frames')).toBe((256 << 20) / 4096);
    expect(pmapd.get('odonata_pmapd_shared_resident_pages')).toBeGreaterThan(0);
    const cohd = await scrape('cohd');
    expect(cohd.get('odonata_cohd_attached_holders')).toBe(1);
    expect(cohd.get('odonata_cohd_registered_dataspaces')).toBe(1);
    const vkerneld = await scrape('vkerneld');
    expect(vkerneld.get('odonata_vkerneld_known_processes{state="exited"}')).toBe(2);
    const run = 'method="/odonata.vkernel.v1.VkernelService/Run",code="OK"';
    expect(vkerneld.get(`odonata_vkerneld_rpc_requests_total{${run}}`)).toBe(2);
    const syslinkd = await scrape('syslinkd');
    expect(syslinkd.get('odonata_syslinkd_connected_endpoints{kind="vkernel"}')).toBe(1);
  });

  it('time unary calls by method and code', async () => {
    expect((await node.vkctl(['ds', 'stat', 'nobody'])).code).toBe(1);
    const key = 'method="/odonata.coherency.v1.DirectoryService/GetDataspace",code="NOT_FOUND"';
    const cohd = await scrape('cohd');
    expect(cohd.get(`odonata_cohd_rpc_requests_total{${key}}`)).toBe(1);
    expect(cohd.get(`odonata_cohd_rpc_duration_seconds_count{${key}}`)).toBe(1);
  });
});

describe('what Prometheus and Grafana are given', () => {
  const FOLDER = join(import.meta.dirname, '../../k8s/monitoring');
  const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8');
  const { groups } = parse(read('alerts.yaml')) as {
    groups: { rules: { alert: string; expr: string; annotations: { runbook: string } }[] }[];
  };
  const alerts = groups.flatMap(({ rules }) => rules);
  const { panels } = JSON.parse(read('dashboard.json')) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  const drawn = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ title, expr: expr.replaceAll('$__rate_interval', '30s') })),
  );
  const programs = prometheusPrograms();
  if (programs === undefined) console.log('skipped: no package prometheus, so nothing reads the metrics');

  it('has a section in the runbook for each alert, and none more', () => {
    const runbook = readFileSync(join(FOLDER, '../../docs/runbook.md'), 'utf8');
    expect(
      [...runbook.matchAll(/^## (\w+)$/gm)].map(([, name]) => `docs/runbook.md#${name!.toLowerCase()}`),
    ).toEqual(alerts.map(({ annotations }) => annotations.runbook));
  });

  it('names metrics that are there', async () => {
    const texts = await Promise.all(SERVICES.map((name) => node.get(name, '/metrics')));
    const all = [
      ...texts
        .map(({ text }) => text)
        .join('\n')
        .matchAll(/^# TYPE (\S+) (\S+)$/gm),
    ].flatMap(([, name, type]) => (type === 'histogram' ? [`${name}_bucket`] : [name!]));
    for (const { expr } of [...alerts, ...drawn]) {
      for (const [, name] of expr.matchAll(/\b(odonata_\w+)(?![\w[])/g)) {
        if (!expr.includes(`"${name}[`)) expect(all, expr).toContain(name);
      }
      for (const [, pattern] of expr.matchAll(/__name__=~"([^"]+)"/g))
        expect(all.filter((name) => new RegExp(`^${pattern}$`).test(name)).length, expr).toBeGreaterThan(0);
    }
  });

  it.skipIf(programs === undefined)(
    'passes promtool: metrics, rules, their tests, the configuration',
    async () => {
      const promtool = join(programs!, 'promtool');
      for (const name of SERVICES) {
        const { text } = await node.get(name, '/metrics');
        const { status, stderr } = spawnSync(promtool, ['check', 'metrics'], {
          input: text,
          encoding: 'utf8',
        });
        expect([status, stderr]).toEqual([0, '']);
      }
      const run = (...args: string[]) => execFileSync(promtool, args, { cwd: FOLDER, encoding: 'utf8' });
      expect(run('check', 'config', 'scrape.yaml')).toContain('is valid');
      expect(run('test', 'rules', 'alerts.test.yaml')).toContain('SUCCESS');
      const tested = new Set(
        [...read('alerts.test.yaml').matchAll(/alertname: (\w+)\n +exp_alerts/g)].map(([, name]) => name),
      );
      expect(tested).toEqual(new Set(alerts.map(({ alert }) => alert)));
    },
  );

  it.skipIf(programs === undefined)('is answered by a Prometheus that reads the services', async () => {
    const prometheus = await Prometheus.up(
      programs!,
      [...node.metrics.values()],
      join(FOLDER, 'alerts.yaml'),
    );
    try {
      for (const { alert, expr } of alerts)
        expect([alert, await prometheus.query(expr)]).toEqual([alert, []]);
      const empty: string[] = [];
      for (const { title, expr } of drawn) if ((await prometheus.query(expr)).length === 0) empty.push(title);
      // What has not happened yet has no series.
      expect(empty.filter((title) => !['Backing store', 'Refused'].includes(title))).toEqual([]);
    } finally {
      await prometheus.down();
    }
  });
});

describe('a request id', () => {
  it('is found in the log of every hop, to the last', async () => {
    const ODONATA_REQUEST_ID = 'ticket-4711';
    const hello = await buildGuest('hello');
    expect((await node.vkctl(['run', hello], { ODONATA_REQUEST_ID })).code).toBe(0);
    const lines = (name: ServiceName) =>
      node.services
        .get(name)!
        .log()
        .filter((line) => line.requestId === ODONATA_REQUEST_ID);
    await until('the line of the virtual kernel', 5_000, () =>
      lines('vkerneld').find((line) => line.msg === 'process ended'),
    );
    expect(lines('syslinkd').map((line) => line.msg)).toContain('routing');
    // The virtual kernel writes to the log of its supervisor.
    const names = new Set(lines('vkerneld').map((line) => line.name));
    expect(names).toEqual(new Set(['vkerneld', 'vkernel anyone/default']));
  });

  it('goes on from pmapd to cohd', async () => {
    const lines = (name: ServiceName) =>
      node.services
        .get(name)!
        .log()
        .filter((line) => line.requestId === 'ticket-4712')
        .map((line) => String(line.method).split('/').at(-1));
    const env = { ODONATA_REQUEST_ID: 'ticket-4712' };
    expect((await node.vkctl(['ds', 'create', 'ticket', '8K'], env)).code).toBe(0);
    expect(lines('syslinkd')).toContain('Create');
    expect(lines('pmapd')).toContain('Create');
    expect(lines('cohd')).toContain('CreateDataspace');
  });
});

describe('the job that make k8s-test runs on a cluster', () => {
  it('is right on one node', () => countWords((args) => node.vkctl(args), 1));
});

// Last: it stops a service.
describe('probes', () => {
  it('answer health, readiness, and what is not there', async () => {
    expect(await node.get('cohd', '/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect(await node.get('cohd', '/elsewhere')).toMatchObject({ status: 404 });
    await node.services.get('cohd')!.stop();
    const away = async () => {
      const { status, text } = await node.get('pmapd', '/readyz');
      return status === 503 ? text : undefined;
    };
    expect(await until('an unready pmapd', 10_000, away)).toBe('waits for the directory\n');
    expect((await node.get('pmapd', '/healthz')).status).toBe(200);
  });
});
