// The whole of a node with mutual TLS, and a person with and without a certificate.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGuest } from '../guests/build.ts';
import { OneNode } from './one-node.ts';

let node: OneNode;
let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'odonata-tls-'));
  const script = join(import.meta.dirname, '../../k8s/make-certificates.sh');
  execFileSync('sh', [script, dir], { stdio: 'ignore' });
  node = await OneNode.up({ tlsDir: dir, vkctlEnv: { ODONATA_TLS_DIR: join(dir, 'admin') } });
});
afterAll(async () => {
  await node?.down();
  rmSync(dir, { recursive: true, force: true });
});

describe('a node with mutual TLS', () => {
  it('runs programs for who has a certificate', async () => {
    const hello = await buildGuest('hello');
    const { code, stderr } = await node.vkctl(['run', hello]);
    expect([code, stderr]).toEqual([0, '']);
    // Its number came from the cluster: the first free one.
    expect((await node.vkctl(['ps', '-a'])).stdout).toMatch(/^100001 +n1 /m);
  });

  it('does not answer others', async () => {
    const { code, stderr } = await node.vkctl(['ps'], { ODONATA_TLS_DIR: '' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vkctl: the router .*does not answer.*\n$/);
  });
});
