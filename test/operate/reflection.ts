// What a server says of itself, asked as grpcurl asks it: no file of this project is read.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { FileRegistry } from '@bufbuild/protobuf';
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import type { FileDescriptorProto } from '@bufbuild/protobuf/wkt';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export type ReflectionVersion = 'v1' | 'v1alpha';

interface Reply {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
  errorResponse?: { errorMessage: string };
}

export class Reflection {
  readonly #method: grpc.MethodDefinition<object, Reply>;
  readonly #channel: grpc.Client;
  readonly #metadata: grpc.Metadata;
  readonly #files = new Map<string, FileDescriptorProto>();

  /** @param metadata goes with every call */
  constructor(channel: grpc.Client, version: ReflectionVersion, metadata = new grpc.Metadata()) {
    this.#channel = channel;
    this.#metadata = metadata;
    const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
    const file = join(root, `build/proto/grpc/reflection/${version}/reflection.proto`);
    const definition = loadSync(file, { oneofs: true })[`grpc.reflection.${version}.ServerReflection`];
    this.#method = (definition as unknown as Record<string, grpc.MethodDefinition<object, Reply>>)
      .ServerReflectionInfo!;
  }

  /** Names of services, sorted. */
  async services(): Promise<string[]> {
    const { listServicesResponse } = await this.#ask({ listServices: '*' });
    return listServicesResponse!.service.map(({ name }) => name).sort();
  }

  /** All that is known once the file of this symbol is. @throws Error for a symbol that the server does not know */
  async registryWith(symbol: string): Promise<FileRegistry> {
    const { fileDescriptorResponse } = await this.#ask({ fileContainingSymbol: symbol });
    for (const bytes of fileDescriptorResponse!.fileDescriptorProto) this.#keep(bytes);
    for (let missing = this.#missing(); missing !== undefined; missing = this.#missing()) {
      const reply = await this.#ask({ fileByFilename: missing });
      for (const bytes of reply.fileDescriptorResponse!.fileDescriptorProto) this.#keep(bytes);
      if (!this.#files.has(missing)) throw new Error(`the server has no file ${missing}`);
    }
    return createFileRegistry(create(FileDescriptorSetSchema, { file: this.#importedFirst() }));
  }

  #keep(bytes: Uint8Array): void {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    this.#files.set(file.name, file);
  }

  #missing(): string | undefined {
    return [...this.#files.values()].flatMap((f) => f.dependency).find((name) => !this.#files.has(name));
  }

  #importedFirst(): FileDescriptorProto[] {
    const ordered = new Set<FileDescriptorProto>();
    const add = (file: FileDescriptorProto) => {
      for (const name of file.dependency) add(this.#files.get(name)!);
      ordered.add(file);
    };
    for (const file of this.#files.values()) add(file);
    return [...ordered];
  }

  #ask(request: object): Promise<Reply> {
    const { path, requestSerialize: encode, responseDeserialize: decode } = this.#method;
    const deadline = Date.now() + 10_000;
    return new Promise((resolve, reject) => {
      const stream = this.#channel.makeBidiStreamRequest(path, encode, decode, this.#metadata, { deadline });
      stream.once('data', ({ errorResponse, ...reply }: Reply) => {
        if (errorResponse) reject(new Error(`${JSON.stringify(request)}: ${errorResponse.errorMessage}`));
        else resolve(reply);
      });
      stream.once('error', reject);
      stream.write(request);
      stream.end();
    });
  }
}
