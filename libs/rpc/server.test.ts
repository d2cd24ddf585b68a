import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { create } from '@bufbuild/protobuf';
import {
  EndpointKind,
  FrameSchema,
  ListEndpointsResponseSchema,
  RouterService,
} from '@odonata/proto/syslink/v1/syslink';
import { StdStream, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { delay } from './backoff.ts';
import { createClient, openStream } from './client.ts';
import { Code, RpcError } from './error.ts';
import { silentLog } from './log.ts';
import type { RpcServer } from './server.ts';
import { createRpcServer, raw } from './server.ts';
import type { CallContext, Handlers } from './service.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

type Vkernel = Handlers<typeof VkernelService>;
async function serve(handlers: Vkernel, router: Handlers<typeof RouterService> = {}) {
  const server: RpcServer = createRpcServer({ name: 'test', log: silentLog() });
  server.add(VkernelService, handlers).add(RouterService, router);
  const address = await server.listen('127.0.0.1:0');
  cleanup.push(() => server.drain(200));
  const client = createClient(VkernelService, address);
  cleanup.push(() => client.close());
  return { server, address, client };
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('unary', () => {
  it('carries request, reply and request id', async () => {
    let seen: CallContext | undefined;
    const { client } = await serve({
      listVkernels: (_request, ctx) => {
        seen = ctx;
        return { vkernels: [{ name: 'default', hostPid: 7 }] };
      },
    });
    const reply = await client.listVkernels({}, { requestId: 'r-1' });
    expect(reply.vkernels.map((v) => [v.name, v.hostPid])).toEqual([['default', 7]]);
    expect(seen?.requestId).toBe('r-1');
    expect(seen?.peer).toContain('127.0.0.1');
    expect(seen?.signal.aborted).toBe(false);
  });

  it('brings an RpcError over with code and details, a bug as INTERNAL, a missing handler as UNIMPLEMENTED', async () => {
    const { client } = await serve({
      kill: (request) => {
        if (request.pid === 1n) throw new RpcError(Code.NotFound, 'no process 1: naïve');
        throw new TypeError('a bug');
      },
    });
    const missing = await failure(client.kill({ pid: 1n }));
    expect(missing.message).toBe('NOT_FOUND: no process 1: naïve');
    expect(missing.code).toBe(Code.NotFound);
    expect((await failure(client.kill({ pid: 2n }))).message).toBe('INTERNAL: a bug');
    expect((await failure(client.listVkernels({}))).code).toBe(Code.Unimplemented);
  });

  it('ends at its deadline and on abort, and tells the handler', async () => {
    const reasons: unknown[] = [];
    const { client } = await serve({
      listVkernels: async (_request, ctx) => {
        await delay(5_000, ctx.signal);
        reasons.push((ctx.signal.reason as RpcError).code);
        return {};
      },
    });
    expect((await failure(client.listVkernels({}, { deadlineMs: 50 }))).code).toBe(Code.DeadlineExceeded);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    expect((await failure(client.listVkernels({}, { signal: abort.signal }))).code).toBe(Code.Cancelled);
    await vi.waitFor(() => expect(reasons).toHaveLength(2), 10_000);
    expect(reasons).toContain(Code.Cancelled);
  });

  it('is UNAVAILABLE at once where nobody listens, and waits when told to', async () => {
    const blocker = createServer();
    const port = await new Promise<number>((resolve) =>
      blocker.listen(0, '127.0.0.1', () => resolve((blocker.address() as { port: number }).port)),
    );
    await new Promise((resolve) => blocker.close(resolve));
    const client = createClient(VkernelService, `127.0.0.1:${port}`);
    cleanup.push(() => client.close());
    expect((await failure(client.listVkernels({}))).code).toBe(Code.Unavailable);
    const waiting = client.listVkernels({}, { waitForReady: true, deadlineMs: 10_000 });
    const server = createRpcServer({ name: 'late', log: silentLog() });
    server.add(VkernelService, { listVkernels: () => ({}) });
    await server.listen(`127.0.0.1:${port}`);
    cleanup.push(() => server.drain(200));
    expect((await waiting).vkernels).toEqual([]);
  });
});

describe('streams', () => {
  it('streams responses, then the error that ended them', async () => {
    const { client } = await serve({
      async *getLogs(request) {
        for (let i = 0; i < 100; i++) yield { droppedBytes: BigInt(i) };
        if (request.follow) throw new RpcError(Code.DataLoss, 'torn');
      },
    });
    expect(await collect(client.getLogs({}))).toHaveLength(100);
    const seen: bigint[] = [];
    const torn = (async () => {
      for await (const line of client.getLogs({ follow: true })) seen.push(line.droppedBytes);
    })();
    expect((await failure(torn)).code).toBe(Code.DataLoss);
    expect(seen).toHaveLength(100);
  });

  it('a caller that leaves its loop ends the handler', async () => {
    let closed = false;
    const { client } = await serve({
      async *getLogs(_request, ctx) {
        try {
          for (;;) {
            yield { droppedBytes: 1n };
            await delay(1, ctx.signal);
          }
        } finally {
          closed = true;
        }
      },
    });
    for await (const _line of client.getLogs({})) break;
    for (let i = 0; i < 100 && !closed; i++) await delay(10);
    expect(closed).toBe(true);
  });

  it('talks both ways and half-closes', async () => {
    const { client } = await serve({
      async *run(requests) {
        let bytes = 0;
        for await (const { event } of requests) {
          if (event.case !== 'stdin') continue;
          bytes += event.value.length;
          yield { event: { case: 'output', value: { stream: StdStream.OUT, data: event.value } } };
        }
        yield { event: { case: 'exited', value: { code: bytes } } };
      },
    });
    async function* requests() {
      for (let i = 0; i < 50; i++) {
        yield { event: { case: 'stdin' as const, value: new Uint8Array(1000).fill(i) } };
      }
    }
    const responses = await collect(client.run(requests()));
    expect(responses).toHaveLength(51);
    expect(responses[49]!.event.value).toMatchObject({ data: new Uint8Array(1000).fill(49) });
    expect(responses[50]!.event.value).toMatchObject({ code: 50_000 });
  });

  it('a handler that ends early does not wait for requests, and its producer is let go', async () => {
    let released = false;
    const { client } = await serve({
      // biome-ignore lint/correctness/useYield: it fails first
      async *run() {
        throw new RpcError(Code.FailedPrecondition, 'no');
      },
    });
    async function* requests() {
      try {
        for (;;) {
          yield { event: { case: 'signal' as const, value: 'SIGTERM' } };
          await delay(5);
        }
      } finally {
        released = true;
      }
    }
    expect((await failure(collect(client.run(requests())))).code).toBe(Code.FailedPrecondition);
    for (let i = 0; i < 100 && !released; i++) await delay(10);
    expect(released).toBe(true);
  });

  it('a request stream whose caller goes away is an error to the handler, not an end', async () => {
    const seen: unknown[] = [];
    const { client } = await serve({
      async *run(requests) {
        try {
          for await (const _request of requests) yield {};
        } catch (error) {
          seen.push(error);
          throw error;
        }
      },
    });
    async function* requests() {
      yield {};
      await delay(3_000);
    }
    for (let round = 0; round < 50; round++) {
      for await (const _response of client.run(requests())) break;
    }
    for (let i = 0; i < 100 && seen.length < 50; i++) await delay(10);
    expect(seen.map((error) => (error as RpcError).code)).toEqual(Array(50).fill(Code.Cancelled));
  });

  it('works on grpc streams for hot paths, with messages of 8 MiB and no copy of their bytes', async () => {
    const { address } = await serve(
      {},
      {
        attach: raw((call) => {
          call.on('data', (request) => call.write({ frames: request.frames }));
          call.on('end', () => call.end());
        }),
      },
    );
    const stream = openStream(RouterService.method.attach, address);
    const frame = create(FrameSchema, {
      frame: { case: 'circuitData', value: { circuit: 1n, data: new Uint8Array(4 * 1024 * 1024).fill(7) } },
    });
    stream.write({ frames: [frame, frame] });
    const reply = await new Promise<{ frames: (typeof frame)[] }>((resolve, reject) => {
      stream.once('data', resolve);
      stream.once('error', reject);
    });
    const back = reply.frames.map(({ frame }) => frame.case === 'circuitData' && frame.value.data.length);
    expect(back).toEqual([4 * 1024 * 1024, 4 * 1024 * 1024]);
    stream.end();
    await new Promise((resolve) => stream.once('status', resolve));
  });

  it('both ends may write without end at one time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rpc-'));
    cleanup.push(() => rm(folder, { recursive: true }));
    const message = {
      frames: [
        create(FrameSchema, {
          frame: { case: 'circuitData', value: { circuit: 1n, data: new Uint8Array(60_000) } },
        }),
      ],
    };
    const server = createRpcServer({ name: 'test', log: silentLog() }).add(RouterService, {
      attach: raw((call) => {
        let got = 0;
        call.on('data', () => {
          got += 1;
          if (got === 300) call.end();
        });
        for (let i = 0; i < 300; i++) call.write(message);
      }),
    });
    cleanup.push(() => server.drain(200));
    for (const address of ['127.0.0.1:0', `unix:${folder}/s`]) {
      const stream = openStream(RouterService.method.attach, await server.listen(address));
      let got = 0;
      stream.on('data', () => {
        got += 1;
      });
      for (let i = 0; i < 300; i++) stream.write(message);
      await new Promise((resolve, reject) => {
        stream.once('status', resolve);
        stream.once('error', reject);
      });
      expect(got).toBe(300);
    }
  });

  it('a narrow channel may write many small messages while much comes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rpc-'));
    cleanup.push(() => rm(folder, { recursive: true }));
    const messageOf = (bytes: number) => ({
      frames: [
        create(FrameSchema, {
          frame: { case: 'circuitData', value: { circuit: 1n, data: new Uint8Array(bytes) } },
        }),
      ],
    });
    const [large, small] = [messageOf(60_000), messageOf(100)];
    const server = createRpcServer({ name: 'test', log: silentLog() }).add(RouterService, {
      attach: raw((call) => {
        let got = 0;
        call.on('data', () => {
          got += 1;
          if (got === 4_000) call.end();
        });
        for (let i = 0; i < 1_000; i++) call.write(large);
      }),
    });
    cleanup.push(() => server.drain(200));
    // In a thread of its own, as one thread would take turns. Each small message is a write to the socket.
    const { promise: over, resolve, reject } = Promise.withResolvers<unknown>();
    const client = new Worker(
      `const { parentPort, workerData: { address, parts, small } } = require('node:worker_threads');
      (async () => {
        const { openChannel, openStream } = await import(parts.client);
        const { RouterService } = await import(parts.router);
        const stream = openStream(RouterService.method.attach, openChannel(address, { narrow: true }));
        let got = 0;
        stream.on('data', () => got++);
        stream.once('error', (error) => parentPort.postMessage(error.message));
        stream.once('status', () => parentPort.postMessage(got));
        for (let i = 0; i < 4_000; i++) {
          stream.write(small);
          await new Promise(setImmediate);
        }
      })();`,
      {
        eval: true,
        workerData: {
          address: await server.listen(`unix:${folder}/s`),
          parts: {
            client: new URL('client.ts', import.meta.url).href,
            router: import.meta.resolve('@odonata/proto/syslink/v1/syslink'),
          },
          small,
        },
      },
    );
    cleanup.push(() => client.terminate());
    client.once('message', resolve);
    client.once('error', reject);
    expect(await over).toBe(1_000);
  });
});

describe('server', () => {
  it('ends what still runs when the drain is over', async () => {
    const arrived = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    const { client, server } = await serve({
      listVkernels: async (_request, ctx) => {
        ctx.signal.addEventListener('abort', () => aborted.resolve());
        arrived.resolve();
        await delay(20_000, ctx.signal);
        return {};
      },
    });
    const running = failure(client.listVkernels({}));
    await arrived.promise;
    const startedMs = performance.now();
    await server.drain(100);
    // Its handler would take 20 s.
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    // What the end of a connection is to its calls; the handler hears of it, too.
    expect((await running).message).toMatch(/^CANCELLED: the connection to \S+ broke$/);
    await aborted.promise;
  });

  it('listens on a unix socket, over the socket file of a dead server, and not over a live one', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'rpc-'));
    cleanup.push(() => rm(directory, { recursive: true }));
    const address = `unix:${directory}/a.sock`;
    const make = () =>
      createRpcServer({ name: 'u', log: silentLog() }).add(RouterService, {
        listEndpoints: () =>
          create(ListEndpointsResponseSchema, { endpoints: [{ name: 'x', kind: EndpointKind.CLIENT }] }),
      });
    const stale = createServer();
    await new Promise<void>((resolve) => stale.listen(`${directory}/a.sock`, resolve));
    expect((await failure(make().listen(address))).code).toBe(Code.AlreadyExists);
    await new Promise((resolve) => stale.close(resolve));
    const { writeFile } = await import('node:fs/promises');
    await writeFile(`${directory}/a.sock`, '');
    const server = make();
    expect(await server.listen(address)).toBe(address);
    cleanup.push(() => server.drain(100));
    const client = createClient(RouterService, address);
    cleanup.push(() => client.close());
    expect((await client.listEndpoints({})).endpoints[0]!.name).toBe('x');
  });
});
