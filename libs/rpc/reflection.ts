import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type * as grpc from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';
import type { AnyService } from './service.ts';

/** Serves reflection (v1 and v1alpha) of these services and of health, so that grpcurl needs no files. */
export function addReflection(server: grpc.Server, services: readonly AnyService[]): void {
  const files = new Map<string, Buffer>();
  for (const service of services) collect(service.file, files);
  const definitions = {
    odonata: { fileDescriptorProtos: [...files.values()] },
    health: { fileDescriptorProtos: Object.values(healthService)[0]?.requestType.fileDescriptorProtos },
  };
  // The package reads only the descriptors of a definition, which is all that we have.
  new ReflectionService(definitions as unknown as grpc.GrpcObject as never).addToServer(server);
}

function collect(file: DescFile, files: Map<string, Buffer>): void {
  if (files.has(file.proto.name)) return;
  files.set(file.proto.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collect(dependency, files);
}
