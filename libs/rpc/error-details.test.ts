// Read by grpc-js itself, as any client would, and by our own client.
import { create, fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import * as grpc from '@grpc/grpc-js';
import {
  BadRequestSchema,
  DebugInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '@odonata/proto/google/rpc/error_details';
import { StatusSchema } from '@odonata/proto/google/rpc/status';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from './client.ts';
import { createClient } from './client.ts';
import { Code, RpcError } from './error.ts';
import { DETAILS_BYTES } from './error-details.ts';
import { silentLog } from './log.ts';
import { invalidField, notFound, tryAgain } from './refusal.ts';
import type { RpcServer } from './server.ts';
import { createRpcServer, failStream, raw } from './server.ts';
import { decoder, encoder, methodPath } from './service.ts';

let server: RpcServer;
let client: Client<typeof VkernelService>;
let plain: grpc.Client;
beforeEach(async () => {
  server = createRpcServer({ name: 'test', log: silentLog() }).add(VkernelService, {
    kill: ({ pid, signal }) => {
      if (signal !== '') throw invalidField('signal', `no signal ${signal}`);
      if (pid === 9n) {
        const large = create(DebugInfoSchema, { detail: 'x'.repeat(DETAILS_BYTES) });
        const small = create(ResourceInfoSchema, { resourceName: '9' });
        throw new RpcError(Code.Internal, 'large', { more: [small, large] });
      }
      throw notFound({ type: 'process', name: pid }, `no process ${pid}: naïve`);
    },
    // biome-ignore lint/correctness/useYield: it fails before the first line
    async *getLogs() {
      throw tryAgain(Code.ResourceExhausted, 'too many', { retryMs: 250 });
    },
    run: raw((call) => call.on('data', () => failStream(call, invalidField('start', 'first')))),
    listVkernels: () => ({}),
  });
  const address = await server.listen('127.0.0.1:0');
  client = createClient(VkernelService, address);
  plain = new grpc.Client(address, grpc.credentials.createInsecure());
});
afterEach(async () => {
  client.close();
  plain.close();
  await server.drain(200);
});

/** The trailers of a call made without any code of this project but the encoding. */
function trailersOf(
  method: 'kill' | 'listVkernels',
  request: object,
  sent: Record<string, string> = {},
): Promise<grpc.StatusObject> {
  const { input, output, ...rest } = VkernelService.method[method];
  const path = methodPath({ input, output, ...rest } as never);
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(sent)) metadata.set(key, value);
  return new Promise((resolve) => {
    plain
      .makeUnaryRequest(path, encoder(input), decoder(output), request, metadata, () => {})
      .once('status', resolve);
  });
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

async function drained(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

describe('the trailer', () => {
  it('is a google.rpc.Status of the same code and line, with details', async () => {
    const { code, metadata } = await trailersOf('kill', { pid: 7n });
    expect(code).toBe(Code.NotFound);
    const status = fromBinary(StatusSchema, metadata.get('grpc-status-details-bin')[0] as Buffer);
    expect(status).toMatchObject({ code: 5, message: 'no process 7: naïve' });
    expect(status.details.map((any) => any.typeUrl)).toEqual(['type.googleapis.com/google.rpc.ResourceInfo']);
    expect(anyUnpack(status.details[0]!, ResourceInfoSchema)).toMatchObject({
      resourceType: 'process',
      resourceName: '7',
    });
  });

  it('is missing where there are none, and after a good call', async () => {
    const { code, metadata } = await trailersOf('listVkernels', {});
    expect([code, metadata.get('grpc-status-details-bin')]).toEqual([Code.Ok, []]);
  });

  it.each(['kill', 'listVkernels'] as const)(
    'carries the request id, of the caller or new: %s',
    async (method) => {
      const own = await trailersOf(method, {}, { 'x-request-id': 'ticket-1' });
      expect(own.metadata.get('x-request-id')).toEqual(['ticket-1']);
      const ids = [await trailersOf(method, {}), await trailersOf(method, {})].map(
        ({ metadata }) => metadata.get('x-request-id')[0],
      );
      expect(ids[0]).toMatch(/^[0-9a-f-]{36}$/);
      expect(ids[1]).not.toBe(ids[0]);
    },
  );

  it('leaves out what would not fit into headers', async () => {
    const error = await failure(client.kill({ pid: 9n }));
    expect(error.message).toBe('INTERNAL: large');
    expect(error.more.map((detail) => detail.$typeName)).toEqual(['google.rpc.ResourceInfo']);
  });
});

describe('a client of ours', () => {
  it('gets the details of a unary call', async () => {
    const error = await failure(client.kill({ pid: 7n, signal: 'SIGNOPE' }));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.detail(BadRequestSchema.typeName)?.fieldViolations).toMatchObject([
      { field: 'signal', description: 'no signal SIGNOPE' },
    ]);
    expect(error.detail(RetryInfoSchema.typeName)).toBeUndefined();
  });

  it('gets those of a stream, and of a raw one', async () => {
    const logs = await failure(drained(client.getLogs({ pid: 7n })));
    expect(logs.detail('google.rpc.RetryInfo')?.retryDelay).toMatchObject({
      seconds: 0n,
      nanos: 250_000_000,
    });
    async function* requests() {
      yield {};
    }
    const run = await failure(drained(client.run(requests())));
    expect(run.detail('google.rpc.BadRequest')?.fieldViolations[0]?.field).toBe('start');
  });
});
