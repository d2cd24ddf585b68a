import { EventService } from '@odonata/proto/event/v1/event';
import { EndpointKind, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { ProcessState, StdStream, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { notFound, tryAgain } from '@odonata/rpc/refusal.ts';
import type { Handlers } from '@odonata/rpc/service.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Syslinkd } from './serve.ts';
import { serveSyslinkd } from './serve.ts';

/** Endpoints and router on real sockets. */
let router: Syslinkd;
const cleanup: (() => unknown)[] = [];
beforeEach(async () => {
  router = await serveSyslinkd({ listen: '127.0.0.1:0', log: silentLog() });
});
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
  await router.stop();
});

async function attach(name: string, handlers?: Handlers<typeof VkernelService>): Promise<SyslinkEndpoint> {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const endpoint = attachSyslink({
    address: router.address,
    name,
    kind,
    node: 'node1',
    nodeIndex: 1,
    log: silentLog(),
  });
  cleanup.push(() => endpoint.close());
  if (handlers !== undefined) endpoint.serve(VkernelService, handlers);
  await endpoint.ready({ deadlineMs: 5_000 });
  return endpoint;
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

const stdin = (bytes: number, fill = 0) => ({
  event: { case: 'stdin' as const, value: new Uint8Array(bytes).fill(fill) },
});

describe('calls', () => {
  it("bring an error's details over: of a message, of a circuit, of the router", async () => {
    await attach('node1/vkerneld', {
      kill: ({ pid }) => {
        throw notFound({ type: 'process', name: pid }, `no process ${pid}`);
      },
      // biome-ignore lint/correctness/useYield: it fails before the first line
      async *getLogs() {
        throw tryAgain(Code.Unavailable, 'not yet', { retryMs: 1_500 });
      },
    });
    const client = await attach('');
    const vkernel = client.client(VkernelService, { name: 'node1/vkerneld' });
    const killed = await failure(vkernel.kill({ pid: 7n }));
    expect(killed.detail('google.rpc.ResourceInfo')).toMatchObject({
      resourceType: 'process',
      resourceName: '7',
    });
    const logs = await failure(collect(vkernel.getLogs({ pid: 7n })));
    expect(logs.detail('google.rpc.RetryInfo')?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
    const nobody = await failure(client.client(VkernelService, { name: 'nobody' }).listVkernels({}));
    expect(nobody.detail('google.rpc.ResourceInfo')).toMatchObject({
      resourceType: 'endpoint',
      resourceName: 'nobody',
    });
  });

  it('by name and sysid, small and large, with errors', async () => {
    const server = await attach('node1/vkerneld', {
      listProcesses: (request, ctx) => {
        expect(ctx.peer).toMatch(/^syslink:/);
        expect(ctx.requestId).not.toBe('');
        return {
          processes: [
            {
              command: Array.from({ length: request.pageSize }, (_, i) => `argument ${i}`),
              state: ProcessState.RUNNING,
            },
          ],
          nextPageToken: request.pageToken,
        };
      },
      kill: () => {
        throw new RpcError(Code.NotFound, 'no process 1');
      },
      listVkernels: () => {
        throw new TypeError('a bug');
      },
    });
    const client = await attach('');
    const byName = client.client(VkernelService, { name: 'node1/vkerneld' });
    expect((await byName.listProcesses({})).processes).toHaveLength(1);
    const large = await byName.listProcesses({ pageSize: 1_000, pageToken: 'x'.repeat(500) });
    expect(large.processes[0]!.command).toHaveLength(1_000);
    expect(large.nextPageToken).toHaveLength(500);
    server.serve(EventService, { listEvents: ({ kinds }) => ({ droppedEvents: BigInt(kinds.length) }) });
    const events = client.client(EventService, { name: 'node1/vkerneld' });
    expect((await events.listEvents({ kinds: Array(64).fill('x'.repeat(500)) })).droppedEvents).toBe(64n);
    const many = await failure(byName.listProcesses({ pageSize: 1_001 }));
    expect(many.message).toBe('INVALID_ARGUMENT: page_size: at most 1000, not 1001');
    expect(many.detail('google.rpc.BadRequest')?.fieldViolations[0]?.field).toBe('page_size');
    const bySysid = client.client(VkernelService, { sysid: server.sysid });
    expect((await failure(bySysid.kill({ pid: 1n }))).message).toBe('NOT_FOUND: no process 1');
    expect((await failure(byName.listVkernels({}))).message).toBe('INTERNAL: a bug');
    const missing = client.client(VkernelService, { name: 'node9/vkerneld' });
    expect((await failure(missing.listVkernels({}))).message).toBe(
      'NOT_FOUND: no endpoint "node9/vkerneld"; registered: node1/vkerneld',
    );
    const wrong = client.client(RouterService, { name: 'node1/vkerneld' });
    expect((await failure(wrong.listEndpoints({}))).code).toBe(Code.Unimplemented);
    expect((await failure(byName.listProcesses({ pageToken: 'x'.repeat(5_000_000) }))).code).toBe(
      Code.ResourceExhausted,
    );
    const stale = client.client(VkernelService, { sysid: server.sysid, session: 1n });
    expect((await failure(stale.listVkernels({}))).code).toBe(Code.Aborted);
  });

  it('end at their deadline and on abort', async () => {
    const aborted: unknown[] = [];
    await attach('a', {
      listVkernels: async (_request, ctx) => {
        await delay(5_000, ctx.signal);
        aborted.push(ctx.signal.reason.code);
        return {};
      },
    });
    const a = (await attach('')).client(VkernelService, { name: 'a' });
    expect((await failure(a.listVkernels({}, { deadlineMs: 50 }))).code).toBe(Code.DeadlineExceeded);
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    expect((await failure(a.listVkernels({}, { signal: abort.signal, deadlineMs: 5_000 }))).code).toBe(
      Code.Cancelled,
    );
    // Long before its deadline, which it has not by the abort.
    for (let i = 0; i < 30 && aborted.length < 2; i++) await delay(10);
    expect(aborted).toEqual([Code.DeadlineExceeded, Code.Cancelled]);
  });

  it('are quick, and many go at once', async () => {
    await attach('a', { listVkernels: () => ({}) });
    const a = (await attach('')).client(VkernelService, { name: 'a' });
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 200 }, () => a.listVkernels({})));
  });
});

describe('streams', () => {
  it('carry requests, responses, half-close and the final error', async () => {
    await attach('a', {
      async *run(requests) {
        let bytes = 0;
        for await (const { event } of requests) {
          if (event.case === 'stdin') bytes += event.value.length;
          yield {
            event: {
              case: 'output',
              value: { stream: StdStream.OUT, data: event.case === 'stdin' ? event.value : undefined },
            },
          };
        }
        yield { event: { case: 'exited', value: { code: bytes } } };
        if (bytes === 3) throw new RpcError(Code.DataLoss, 'torn');
      },
      async *getLogs(request) {
        for (let i = 0n; i < request.pid; i++) yield { droppedBytes: i };
      },
    });
    const a = (await attach('')).client(VkernelService, { name: 'a' });
    async function* many() {
      for (let i = 0; i < 200; i++) yield stdin(60_000, i);
    }
    const responses = await collect(a.run(many()));
    expect(responses).toHaveLength(201);
    expect(responses[200]!.event.value).toMatchObject({ code: 12_000_000 });
    async function* few() {
      yield stdin(3);
    }
    const seen: unknown[] = [];
    const torn = (async () => {
      for await (const response of a.run(few())) seen.push(response);
    })();
    expect((await failure(torn)).message).toBe('DATA_LOSS: torn');
    expect(seen).toHaveLength(2);
    expect(await collect(a.getLogs({ pid: 50_000n }))).toHaveLength(50_000);
    expect((await failure(collect(a.run(few(), { deadlineMs: 1_000 })))).code).toBe(Code.DataLoss);
    const nowhere = (await attach('')).client(VkernelService, { name: 'nowhere' });
    expect((await failure(collect(nowhere.getLogs({})))).code).toBe(Code.NotFound);
  });

  it('a caller that leaves, aborts or runs late ends the handler', async () => {
    const reasons: number[] = [];
    await attach('a', {
      async *getLogs(_request, ctx) {
        ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason.code));
        for (;;) {
          yield {};
          await delay(5, ctx.signal);
        }
      },
    });
    const a = (await attach('')).client(VkernelService, { name: 'a' });
    for await (const _line of a.getLogs({})) break;
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    expect((await failure(collect(a.getLogs({}, { signal: abort.signal })))).code).toBe(Code.Cancelled);
    expect((await failure(collect(a.getLogs({}, { deadlineMs: 50 })))).code).toBe(Code.DeadlineExceeded);
    for (let i = 0; i < 100 && reasons.length < 3; i++) await delay(10);
    expect(reasons).toEqual([Code.Cancelled, Code.Cancelled, Code.DeadlineExceeded]);
  });

  it('a reader that does not read stops its sender, and nobody else', async () => {
    const sent: number[] = [];
    await attach('a', {
      async *getLogs() {
        const call = sent.push(0) - 1;
        for (;;) {
          sent[call]! += 1;
          yield { output: { stream: StdStream.OUT, data: new Uint8Array(60_000) } };
        }
      },
      listVkernels: () => ({}),
    });
    const client = await attach('');
    const a = client.client(VkernelService, { name: 'a' });
    const stalled = a.getLogs({})[Symbol.asyncIterator]();
    await stalled.next();
    await a.listVkernels({});
    // The same line brings 200 to somebody else meanwhile: so there was time, and the first sender stands.
    let count = 0;
    for await (const _line of a.getLogs({})) if (++count === 200) break;
    expect(sent[1]).toBeGreaterThanOrEqual(200);
    expect(sent[0]).toBeLessThan(30);
    for (let i = 0; i < 50; i++) await stalled.next();
    expect(sent[0]).toBeGreaterThanOrEqual(51);
    await stalled.return?.();
  });
});

describe('bad luck', () => {
  it('an endpoint that goes away fails what waits for it, and is listed as not connected', async () => {
    const called = Promise.withResolvers<void>();
    const streamed = Promise.withResolvers<void>();
    const server = await attach('a', {
      listVkernels: async (_request, ctx) => {
        called.resolve();
        await delay(5_000, ctx.signal);
        return {};
      },
      async *getLogs(_request, ctx) {
        yield {};
        streamed.resolve();
        await delay(5_000, ctx.signal);
      },
    });
    const client = await attach('');
    const a = client.client(VkernelService, { name: 'a' });
    const call = failure(a.listVkernels({}));
    const stream = failure(collect(a.getLogs({})));
    await Promise.all([called.promise, streamed.promise]);
    server.close();
    expect((await call).message).toBe('UNAVAILABLE: a went away');
    expect((await stream).code).toBe(Code.Unavailable);
    expect((await failure(a.listVkernels({}))).code).toBe(Code.Unavailable);
    const listed = await client.listEndpoints();
    expect(listed.map((e) => [e.name, e.connected])).toEqual([
      ['', true],
      ['a', false],
    ]);
  });

  it('a router that is killed and started again is found again; what was under way fails', async () => {
    const arrived = Promise.withResolvers<void>();
    await attach('a', {
      listVkernels: async (_request, ctx) => {
        if (ctx.requestId === 'slow') arrived.resolve();
        await delay(ctx.requestId === 'slow' ? 5_000 : 0, ctx.signal);
        return {};
      },
    });
    const client = await attach('');
    const a = client.client(VkernelService, { name: 'a' });
    await a.listVkernels({});
    const call = failure(a.listVkernels({}, { requestId: 'slow' }));
    await arrived.promise;
    const { address } = router;
    await router.stop();
    expect((await call).code).toBe(Code.Unavailable);
    expect((await failure(a.listVkernels({}))).code).toBe(Code.Unavailable);
    router = await serveSyslinkd({ listen: address, log: silentLog() });
    await client.ready({ deadlineMs: 5_000 });
    let reply: unknown;
    for (let i = 0; i < 100 && reply === undefined; i++) {
      reply = await a.listVkernels({}).catch(() => delay(20));
    }
    expect(reply).toBeDefined();
  });

  it('without a router: ready ends at its deadline with the address', async () => {
    const lonely = attachSyslink({
      address: '127.0.0.1:1',
      name: '',
      kind: EndpointKind.CLIENT,
      log: silentLog(),
    });
    expect((await failure(lonely.ready({ deadlineMs: 300 }))).message).toMatch(
      /^UNAVAILABLE: no line to the syslink router at 127.0.0.1:1: /,
    );
    lonely.close();
    expect((await failure(lonely.ready())).code).toBe(Code.Unavailable);
  });

  it('lists endpoints in pages, over plain gRPC too', async () => {
    for (const name of ['c', 'a', 'b']) await attach(name);
    const plain = createClient(RouterService, router.address);
    cleanup.push(() => plain.close());
    const first = await plain.listEndpoints({ pageSize: 2 });
    expect(first.endpoints.map((e) => e.name)).toEqual(['a', 'b']);
    const second = await plain.listEndpoints({ pageSize: 2, pageToken: first.nextPageToken });
    expect(second.endpoints.map((e) => [e.name, e.node, e.nodeIndex])).toEqual([['c', 'node1', 1]]);
    expect(second.nextPageToken).toBe('');
    expect((await failure(plain.listEndpoints({ pageToken: 'junk' }))).code).toBe(Code.InvalidArgument);
  });
});
