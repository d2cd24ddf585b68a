// The units of deploy/systemd: what systemd itself says of them, and whether the services know all that they are told.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '@odonata/rpc/config.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cohdConfig } from '../../services/cohd/config.ts';
import { pmapdConfig } from '../../services/pmapd/config.ts';
import { syslinkdConfig } from '../../services/syslinkd/config.ts';
import { leavesOf } from '../../services/vkctl/help/walk.ts';
import { createProgram } from '../../services/vkctl/program.ts';
import { NODE_FLAGS } from '../../services/vkctl/supervisor/service-spec.ts';
import { vkerneldConfig } from '../../services/vkerneld/config.ts';

const ROOT = join(import.meta.dirname, '../..');
const UNITS = join(ROOT, 'deploy/systemd');
const SERVICES = { syslinkd: syslinkdConfig, cohd: cohdConfig, pmapd: pmapdConfig, vkerneld: vkerneldConfig };
const units = readdirSync(UNITS).filter((name) => name.endsWith('.service'));

const folder = mkdtempSync(join(tmpdir(), 'odonata-units-'));
beforeAll(() => {
  execFileSync('sh', [join(ROOT, 'k8s/make-certificates.sh'), join(folder, 'tls')], { stdio: 'ignore' });
  execFileSync('sh', [join(ROOT, 'k8s/make-nats-passwords.sh'), join(folder, 'nats')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** As it would be read where the checkout is /opt/odonata and the settings are in /etc/odonata. */
const placed = (text: string): string =>
  text.replaceAll('/opt/odonata', ROOT).replaceAll('/etc/odonata', folder).replaceAll('%i', 'node1');

const variables = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );

const unitOf = (service: string): string =>
  readFileSync(
    join(UNITS, units.find((name) => name.replace('@', '') === `odonata-${service}.service`)!),
    'utf8',
  );
const startOf = (unit: string): string[] => /^ExecStart=(.*)$/m.exec(unit)![1]!.split(' ');

it('there is one for each service, hardened, and one for what vkctl runs', () => {
  expect(units.map((name) => name.replace(/^odonata-?|@|\.service$/g, '')).sort()).toEqual([
    '',
    'cohd',
    'nats',
    'pmapd',
    'syslinkd',
    'vkerneld',
  ]);
  for (const name of units) {
    const unit = readFileSync(join(UNITS, name), 'utf8');
    for (const line of [
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'CapabilityBoundingSet=',
      'User=odonata',
    ])
      expect(unit, name).toContain(`${line}\n`);
    expect(unit, name).toMatch(/^RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6/m);
  }
  expect(unitOf('vkerneld')).toMatch(/^Delegate=memory pids cpu$/m);
});

it.each(Object.keys(SERVICES) as (keyof typeof SERVICES)[])('%s knows every flag and variable', (service) => {
  const unit = unitOf(service);
  const [, ...words] = startOf(unit);
  const main = words.findIndex((word) => word.endsWith('.ts'));
  expect(words.slice(0, main)).toEqual(NODE_FLAGS);
  expect(words[main]).toBe(`/opt/odonata/services/${service}/main.ts`);
  expect(unit).toContain(`EnvironmentFile=/etc/odonata/${service}.env\n`);
  const env = variables(placed(readFileSync(join(UNITS, `${service}.env`), 'utf8')));
  const flags = words.slice(main + 1).map(placed);
  const read = readConfig(service, service, SERVICES[service], flags, env);
  expect(read).toMatchObject({ kind: 'config' });
  const prefix = `ODONATA_${service.toUpperCase()}_`;
  const config = (read as { config: Record<string, unknown> }).config;
  for (const name of Object.keys(env)) {
    const key = name
      .slice(prefix.length)
      .toLowerCase()
      .replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    expect([name.startsWith(prefix), key in config], name).toEqual([true, true]);
  }
});

it('vkctl knows what its unit starts and stops', async () => {
  const unit = readFileSync(join(UNITS, 'odonata@.service'), 'utf8');
  const leaves = new Map(leavesOf(await createProgram()).map(({ words, command }) => [words, command]));
  for (const line of unit.match(/^Exec(?:Start|Stop)=.*$/gm)!) {
    const [, command, ...words] = line.slice(line.indexOf('=') + 1).split(' ');
    const known = leaves.get(command!)!.options.flatMap(({ long }) => (long ? [long] : []));
    expect(known, line).toEqual(expect.arrayContaining(words.filter((word) => word.startsWith('--'))));
  }
});

it('nats-server takes its configuration', () => {
  copyFileSync(join(ROOT, 'k8s/base/nats-users.conf'), join(folder, 'nats-users.conf'));
  writeFileSync(join(folder, 'nats.conf'), placed(readFileSync(join(UNITS, 'nats.conf'), 'utf8')));
  const env = { ...process.env, ...variables(readFileSync(join(folder, 'nats/nats.env'), 'utf8')) };
  const { status, stderr } = spawnSync('nats-server', ['-t', '-c', join(folder, 'nats.conf')], {
    env,
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, expect.stringContaining('is valid')]);
});

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!hasSystemd)
  process.stderr.write('systemd-analyze is not here: what systemd says of the units was not asked\n');

it.runIf(hasSystemd)('systemd has nothing to say of them', () => {
  const dir = join(folder, 'units');
  mkdirSync(dir);
  for (const name of units)
    writeFileSync(join(dir, name), readFileSync(join(UNITS, name), 'utf8').replaceAll('/opt/odonata', ROOT));
  const named = units.map((name) => join(dir, name.replace('@', '@node1')));
  for (const [at, name] of units.entries()) if (name.includes('@')) copyFileSync(join(dir, name), named[at]!);
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...named], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  const ours = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('odonata'));
  expect([status, ours]).toEqual([0, []]);
});
