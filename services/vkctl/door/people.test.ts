// People let in through the door: by a request for a key that stays where it was made, whatever else somebody sends.
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { Authority } from '@odonata/authority/authority.ts';
import { newRequest } from '@odonata/authority/certificates.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { type AddPersonRequest, AddPersonRequestSchema } from '@odonata/proto/door/v1/door';
import { violationOf } from '@odonata/rpc/constraints/message.ts';
import { RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Heard, HostileMessage } from '../../../test/fuzz/hostile-message.ts';
import { authorityDir } from '../cluster/certificates.ts';
import { listPeople } from '../cluster/people.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { type DoorHandlersOptions, doorHandlers } from './handlers.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'odonata-door-people-'));
const plan = { cluster: 'many', stateDir, nodes: [], ports: {} } as unknown as ClusterPlan;
const service = join(stateDir, 'identity', 'cohd-cohd');
const happened: string[] = [];
const handlers = doorHandlers({
  ...{
    plan,
    read: () => undefined,
    happened: (kind: string, text: string) => happened.push(`${kind} ${text}`),
  },
} as unknown as DoorHandlersOptions);
const ctx: CallContext = {
  caller: { cluster: 'many', role: Role.ADMIN, name: 'alice', groups: [] },
  scope: 'all',
  signal: new AbortController().signal,
  ...{ requestId: '', peer: '', log: silentLog() },
};
const bob = { name: 'bob', role: Role.USER, groups: ['physics'], days: 3 };
const add = async (about: Partial<AddPersonRequest>) =>
  await handlers.addPerson!(create(AddPersonRequestSchema, { ...bob, ...about } as AddPersonRequest), ctx);

beforeAll(async () => {
  mkdirSync(service, { recursive: true });
  await Authority.in(authorityDir(plan), 'many');
});
afterAll(() => rmSync(stateDir, { recursive: true, force: true }));

it('certifies the key of the request as whom the admin says, and puts them out again', async () => {
  const { requestPem, keyPem } = await newRequest();
  const { certificate, authority, person } = await add({ request: requestPem });
  const made = new X509Certificate(certificate!);
  expect(made.subjectAltName).toContain('odonata://many/user/bob?groups=physics');
  expect([made.verify(new X509Certificate(authority!).publicKey), made.ca]).toEqual([true, false]);
  expect(Date.parse(made.validTo) - Date.now()).toBeLessThanOrEqual(3 * 86_400_000);
  expect(
    JSON.stringify([person, readFileSync(join(service, 'people'), 'utf8')], (_, each) => String(each)),
  ).not.toContain(keyPem);
  await expect(add({ request: requestPem })).rejects.toThrow(/user bob is in cluster "many" already/);
  await handlers.removePerson!({ name: 'bob' } as never, ctx);
  expect(readFileSync(join(service, 'revoked'), 'utf8')).toContain(made.serialNumber);
  await expect(handlers.removePerson!({ name: 'bob' } as never, ctx)).rejects.toThrow(/nobody named "bob"/);
  expect(happened).toEqual([
    'person-added admin alice let user bob in',
    'person-removed admin alice put user bob out',
  ]);
});

it.each([
  ['no role of a person', { role: Role.PMAPD }, /a person is admin, operator/],
  ['no name', { name: 'Bob/..' }, /no name of a person/],
  ['no group', { groups: ['a+b'] }, /no name of a person or group/],
  [
    'too many groups',
    { groups: Array.from({ length: 90 }, (_, i) => `g${i}`) },
    /groups take 200 characters/,
  ],
  ['no request', { request: '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n' }, /no certificate request/],
])('lets nobody in by %s', async (_, about, words) => {
  await expect(add({ request: (await newRequest()).requestPem, ...about })).rejects.toThrow(words);
  expect(listPeople(plan).filter(({ removedMs }) => removedMs === undefined)).toEqual([]);
});

it('whatever an admin sends is answered or refused, and nothing of it stays', async () => {
  const heard = new Heard();
  heard.keep('request', (await newRequest()).requestPem);
  heard.keep('name', 'carol');
  const messages = fc.sample(new HostileMessage(AddPersonRequestSchema, heard), { seed: 7, numRuns: 300 });
  for (const message of messages as AddPersonRequest[]) {
    if (violationOf(AddPersonRequestSchema, message) !== undefined) continue;
    try {
      await handlers.addPerson!(message, ctx);
    } catch (error) {
      expect(error).toBeInstanceOf(RpcError);
    }
  }
  for (const { name } of listPeople(plan)) expect(name).toMatch(/^[a-z_][a-z0-9_-]{0,31}$/);
});

it('makes no new authority in the place of one that is gone', async () => {
  rmSync(join(authorityDir(plan), 'ca.key'));
  await expect(add({ request: (await newRequest()).requestPem })).rejects.toThrow(
    /key of the authority is gone/,
  );
  expect(existsSync(join(authorityDir(plan), 'ca.key'))).toBe(false);
});
