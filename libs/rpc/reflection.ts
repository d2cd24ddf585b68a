import { existsSync, readFileSync } from 'node:fs';
import type { DescFile } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import type * as grpc from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';
import type { AnyService } from './service.ts';

/** Serves reflection (v1 and v1alpha) of these services and of health, so that grpcurl needs no files. */
export function addReflection(server: grpc.Server, services: readonly AnyService[]): void {
  const files = new Map<string, Buffer>();
  const commented = filesWithComments();
  for (const service of services) collect(service.file, commented, files);
  const definitions = {
    odonata: { fileDescriptorProtos: [...files.values()] },
    health: { fileDescriptorProtos: Object.values(healthService)[0]?.requestType.fileDescriptorProtos },
  };
  // The package reads only the descriptors of a definition, which is all that we have.
  new ReflectionService(definitions as never).addToServer(server);
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
