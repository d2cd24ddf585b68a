// Names on syslink: whoever may not have one does not get it, whatever they say of themselves.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { ListVkernelsResponseSchema, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import type { RpcError } from '@odonata/rpc/error.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { Line } from '@odonata/rpc/syslink/line.ts';
import { ServedServices } from '@odonata/rpc/syslink/served.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestAuthority } from '../../libs/authority/testing.ts';
import { type Syslinkd, serveSyslinkd } from '../../services/syslinkd/serve.ts';

const log = silentLog();
const authority = new TestAuthority();
let router: Syslinkd;
let vkerneld: SyslinkEndpoint;
let served: TlsFolder;
beforeAll(async () => {
  served = await authority.folder('vkerneld/node1');
  router = await serveSyslinkd({
    listen: '127.0.0.1:0',
    log,
    folder: await authority.folder('syslinkd/syslinkd'),
  });
  vkerneld = attachSyslink({
    ...{
      address: router.address,
      name: 'node1/vkerneld',
      kind: EndpointKind.VKERNEL,
      node: 'node1',
      nodeIndex: 1,
    },
    ...{ log, folder: served },
  }).serve(VkernelService, {
    listVkernels: (_request, { caller }) => ({ vkernels: [{ name: shownCaller(caller) }] }),
  });
  await vkerneld.ready({ deadlineMs: 5_000 });
});
afterAll(async () => {
  vkerneld?.close();
  await router?.stop({ atOnce: true });
  authority.remove();
});

interface Claim {
  name: string;
  kind: EndpointKind;
  node?: string;
  /** Instead of a high one. */
  session?: 'none';
}

/** A line to the router, whatever comes of it. */
const lineOf = (folder: TlsFolder, register: Omit<Claim, 'session'> & { session: bigint }): Line =>
  new Line({
    ...{ address: router.address, register, registerMs: 5_000, log, folder },
    services: new ServedServices({ log }, folder),
  });

/** How a registration ends: `registered`, or with which error. */
async function registers(who: string, { session, ...claim }: Claim): Promise<string> {
  const folder = await authority.folder(who);
  const line = lineOf(folder, { ...claim, session: session === 'none' ? 0n : 1n << 62n });
  const registered = await line.registered;
  if (registered) line.end();
  else return (await line.over).message;
  return 'registered';
}

const PMAP = EndpointKind.PMAP;
const VKERNEL = EndpointKind.VKERNEL;
const DIRECTORY = EndpointKind.DIRECTORY;
const CLIENT = EndpointKind.CLIENT;

it.each([
  ['vkerneld/node2', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node1' }],
  ['vkerneld/node2', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node2' }],
  ['vkerneld/node1', { name: 'node1/pmapd', kind: PMAP, node: 'node1' }],
  ['vkerneld/node1', { name: 'node1/vkerneld', kind: PMAP, node: 'node1' }],
  ['vkerneld/node1', { name: '', kind: CLIENT }],
  ['pmapd/node1', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node1' }],
  ['pmapd/node1', { name: 'cohd', kind: DIRECTORY }],
  // A certificate that all instances of a role share is no other role.
  ['pmapd/*', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node1' }],
  ['pmapd/*', { name: 'cohd', kind: DIRECTORY }],
  ['vkerneld/*', { name: 'node1/pmapd', kind: PMAP, node: 'node1' }],
  ['cohd/*', { name: 'node1/pmapd', kind: PMAP, node: 'node1' }],
  ['cohd/cohd2', { name: 'cohd', kind: DIRECTORY }],
  ['cohd/cohd', { name: 'node1/pmapd', kind: DIRECTORY }],
  ['admin/root', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node1' }],
  ['admin/root', { name: 'root', kind: CLIENT }],
  ['user/alice', { name: 'cohd', kind: CLIENT }],
  ['user/alice', { name: 'node1/vkerneld', kind: VKERNEL, node: 'node1', session: 'none' }],
  ['user/alice', { name: '', kind: EndpointKind.UNSPECIFIED }],
  ['syslinkd/syslinkd', { name: 'node1/pmapd', kind: PMAP, node: 'node1' }],
] satisfies [string, Claim][])('$0 does not register as $1.name, kind $1.kind', async (who, claim) => {
  expect(await registers(who, claim)).toMatch(
    /^(PERMISSION_DENIED: .* may not register as|INVALID_ARGUMENT: )/,
  );
});

it.each([
  ['vkerneld/node3', { name: 'node3/vkerneld', kind: VKERNEL, node: 'node3' }],
  ['vkerneld/*', { name: 'node4/vkerneld', kind: VKERNEL, node: 'node4' }],
  ['pmapd/*', { name: 'node4/pmapd', kind: PMAP, node: 'node4' }],
  ['pmapd/node3', { name: 'node3/pmapd', kind: PMAP, node: 'node3' }],
  ['cohd/cohd7', { name: 'cohd7', kind: DIRECTORY }],
  ['user/alice', { name: '', kind: CLIENT }],
  ['viewer/vera', { name: '', kind: CLIENT }],
] satisfies [string, Claim][])('$0 registers as $1.name', async (who, claim) => {
  expect(await registers(who, claim)).toBe('registered');
});

it('a virtual kernel does not attach at all', async () => {
  expect(await registers('vkernel/node1/default', { name: '', kind: CLIENT })).toMatch(/^PERMISSION_DENIED/);
});

it('whoever was there is still there, and hears who asks', async () => {
  const client = attachSyslink({
    ...{
      address: router.address,
      name: '',
      kind: CLIENT,
      log,
      folder: await authority.folder('operator/olga'),
    },
  });
  try {
    const there = client.client(VkernelService, { name: 'node1/vkerneld' });
    await client.ready({ deadlineMs: 5_000 });
    expect((await there.listVkernels({})).vkernels[0]!.name).toBe('operator olga');
    expect(vkerneld.connected).toBe(true);
  } finally {
    client.close();
  }
});

it('whose certificate is revoked loses their line', async () => {
  const folder = await authority.folder('user/mallory');
  const ofRouter = (await authority.folder('syslinkd/syslinkd')).dir;
  const line = lineOf(folder, { name: '', kind: CLIENT, session: 1n });
  expect(await line.registered).toBe(true);
  writeFileSync(join(ofRouter, 'revoked'), folder.identity.certificate.serialNumber);
  expect((await line.over).message).toBe('UNAUTHENTICATED: the certificate of user mallory was revoked');
  expect(vkerneld.connected).toBe(true);
});

it('what somebody says of themselves is not passed on', async () => {
  // A line of alice's that claims, in the frame itself, to be root.
  const folder = await authority.folder('user/alice');
  const line = lineOf(folder, { name: '', kind: CLIENT, session: 1n });
  expect(await line.registered).toBe(true);
  const answer = await new Promise<string>((resolve, reject) => {
    const value = {
      ...{
        to: { name: 'node1/vkerneld' },
        msgid: 1n,
        hopLimit: 8,
        caller: { role: Role.ADMIN, name: 'root' },
      },
      proto: '/odonata.vkernel.v1.VkernelService/ListVkernels',
    };
    line.ask(1n, frame({ case: 'message', value }), (error: RpcError | undefined, reply) => {
      if (error !== undefined) reject(error);
      else resolve(fromBinary(ListVkernelsResponseSchema, reply!.head).vkernels[0]!.name);
    });
  });
  line.end();
  expect(answer).toBe('user alice');
});
