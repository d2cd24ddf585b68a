// By which names and addresses foreign clients find that a service is whom they called.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Role } from '@odonata/proto/auth/v1/access';
import { afterAll, expect, it } from 'vitest';
import { Authority } from './authority.ts';

const dir = mkdtempSync(join(tmpdir(), 'odonata-authority-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it.each([
  ['10.0.0.1', '10.0.0.1'],
  ['fd00::7:1', 'fd00:0:0:0:0:0:7:1'],
  ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
  ['cluster.example.org', 'cluster.example.org'],
])('a service is certified for %s, and for this machine', async (host, same) => {
  const authority = await Authority.in(join(dir, 'ca'), 'many');
  const caller = { cluster: 'many', role: Role.COHD, name: 'cohd', groups: [] };
  await authority.issue(caller, join(dir, 'cohd'), { days: 1, host });
  const made = new X509Certificate(readFileSync(join(dir, 'cohd', 'tls.crt')));
  const is = (name: string): boolean =>
    (/^[a-z]/.test(name) && !name.includes(':') ? made.checkHost(name) : made.checkIP(name)) !== undefined;
  expect([host, same, 'odonata', 'localhost', '127.0.0.1', '::1'].filter((name) => !is(name))).toEqual([]);
  expect(['10.0.0.2', 'fd00::7:2', 'elsewhere.example.org'].filter(is)).toEqual([]);
});
