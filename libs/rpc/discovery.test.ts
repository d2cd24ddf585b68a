import * as grpc from '@grpc/grpc-js';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { service as healthDefinition } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openChannel } from './channel.ts';
import { silentLog } from './log.ts';
import type { RpcServer } from './server.ts';
import { createRpcServer } from './server.ts';

/** What grpcurl and a health probe ask, asked by plain grpc-js clients. */
let server: RpcServer;
let address: string;
beforeAll(async () => {
  server = createRpcServer({ name: 'test', log: silentLog() }).add(VkernelService, {});
  address = await server.listen('127.0.0.1:0');
});
afterAll(() => server.drain(100));

async function reflect(version: string, messageRequest: object): Promise<Record<string, unknown>> {
  const { loadSync } = await import('@grpc/proto-loader');
  const { dirname, join } = await import('node:path');
  const { createRequire } = await import('node:module');
  const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
  const definition = loadSync(join(root, `build/proto/grpc/reflection/${version}/reflection.proto`), {
    oneofs: true,
  });
  const method = (
    definition[`grpc.reflection.${version}.ServerReflection`] as Record<
      string,
      grpc.MethodDefinition<object, object>
    >
  ).ServerReflectionInfo!;
  const channel = openChannel(address);
  const stream = channel.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
  );
  const reply = new Promise<Record<string, unknown>>((resolve, reject) => {
    stream.once('data', resolve);
    stream.once('error', reject);
  });
  stream.write(messageRequest);
  stream.end();
  const result = await reply;
  channel.close();
  return result;
}

describe('reflection', () => {
  for (const version of ['v1', 'v1alpha']) {
    it(`${version} lists the services and describes them with the files that they import`, async () => {
      const listed = (await reflect(version, { listServices: '*' })).listServicesResponse as {
        service: { name: string }[];
      };
      expect(listed.service.map((s) => s.name).sort()).toEqual([
        'grpc.channelz.v1.Channelz',
        'grpc.health.v1.Health',
        'odonata.vkernel.v1.VkernelService',
      ]);
      const described = (await reflect(version, { fileContainingSymbol: 'odonata.vkernel.v1.Process' }))
        .fileDescriptorResponse as { fileDescriptorProto: Buffer[] };
      const text = described.fileDescriptorProto.map((file) => file.toString('latin1')).join();
      expect(text).toContain('odonata/vkernel/v1/vkernel.proto');
      expect(text).toContain('google/protobuf/timestamp.proto');
    });
  }
});

describe('health', () => {
  const check = (service: string) =>
    new Promise<string>((resolve, reject) => {
      const channel = openChannel(address);
      const method = healthDefinition.Check as grpc.MethodDefinition<object, { status: string }>;
      const { path, requestSerialize, responseDeserialize } = method;
      channel.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, reply) => {
        channel.close();
        if (error === null) resolve(reply!.status);
        else reject(error);
      });
    });

  it('tells of each service and of the whole, and follows setServing', async () => {
    expect(await check('')).toBe('SERVING');
    expect(await check('odonata.vkernel.v1.VkernelService')).toBe('SERVING');
    await expect(check('nobody')).rejects.toMatchObject({ code: grpc.status.NOT_FOUND });
    server.setServing(false);
    expect(await check('')).toBe('NOT_SERVING');
    server.setServing(true);
  });
});

describe('channelz', () => {
  it('knows its servers', async () => {
    const channel = openChannel(address);
    const { getChannelzServiceDefinition } = await import('@grpc/grpc-js/build/src/channelz.js');
    const method = getChannelzServiceDefinition().GetServers as unknown as grpc.MethodDefinition<
      object,
      object
    >;
    const { path, requestSerialize, responseDeserialize } = method;
    const reply = await new Promise<unknown>((resolve, reject) => {
      channel.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, value) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });
    channel.close();
    expect(JSON.stringify(reply)).toContain('server');
  });
});

describe('windows', () => {
  it('of streams are wide, that of a connection to a server is not', async () => {
    const { connect } = await import('node:http2');
    const session = connect(`http://${address}`);
    const windowBytes = await new Promise((resolve, reject) => {
      session.once('remoteSettings', (settings) => resolve(settings.initialWindowSize));
      session.once('error', reject);
    });
    expect(windowBytes).toBe(1024 * 1024);
    expect(session.state.remoteWindowSize).toBe(65_535);
    session.close();
  });
});
