// Every method x every role x (the right, no, a foreign, an expired certificate), over every transport.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DescMethod } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { Channelz } from '@odonata/proto/grpc/channelz/v1/channelz';
import { Health } from '@odonata/proto/grpc/health/v1/health';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { createClient } from '@odonata/rpc/client.ts';
import { codeName } from '@odonata/rpc/error.ts';
import { accessRule } from '@odonata/rpc/identity/access.ts';
import { packageRule } from '@odonata/rpc/identity/package-access.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { createRpcServer, type RpcServer } from '@odonata/rpc/server.ts';
import type { AnyService } from '@odonata/rpc/service.ts';
import { methodPath } from '@odonata/rpc/service.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from '../../libs/authority/testing.ts';
import { type Syslinkd, serveSyslinkd } from '../../services/syslinkd/serve.ts';
import { accessPage } from './page.ts';
import { OVER_SYSLINK, SERVICES, telling, tried } from './services.ts';

/** One of each role. */
const EVERYBODY: Record<string, Role> = {
  'admin/root': Role.ADMIN,
  'operator/olga': Role.OPERATOR,
  'user/alice': Role.USER,
  'viewer/vera': Role.VIEWER,
  'cohd/cohd': Role.COHD,
  'pmapd/node1': Role.PMAPD,
  'vkerneld/node1': Role.VKERNELD,
  'syslinkd/syslinkd': Role.SYSLINKD,
  'vkernel/node1/default': Role.VKERNEL,
  'door/door': Role.DOOR,
  'gateway/gateway': Role.GATEWAY,
};
const PEOPLE = ['admin/root', 'operator/olga', 'user/alice', 'viewer/vera'];

const authority = new TestAuthority();
const strangers = new TestAuthority();
let server: RpcServer;
let tcp: string;
let unix: string;
beforeAll(async () => {
  await Promise.all(Object.keys(EVERYBODY).map((who) => authority.folder(who)));
  server = createRpcServer({ name: 't', log: silentLog(), folder: await authority.folder('pmapd/node1') });
  for (const service of SERVICES) server.add(service, telling(service));
  tcp = await server.listen('127.0.0.1:0');
  unix = await server.listen(`unix:${authority.dir}/s`);
});
afterAll(async () => {
  await server.drain(100);
  for (const each of [authority, strangers]) each.remove();
});

const wanted = (method: DescMethod, role: Role): string => {
  const { roles, owner } = accessRule(method);
  return roles.has(role) ? 'all' : owner.has(role) ? 'own' : 'PERMISSION_DENIED';
};

/** What has no end is left out: health's Watch. */
const methodsOf = ({ methods }: AnyService): DescMethod[] => methods.filter(({ name }) => name !== 'Watch');

async function answers(
  service: AnyService,
  address: string,
  folder?: TlsFolder,
): Promise<Record<string, string>> {
  const client = createClient(service, address, { folder });
  try {
    const all = methodsOf(service).map(
      async (method) => [method.name, await tried(client, method, codeName)] as const,
    );
    return Object.fromEntries(await Promise.all(all));
  } finally {
    client.close();
  }
}

const each = (service: AnyService, answer: (method: DescMethod) => string): Record<string, string> =>
  Object.fromEntries(service.methods.map((method) => [method.name, answer(method)]));

it('is asked of every service that the .proto files have', () => {
  const folder = join(import.meta.dirname, '../../proto/odonata');
  const defined = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .flatMap((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      const of = /^package (\S+);/m.exec(text)![1];
      return [...text.matchAll(/^service (\w+)/gm)].map(([, service]) => `${of}.${service}`);
    });
  expect(SERVICES.map(({ typeName }) => typeName).sort()).toEqual(defined.sort());
});

describe.each(SERVICES.map((service) => [service.typeName, service] as const))('%s', (_, service) => {
  it.each(Object.entries(EVERYBODY))('%s', async (who, role) => {
    const folder = await authority.folder(who);
    for (const address of [tcp, unix])
      expect(await answers(service, address, folder)).toEqual(
        each(service, (method) => wanted(method, role)),
      );
  });

  it('strangers', async () => {
    const late = await strangers.expired('admin/late');
    for (const folder of [undefined, await strangers.folder('admin/root'), late]) {
      expect(await answers(service, tcp, folder)).toEqual(each(service, () => 'UNAVAILABLE'));
      expect(await answers(service, unix, folder)).toEqual(each(service, () => 'UNAUTHENTICATED'));
    }
  });
});

it('memory is peeked at and poked into by its owner and by admins only', () => {
  const may = new Set([Role.ADMIN, Role.OPERATOR, Role.USER]);
  for (const method of SERVICES.flatMap(({ methods }) => methods)) {
    if (!/^VmspaceP(read|write)$/.test(method.name)) continue;
    const { roles, owner } = accessRule(method);
    expect([...roles]).toEqual([Role.ADMIN]);
    expect([...owner].every((role) => may.has(role))).toBe(true);
  }
});

it('no method is left without a rule', () => {
  const without = SERVICES.flatMap(({ methods }) => methods)
    .filter((method) => accessRule(method).roles.size === 0)
    .map(methodPath);
  expect(without).toEqual([]);
});

it.each([Health, Channelz])('$typeName', async (service) => {
  for (const [who, role] of Object.entries(EVERYBODY)) {
    const rule = packageRule(`/${service.typeName}/x`);
    for (const [name, answer] of Object.entries(await answers(service, unix, await authority.folder(who)))) {
      if (rule.roles.has(role)) expect(answer, `${who} ${name}`).not.toMatch(/PERMISSION|UNAUTHENTICATED/);
      else expect(answer, `${who} ${name}`).toBe('PERMISSION_DENIED');
    }
  }
  for (const answer of Object.values(await answers(service, unix))) expect(answer).toBe('UNAUTHENTICATED');
});

describe('over syslink', () => {
  let router: Syslinkd;
  let endpoint: ReturnType<typeof attachSyslink>;
  beforeAll(async () => {
    const log = silentLog();
    router = await serveSyslinkd({
      ...{ listen: '127.0.0.1:0', log, folder: await authority.folder('syslinkd/syslinkd') },
    });
    endpoint = attachSyslink({
      ...{
        address: router.address,
        name: 'node1/pmapd',
        kind: EndpointKind.PMAP,
        node: 'node1',
        nodeIndex: 1,
      },
      ...{ log, folder: await authority.folder('pmapd/node1') },
    });
    for (const service of OVER_SYSLINK) endpoint.serve(service, telling(service));
    await endpoint.ready({ deadlineMs: 5_000 });
  });
  afterAll(async () => {
    endpoint?.close();
    await router?.stop({ atOnce: true });
  });

  it.each(PEOPLE)('%s', async (who) => {
    const client = attachSyslink({
      ...{ address: router.address, name: '', kind: EndpointKind.CLIENT, log: silentLog() },
      folder: await authority.folder(who),
    });
    try {
      await client.ready({ deadlineMs: 5_000 });
      for (const service of OVER_SYSLINK) {
        const there = client.client(service, { name: 'node1/pmapd' });
        for (const method of service.methods)
          expect(await tried(there, method, codeName), `${who} ${method.name}`).toBe(
            wanted(method, EVERYBODY[who]!),
          );
      }
    } finally {
      client.close();
    }
  });
});

it('docs/access.md says the same', () => {
  const file = join(import.meta.dirname, '../../docs/access.md');
  if (process.env.REWRITE) writeFileSync(file, accessPage());
  expect(readFileSync(file, 'utf8')).toBe(accessPage());
});
