// The Job that makes identities for trials, against an API server that knows Secrets.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Role } from '@odonata/proto/auth/v1/access';
import { identityOf } from '@odonata/rpc/identity/certificate.ts';
import { roleOf } from '@odonata/rpc/identity/identity.ts';
import { whyNoIdentity } from '@odonata/rpc/identity/tls-folder.ts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { daysFromNow, newAuthority } from '../certificates.ts';
import { filesOf, makeIdentities, PLACES, secretOf } from './main.ts';
import { Secrets } from './secrets.ts';

const kept = new Map<string, Record<string, string>>();
const asked: string[] = [];
let forbids = false;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '', headers } = request;
  const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/secrets(?:\/([^/]+))?$/.exec(url)!;
  const body = await text(request);
  const say = (status: number, what: object) => response.writeHead(status).end(JSON.stringify(what));
  asked.push(`${method} ${namespace}/${name ?? ''}`);
  if (headers.authorization !== 'Bearer word' || forbids) return void say(403, { message: 'not you' });
  const { metadata, stringData, type } = body ? JSON.parse(body) : {};
  const key = `${namespace}/${name ?? metadata.name}`;
  if (method === 'GET') {
    const data = kept.get(key);
    if (data === undefined) return void say(404, { message: 'not found' });
    const coded = Object.entries(data).map(([file, value]) => [file, Buffer.from(value).toString('base64')]);
    return void say(200, { data: Object.fromEntries(coded) });
  }
  if (method === 'POST' && kept.has(key)) return void say(409, { message: 'exists' });
  expect(type).toBe('kubernetes.io/tls');
  kept.set(key, stringData);
  say(method === 'POST' ? 201 : 200, {});
}

const own = await filesOf(
  await newAuthority('api', daysFromNow(1)),
  { cluster: 'api', role: Role.SYSLINKD, name: 'api', groups: [] },
  ['localhost'],
);
const server = createServer({ cert: own['tls.crt'], key: own['tls.key'] }, (request, response) => {
  answer(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
});
let secrets: Secrets;
const folder = mkdtempSync(join(tmpdir(), 'odonata-identities-'));
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  secrets = new Secrets({ host: 'localhost', port, token: 'word', ca: own['ca.crt'] });
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true });
});

test('makes what is missing: an identity a role, which services take', async () => {
  expect(await makeIdentities(secrets, 'odonata')).toBe(true);
  expect([...kept.keys()].sort()).toEqual(
    Object.entries(PLACES)
      .map(([role, place]) => `${place}/${secretOf(role)}`)
      .sort(),
  );
  for (const [role, place] of Object.entries(PLACES)) {
    const files = kept.get(`${place}/${secretOf(role)}`)!;
    for (const [file, value] of Object.entries(files)) writeFileSync(join(folder, file), value);
    expect(whyNoIdentity(folder)).toBeUndefined();
    const certificate = new X509Certificate(files['tls.crt']!);
    const name = role === 'admin' ? 'admin' : '*';
    expect(identityOf(certificate)).toMatchObject({ cluster: 'odonata', role: roleOf(role), name });
    // No key stands with a certificate that may sign others.
    expect(certificate.ca).toBe(false);
    expect(certificate.keyUsage).toEqual(
      role === 'admin' ? ['1.3.6.1.5.5.7.3.2'] : ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
    );
    const strict = ['verify', '-x509_strict', '-CAfile', join(folder, 'ca.crt'), join(folder, 'tls.crt')];
    expect(execFileSync('openssl', strict, { encoding: 'utf8' })).toContain('OK');
  }
});

test('leaves them alone while they are good, and makes all anew where one is not', async () => {
  expect(await makeIdentities(secrets, 'odonata')).toBe(false);
  expect(asked.every((each) => each.startsWith('GET '))).toBe(true);
  const before = kept.get('odonata/odonata-tls-cohd')!;
  expect(await makeIdentities(secrets, 'odonata', Date.now() + 340 * 86_400_000)).toBe(true);
  expect(kept.get('odonata/odonata-tls-cohd')).not.toEqual(before);
  // As a run that was ended half-way leaves it: of two authorities.
  kept.set('odonata/odonata-tls-cohd', before);
  expect(await makeIdentities(secrets, 'odonata')).toBe(true);
  expect(await makeIdentities(secrets, 'odonata')).toBe(false);
  kept.delete('odonata-nodes/odonata-tls-pmapd');
  expect(await makeIdentities(secrets, 'odonata')).toBe(true);
});

test('says what the API server said', async () => {
  forbids = true;
  await expect(makeIdentities(secrets, 'odonata')).rejects.toThrow(
    'get Secret odonata/odonata-tls-syslinkd: the API server answers 403: not you',
  );
});
