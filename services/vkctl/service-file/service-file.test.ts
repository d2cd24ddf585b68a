// What is wrong in a service's file is one line: where, which field, how to mend it.
import { describe, expect, test } from 'vitest';
import { expectNoCircle } from './circles.ts';
import { servicesIn } from './service-file.ts';

const said = (text: string): string => {
  try {
    return JSON.stringify(servicesIn(text, 'web.yaml'));
  } catch (error) {
    return (error as Error).message;
  }
};

test('all fields, with the names of compose', () => {
  const [service] = servicesIn(
    `name: web
program: ./web.wasm
command: [--port, 8080]
environment: { LANG: C, DEBUG: 1 }
volumes: [./site:/site:ro]
resources: { memory: 256M, cpus: 0.5 }
restart: on-failure:5
depends_on: { db: { condition: service_healthy } }
healthcheck: { test: [CMD, ./probe.wasm], interval: 1m30s }
stop_grace_period: 500ms
`,
    'web.yaml',
  );
  expect(service).toMatchObject({
    command: ['--port', '8080'],
    environment: ['LANG=C', 'DEBUG=1'],
    volumes: [{ hostPath: './site', guestPath: '/site', readOnly: true }],
    resources: { memory: 256 * 2 ** 20, cpus: 0.5 },
    restart: { policy: 'on-failure', max: 5 },
    depends_on: [{ service: 'db', condition: 'service_healthy' }],
    healthcheck: { test: ['./probe.wasm'], interval: 90_000, retries: 3 },
    stop_grace_period: 500,
  });
  expect(servicesIn('name: a\nprogram: p\n---\nname: b\nprogram: p\n', 'f').map(({ name }) => name)).toEqual([
    'a',
    'b',
  ]);
  expect(servicesIn('name: a\nprogram: p\nrestart: no\n', 'f')[0]!.restart).toEqual({
    policy: 'no',
    max: 10,
  });
});

describe('one line for', () => {
  test.each([
    ['name: web\n', /^web.yaml:1: program: /],
    ['name: web\nprogam: p\n', /^web.yaml:2: progam: there is no such field; is program meant\?$/],
    ['name: Web!\nprogram: p\n', /^web.yaml:1: name: use 1 to 24 of a-z 0-9 -$/],
    [
      'name: web\nprogram: p\n\nreplica: 3\n',
      /^web.yaml:4: replica: there is no such field; is replicas meant\?$/,
    ],
    [
      'name: web\nprogram: p\nrestart: sometimes\n',
      /^web.yaml:3: restart: "sometimes" is no way to restart: write no, /,
    ],
    [
      'name: web\nprogram: p\nresources:\n  cpus: 0.5\n  memory: lots\n',
      /^web.yaml:5: resources.memory: "lots" is no size/,
    ],
    ['name: web\nprogram: p\nresources:\n  disk: 4K\n', /^web.yaml:4: resources.disk: 64K is the least/],
    [
      'name: web\nprogram: p\nresources: { ram: 1G }\n',
      /^web.yaml:3: resources.ram: there is no such field; fields are memory, /,
    ],
    ['name: web\nprogram: p\nvolumes: [a]\n', /^web.yaml:3: volumes.0: "a" is no volume: write HOST:GUEST/],
    ['name: web\nprogram: p\nstop_grace_period: 5\n', /^web.yaml:3: stop_grace_period: write a time/],
    ['name: web\nprogram: p\nreplicas: 1000\n', /^web.yaml:3: replicas: write a whole number from 0 to 100$/],
    [
      'name: web\nprogram: p\ndepends_on: { db: { condition: ready } }\n',
      /^web.yaml:3: depends_on.db.condition: write service_started, /,
    ],
    ['name: [\n', /^web.yaml:\d: this is no YAML: /],
    ['# nothing\n', /^web.yaml: no service is in there/],
    ['- name: web\n', /^web.yaml:1: this is no service: one has fields, as name: web; /],
    [`name: web\ncommand: ${'['.repeat(20_000)}\n`, /^web.yaml:\d: it is nested too deeply$/],
  ])('%j', (text, line) => {
    expect(said(text)).toMatch(line);
    expect(said(text)).not.toContain('\n');
  });
});

test('services of one call that would wait for each other are told before any is made', () => {
  const all = servicesIn(
    ['a [b]', 'b [c]', 'c [a]']
      .map((each) => each.split(' '))
      .map(([name, after]) => `name: ${name}\nprogram: p\ndepends_on: ${after}\n`)
      .join('---\n'),
    'f',
  ).map((form) => ({ file: 'abc.yaml', form }));
  expect(() => expectNoCircle(all)).toThrow(
    'abc.yaml: service a: depends_on: it would wait for itself: a -> b -> c -> a',
  );
  expect(() => expectNoCircle(all.slice(1))).not.toThrow();
  expect(() => expectNoCircle(all.slice(0, 1).concat(all.slice(0, 1)))).not.toThrow();
});
