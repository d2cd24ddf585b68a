import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { afterAll, describe, expect, it } from 'vitest';
import { addOnDemand, type OnDemandMethod } from './on-demand-service.ts';

const method = (path: string): OnDemandMethod => ({ path, requestStream: false, responseStream: false });

const upper: grpc.MethodDefinition<string, string> = {
  path: '/test.Words/Upper',
  requestStream: false,
  responseStream: false,
  requestSerialize: (text) => Buffer.from(text),
  requestDeserialize: String,
  responseSerialize: (text) => Buffer.from(text),
  responseDeserialize: String,
};

const server = new grpc.Server();
afterAll(() => server.forceShutdown());

describe('a service that is loaded on demand', () => {
  it('is loaded once, by the first call, which it answers', async () => {
    let loads = 0;
    addOnDemand(server, [method(upper.path)], (taker) => {
      loads += 1;
      // Under another key than its path, as packages have it.
      taker.addService(
        { Upper: { ...upper, originalName: 'upper' } },
        {
          upper: (call: grpc.ServerUnaryCall<string, string>, answer: grpc.sendUnaryData<string>) =>
            answer(null, call.request.toUpperCase()),
        },
      );
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    expect(loads).toBe(0);
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    const call = (text: string) =>
      new Promise<string>((resolve, reject) => {
        client.makeUnaryRequest(upper.path, upper.requestSerialize, String, text, (error, value) =>
          error ? reject(error) : resolve(value!),
        );
      });
    expect(await Promise.all([call('one'), call('two')])).toEqual(['ONE', 'TWO']);
    expect(loads).toBe(1);
    client.close();
  });
});

it('a server listens without the packages of health, channelz and reflection, and without the client of WebSockets', async () => {
  const program = `
    import { createRequire } from 'node:module';
    const { createRpcServer } = await import('${new URL('server.ts', import.meta.url)}');
    const { silentLog } = await import('${new URL('log.ts', import.meta.url)}');
    await import('${new URL('metrics-server.ts', import.meta.url)}');
    await createRpcServer({ name: 'test', log: silentLog() }).listen('127.0.0.1:0');
    const loaded = Object.keys(createRequire('${import.meta.url}').cache);
    const seldom = /proto-loader|protobufjs|grpc-health-check|@grpc.reflection/;
    console.log(loaded.some((file) => /grpc-js/.test(file)), loaded.filter((file) => seldom.test(file)),
      process.moduleLoadList.filter((name) => /undici/.test(name)));
    process.exit();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  expect(stdout.trim()).toBe('true [] []');
});
