// The Run stream as the far end sees it, without a cluster.
import type { RunRequest, RunResponse } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { ProgramRun } from './program-run.ts';

type Serve = (requests: AsyncIterable<RunRequest>) => AsyncIterable<unknown>;

const connectionTo = (serve: Serve, kill: (request: { signal: string }) => void = () => {}): Connection =>
  ({
    vkerneld: () => ({ run: serve, kill: async (request: never) => kill(request) }),
  }) as unknown as Connection;

const started = { event: { case: 'started', value: { pid: 100_001n, node: 'node1', vkernel: 'default' } } };
const exited = (code: number, signal = '') => ({ event: { case: 'exited', value: { code, signal } } });

test('the module goes in pieces, standard input after the start, and the exit comes back', async () => {
  const seen: [string, number][] = [];
  const to = connectionTo(async function* (requests) {
    for await (const { event } of requests) {
      const bytes = event.case === 'module' || event.case === 'stdin' ? event.value.length : 0;
      seen.push([event.case!, bytes]);
      if (event.case === 'moduleEnd') yield started;
      if (event.case === 'stdin')
        yield { event: { case: 'output', value: { stream: 1, data: event.value } } };
      if (event.case === 'stdinEnd') return yield exited(3);
    }
  });
  async function* stdin() {
    yield Buffer.alloc(100_000, 1);
    yield Buffer.alloc(5, 2);
  }
  let outputBytes = 0;
  const module = new Uint8Array(2 ** 20 + 10);
  const run = new ProgramRun(to, 'node1', { name: 'a.wasm' }, module, {
    stdin: stdin(),
    onOutput: ({ data }) => {
      outputBytes += data.length;
    },
  });
  expect(await run.exited()).toMatchObject({ code: 3 });
  expect(outputBytes).toBe(100_005);
  expect(seen).toEqual([
    ['start', 0],
    ['module', 2 ** 20],
    ['module', 10],
    ['moduleEnd', 0],
    ['stdin', 65_536],
    ['stdin', 100_000 - 65_536],
    ['stdin', 5],
    ['stdinEnd', 0],
  ]);
});

test('a signal overtakes input that the program does not read', async () => {
  const killed = Promise.withResolvers<{ signal: string }>();
  const to = connectionTo(
    async function* () {
      yield started;
      yield exited(130, (await killed.promise).signal);
    },
    (request) => killed.resolve(request),
  );
  async function* endless() {
    for (;;) yield new Uint8Array(65_536);
  }
  const run: ProgramRun = new ProgramRun(to, 'node1', {}, new Uint8Array(8), {
    stdin: endless(),
    onStarted: () => void run.signal('SIGINT'),
  });
  expect(await run.exited()).toMatchObject({ code: 130, signal: 'SIGINT' });
});

test('a detached program gets no input and is left running', async () => {
  const cases: string[] = [];
  const to = connectionTo(async function* (requests) {
    for await (const { event } of requests) {
      cases.push(event.case!);
      if (event.case === 'stdinEnd') yield started;
    }
  });
  const run = new ProgramRun(to, 'node1', { detach: true }, new Uint8Array(8), {});
  expect(await run.started()).toMatchObject({ pid: 100_001n });
  expect(cases).toEqual(['start', 'module', 'moduleEnd', 'stdinEnd']);
});

test('a stream that ends without an exit is an error', async () => {
  const to = connectionTo(async function* (): AsyncIterable<RunResponse> {});
  const run = new ProgramRun(to, 'node1', {}, new Uint8Array(8), {});
  await expect(run.exited()).rejects.toThrow(/UNAVAILABLE/);
});

test('a router that does not know the node yet is asked again, and the program goes on from where it was', async () => {
  const resumable = { event: { case: 'started', value: { ...started.event.value, resumable: true } } };
  let streams = 0;
  let looks = 0;
  const to = {
    vkerneld: () => ({
      async *run(requests: AsyncIterable<RunRequest>): AsyncGenerator<unknown> {
        if (streams++ === 0) {
          for await (const { event } of requests) if (event.case === 'moduleEnd') break;
          yield resumable;
          throw new RpcError(Code.Unavailable, 'the router went away');
        }
        for await (const { event } of requests) {
          expect(event.case).toBe('resume');
          return yield exited(4);
        }
      },
    }),
    ready: async () => {},
    node: async () => {
      if (looks++ === 0) throw new RpcError(Code.NotFound, 'no node "node1"');
      return { vkerneld: {} };
    },
  } as unknown as Connection;
  const run = new ProgramRun(to, 'node1', {}, new Uint8Array(8), {});
  expect(await run.exited()).toMatchObject({ code: 4 });
  expect(looks).toBe(2);
});

test('input that arrived without a word of it is not sent twice', async () => {
  const resumable = { event: { case: 'started', value: { ...started.event.value, resumable: true } } };
  const got: string[] = [];
  let streams = 0;
  const to = {
    vkerneld: () => ({
      async *run(requests: AsyncIterable<RunRequest>): AsyncGenerator<unknown> {
        const events = requests[Symbol.asyncIterator]();
        const next = async () => (await events.next()).value!.event;
        if (streams++ === 0) {
          while ((await next()).case !== 'moduleEnd');
          yield resumable;
          got.push(Buffer.from((await next()).value as Uint8Array).toString());
          throw new RpcError(Code.Unavailable, 'the router went away');
        }
        expect((await next()).case).toBe('resume');
        const first = next();
        yield { event: { case: 'resumed', value: { inputTaken: 3n } } };
        const event = await first;
        got.push(event.case === 'stdin' ? Buffer.from(event.value).toString() : event.case!);
        return yield exited(0);
      },
    }),
    ready: async () => {},
    node: async () => ({ vkerneld: {} }),
  } as unknown as Connection;
  async function* stdin() {
    yield Buffer.from('one');
    yield Buffer.from('two');
  }
  await new ProgramRun(to, 'node1', {}, new Uint8Array(8), { stdin: stdin() }).exited();
  expect(got).toEqual(['one', 'two']);
});
