// Two clusters of two owners in one process: a router and a gateway each, with authorities that know nothing of each other.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  setExtension,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  MethodOptionsSchema,
} from '@bufbuild/protobuf/wkt';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { AccessSchema, access, file_odonata_auth_v1_access, Role } from '@odonata/proto/auth/v1/access';
import { GatewayStateService, type PeerState } from '@odonata/proto/gateway/v1/gateway';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { type Syslinkd, serveSyslinkd } from '../../serve.ts';
import { cleanup } from '../../testdata/routers.ts';
import { type Gateway, serveGateway } from '../serve.ts';

/** What somebody serves by a name of theirs: no service of odonata. */
export const ShoutService = serviceOf();

function serviceOf(): DescService {
  const everybody = create(AccessSchema, { roles: [Role.USER, Role.ADMIN] });
  const options = create(MethodOptionsSchema);
  setExtension(options, access, everybody);
  const type = '.google.protobuf.BytesValue';
  const method = (name: string, stream: boolean) => ({
    ...{ name, inputType: type, outputType: type, clientStreaming: stream, serverStreaming: stream, options },
  });
  const file = create(FileDescriptorProtoSchema, {
    ...{ name: 'shout.proto', package: 'shout', syntax: 'proto3' },
    dependency: ['google/protobuf/wrappers.proto'],
    service: [{ name: 'Shout', method: [method('Say', false), method('Hang', false), method('Flow', true)] }],
  });
  const again = fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file));
  const registry = createFileRegistry(again, (name) =>
    name.endsWith('wrappers.proto') ? file_google_protobuf_wrappers : file_odonata_auth_v1_access,
  );
  return registry.getService('shout.Shout')!;
}

export interface Side {
  readonly authority: TestAuthority;
  readonly router: Syslinkd;
  readonly policyFile: string;
  gateway: Gateway;
  attach(who: string, name?: string): Promise<SyslinkEndpoint>;
  /** Writes another policy, and has it read. */
  policy(text: string): void;
  peers(): Promise<PeerState[]>;
}

export async function side(cluster: string, policyOf: (authorityFile: string) => string): Promise<Side> {
  const authority = new TestAuthority(cluster);
  cleanup.push(() => authority.remove());
  const folder = await authority.folder('syslinkd/syslinkd');
  const router = await serveSyslinkd({ listen: '127.0.0.1:0', log: silentLog(), folder });
  cleanup.push(() => router.stop({ atOnce: true }));
  const policyFile = join(authority.dir, 'gateway.yaml');
  writeFileSync(policyFile, policyOf(join(authority.dir, 'ca', 'ca.crt')));
  const gatewayFolder = await authority.folder('gateway/gateway');
  const gateway = await serveGateway({
    ...{ gateway: policyFile, syslink: router.address, log: silentLog(), folder: gatewayFolder },
  });
  cleanup.push(() => made.gateway.stop());
  const made: Side = {
    ...{ authority, router, policyFile, gateway },
    async attach(who, name = '') {
      const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
      const endpoint = attachSyslink({
        ...{ address: router.address, name, kind, node: name.split('/')[0]!, log: silentLog() },
        folder: await authority.folder(who),
      });
      cleanup.push(() => endpoint.close());
      await endpoint.ready({ deadlineMs: 5_000 });
      return endpoint;
    },
    policy(text) {
      writeFileSync(policyFile, text);
      made.gateway.reload();
    },
    async peers() {
      const admin = await made.attach('admin/root');
      try {
        return (await admin.client(GatewayStateService, { name: 'gateway' }).listPeers({})).peers;
      } finally {
        admin.close();
      }
    },
  };
  return made;
}
