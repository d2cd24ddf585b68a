// A service that is none of odonata's, as a person serves it by a name of theirs: made at run time, of bytes.
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
import { AccessSchema, access, file_odonata_auth_v1_access, Role } from '@odonata/proto/auth/v1/access';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';

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

export type Bytes = { value: Uint8Array };
export const bytes = (text: string): Bytes => ({ value: Buffer.from(text) });
// biome-ignore lint/suspicious/noExplicitAny: a service that was made a moment ago has no types.
export const shout = (endpoint: SyslinkEndpoint, name: string): any =>
  endpoint.client(ShoutService as never, { name });
