import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { DescFile } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { file_google_rpc_error_details } from '@odonata/proto/google/rpc/error_details';
import { file_google_rpc_status } from '@odonata/proto/google/rpc/status';
import { Channelz, file_grpc_channelz_v1_channelz } from '@odonata/proto/grpc/channelz/v1/channelz';
import { file_grpc_health_v1_health, Health } from '@odonata/proto/grpc/health/v1/health';
import { addOnDemand, type OnDemandMethod, type ServiceTaker } from './on-demand-service.ts';
import type { AnyService } from './service.ts';

type Package = typeof import('@grpc/reflection');

/** What every server has beside its services; and what the details of errors are, for who wants to show them. */
const OF_ALL = [
  file_grpc_health_v1_health,
  file_grpc_channelz_v1_channelz,
  file_google_rpc_error_details,
  file_google_rpc_status,
];

const METHODS = ['v1', 'v1alpha'].map(
  (version): OnDemandMethod => ({
    path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    requestStream: true,
    responseStream: true,
  }),
);

/** Serves reflection (v1 and v1alpha) of these services, of health and of channelz: grpcurl needs no files. */
export function addReflection(server: ServiceTaker, services: readonly AnyService[]): void {
  addOnDemand(server, METHODS, (taker) => {
    const { ReflectionService } = createRequire(import.meta.url)('@grpc/reflection') as Package;
    // The package reads only the descriptors of a definition, which is all that we have.
    const definitions = { all: { fileDescriptorProtos: descriptorsOf(services) } };
    // A file may have services that this server does not serve: only those that it does are listed.
    const listed = [...services, Health, Channelz].map((service) => service.typeName);
    new ReflectionService(definitions as never, { services: listed }).addToServer(taker as never);
  });
}

function descriptorsOf(services: readonly AnyService[]): Buffer[] {
  const files = new Map<string, Buffer>();
  const commented = filesWithComments();
  for (const file of [...services.map((service) => service.file), ...OF_ALL]) collect(file, commented, files);
  return [...files.values()];
}

function collect(file: DescFile, commented: Map<string, Buffer>, files: Map<string, Buffer>): void {
  const { name } = file.proto;
  if (files.has(name)) return;
  files.set(name, commented.get(name) ?? Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collect(dependency, commented, files);
}

/** Generated code carries no comments; the descriptor set that `npm run generate` leaves beside it does. */
function filesWithComments(): Map<string, Buffer> {
  const path = new URL(
    '../../../descriptors.binpb',
    import.meta.resolve('@odonata/proto/syslink/v1/syslink'),
  );
  if (!existsSync(path)) return new Map();
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(path));
  return new Map(set.file.map((file) => [file.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file))]));
}
