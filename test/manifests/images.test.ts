// `make images`, with an engine that only notes what it is told.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hasPinnedImages } from './policy.ts';
import { K8S, podOf, render, workloads } from './render.ts';

const DIGEST = `sha256:${'5d'.repeat(32)}`;
const PINS = 'components/images/kustomization.yaml';
const PINS_FILE = `k8s/${PINS}`;
/** That of the console is for who adds components/console. */
const IMAGES = ['cohd', 'console', 'pmapd', 'syslinkd', 'vkerneld'];
const SERVICES = ['cohd', 'pmapd', 'syslinkd', 'vkerneld'];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-images-'));
  for (const part of ['bootstrap', 'k8s', 'package.json'])
    cpSync(join(K8S, '..', part), join(folder, part), { recursive: true });
  const git = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false'];
  execFileSync('git', ['init', '--quiet'], { cwd: folder });
  const origin = 'https://me:secret@example.org/odonata.git';
  execFileSync('git', ['remote', 'add', 'origin', origin], { cwd: folder });
  execFileSync('git', ['add', '.'], { cwd: folder });
  execFileSync('git', [...git, 'commit', '--quiet', '-m', 'all'], { cwd: folder });
  mkdirSync(`${folder}-bin`);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  rmSync(`${folder}-bin`, { recursive: true });
});

function makeImages(engine: 'docker' | 'buildah', env: Record<string, string>, digest = DIGEST) {
  const bin = `${folder}-bin`;
  const script = {
    docker: `[ "$1" = image ] && printf 'other.example/x@sha256:0\\n%s@%s\\n' "\${5%:*}" '${digest}'`,
    buildah: `[ "$1" = push ] && printf %s '${digest}' >"$4"`,
  }[engine];
  // Of the others none is there.
  for (const name of ['docker', 'podman', 'buildah'])
    writeFileSync(
      join(bin, name),
      name === engine ? `#!/bin/sh\necho "$*" >>'${bin}/calls'\n${script}\ntrue\n` : '#!/bin/sh\nexit 1\n',
    );
  for (const name of ['docker', 'podman', 'buildah']) chmodSync(join(bin, name), 0o755);
  const { status, stdout, stderr } = spawnSync('bash', [join(folder, 'bootstrap/images.sh')], {
    env: { PATH: `${bin}:${process.env.PATH}`, HOME: folder, ...env },
    encoding: 'utf8',
  });
  const calls = readFileSync(join(bin, 'calls'), 'utf8').trim().split('\n');
  return { status, stdout, stderr, calls };
}
const pins = (): string => readFileSync(join(folder, PINS_FILE), 'utf8');

test('every image that is built has the same labels', () => {
  const dockerfile = readFileSync(join(K8S, '../Dockerfile'), 'utf8');
  const stages = dockerfile.split(/^FROM /m).slice(1);
  const [base] = stages.filter((stage) => /^\S+ AS base\n/.test(stage));
  for (const label of ['vendor', 'licenses', 'version', 'revision', 'source', 'created'])
    expect(base).toContain(`org.opencontainers.image.${label}="`);
  const targets = stages.filter((stage) => stage.startsWith('base AS '));
  expect(targets.map((stage) => /^base AS (\w+)/.exec(stage)![1])).toEqual(IMAGES);
  for (const [i, stage] of targets.entries())
    expect(stage).toMatch(
      new RegExp(
        `^LABEL org.opencontainers.image.title="${IMAGES[i]}" org.opencontainers.image.description="\\S.*"$`,
        'm',
      ),
    );
});

test('names images after nobody unless a registry is given, and pushes only when told', () => {
  const { status, calls } = makeImages('buildah', {});
  expect(status).toBe(0);
  const built = calls.filter((call) => call.startsWith('build '));
  expect(
    built.filter((call) => !call.includes('--build-arg SOURCE=https://example.org/odonata.git ')),
  ).toEqual([]);
  for (const service of IMAGES)
    expect(built.some((call) => call.includes(`--tag registry.invalid/odonata/${service}:`))).toBe(true);
  expect(calls.some((call) => call.startsWith('push'))).toBe(false);
  expect(pins()).toBe(readFileSync(join(K8S, PINS), 'utf8'));
  const refused = makeImages('buildah', { PUSH: 'yes' });
  expect([refused.status, refused.stderr]).toEqual([
    1,
    'images: PUSH takes a registry. Say REGISTRY=registry.example/odonata/\n',
  ]);
});

test.each(['docker', 'buildah'] as const)('%s: what was pushed is what both overlays have', (engine) => {
  const { status, stderr } = makeImages(engine, { REGISTRY: 'registry.example/odonata/', PUSH: 'yes' });
  expect([status, stderr]).toEqual([0, '']);
  for (const overlay of engine === 'docker' ? ['dev', 'prod'] : []) {
    const all = render(join(folder, 'k8s/overlays', overlay));
    const images = workloads(all).map((workload) => podOf(workload).containers[0].image);
    for (const service of SERVICES) expect(images).toContain(`registry.example/odonata/${service}@${DIGEST}`);
    // None is left elsewhere: that of the Job, too.
    expect(images.filter((image) => image.includes('registry.invalid'))).toEqual([]);
    expect(hasPinnedImages(all)).toEqual([]);
  }
  // Once more, with what another push gave.
  const other = DIGEST.replace('5d', '6e');
  makeImages(engine, { REGISTRY: 'other.example:5000/a/b/', PUSH: 'yes' }, other);
  for (const service of SERVICES)
    expect(pins()).toContain(
      `{ name: registry.invalid/odonata/${service}, newName: other.example:5000/a/b/${service}, digest: ${other} } # 0.2.0\n`,
    );
  expect(pins()).not.toContain(DIGEST);
});

test('an engine that tells no digest leaves the manifests as they are', () => {
  const { status, stderr } = makeImages(
    'buildah',
    { REGISTRY: 'registry.example/odonata/', PUSH: 'yes' },
    '',
  );
  expect(status).toBe(1);
  expect(stderr).toContain('buildah does not tell the digest of registry.example/odonata/cohd:');
  expect(pins()).toBe(readFileSync(join(K8S, PINS), 'utf8'));
});
