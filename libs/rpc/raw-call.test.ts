// What one peer brings about ends what that peer has, and nothing of others.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { Role } from '@odonata/proto/auth/v1/access';
import { AttachRequestSchema, FrameSchema, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { afterEach, expect, it } from 'vitest';
import { framed } from './bare-stream.ts';
import { bugsMet } from './bug.ts';
import { createClient, openChannel, openStream, type RpcChannel } from './client.ts';
import { Code, fromServiceError, type RpcError } from './error.ts';
import { EventLog } from './events.ts';
import { silentLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { PARKED_MAX } from './raw-call.ts';
import { RunningCalls } from './running-calls.ts';
import { SecurityEvents } from './security-events.ts';
import { createRpcServer, type Handlers, raw } from './server.ts';
import { decoder, encoder, methodPath } from './service.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

/** Limits that were hit. */
const hits: string[] = [];
async function serve(attach: Handlers<typeof RouterService>['attach'], connectionsMax?: number) {
  const limits = { count: (limit: string, _who: string, text: string) => hits.push(`${limit}: ${text}`) };
  const about = { name: 'test', log: silentLog(), limits, ...(connectionsMax && { connectionsMax }) };
  const server = createRpcServer(about).add(RouterService, { attach: attach! });
  const address = await server.listen('127.0.0.1:0');
  cleanup.push(() => server.drain(100));
  return address;
}

const data = (bytes: number) =>
  create(FrameSchema, {
    frame: { case: 'circuitData', value: { circuit: 1n, data: new Uint8Array(bytes) } },
  });

type Stream = ReturnType<typeof openStream<typeof RouterService.method.attach>>;

function open(address: string | RpcChannel): { stream: Stream; failed: Promise<RpcError> } {
  const stream = openStream(RouterService.method.attach, address);
  const failed = new Promise<RpcError>((resolve) => {
    stream.on('error', (error) => resolve(fromServiceError(error)));
  });
  return { stream, failed };
}

const answer = (stream: Stream): Promise<unknown> => new Promise((resolve) => stream.once('data', resolve));

/** Echoes, and has a bug for frames of a circuit that is closed. */
const buggy = raw((call) => {
  call.on('data', ({ frames }: { frames: { frame: { case?: string } }[] }) => {
    if (frames[0]?.frame.case === 'circuitClose') (undefined as unknown as { x: () => void }).x();
    call.write({ frames: [data(1)] });
  });
  call.on('end', () => call.end());
}) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;

it('a bug in serving one stream ends it with INTERNAL, is counted, and others go on', async () => {
  const address = await serve(buggy);
  const channel = openChannel(address);
  cleanup.push(() => channel.close());
  const [one, other] = [open(channel), open(channel)];
  other.stream.write({ frames: [data(1)] });
  await answer(other.stream);
  const before = bugsMet();
  one.stream.write({ frames: [{ frame: { case: 'circuitClose', value: {} } }] });
  expect((await one.failed).message).toBe('INTERNAL: a bug in the server; its log says more');
  expect(bugsMet()).toBe(before + 1);
  other.stream.write({ frames: [data(1)] });
  await answer(other.stream);
  other.stream.end();
});

it('a message that breaks a constraint ends its stream with INVALID_ARGUMENT, and is not heard', async () => {
  let heard = 0;
  const attach = raw((call) => {
    call.on('data', () => heard++);
  }) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const { stream, failed } = open(await serve(attach));
  stream.write({ frames: [data(1)] });
  stream.write(create(AttachRequestSchema, { frames: [data(1), data(4 * 2 ** 20 + 1)] }));
  stream.write({ frames: [data(1)] });
  expect((await failed).message).toBe(
    'INVALID_ARGUMENT: frames[1].circuit_data.data: at most 4194304 bytes, not 4194305',
  );
  expect(heard).toBe(1);
});

it('what is refused at the door is an event: who, by which method, which field; a flood fills nothing', async () => {
  const events = new EventLog({ service: 'test', log: silentLog() });
  const security = new SecurityEvents(events);
  const attach = raw((call) => {
    call.on('data', () => {});
  }) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const server = createRpcServer({ name: 'test', log: silentLog(), security }).add(RouterService, {
    attach,
    listEndpoints: () => ({}),
  });
  const address = await server.listen('127.0.0.1:0');
  cleanup.push(() => server.drain(100));
  const channel = openChannel(address);
  cleanup.push(() => channel.close());
  const { stream, failed } = open(channel);
  stream.write(create(AttachRequestSchema, { frames: [data(4 * 2 ** 20 + 1)] }));
  await failed;
  const client = createClient(RouterService, channel);
  for (let i = 0; i < 50; i++)
    await expect(client.listEndpoints({ pageSize: 2 ** 32 - 1 })).rejects.toThrow(/page_size: at most/);
  const all = events.all();
  expect(all.length).toBe(3);
  expect(all.map(({ subject }) => subject)).toContainEqual({
    ...{ attempt: 'constraint', peer: 'admin anyone' },
    ...{ rpc: '/odonata.syslink.v1.RouterService/ListEndpoints', field: 'page_size' },
  });
  expect(all[0]!.text).toBe(
    'admin anyone: /odonata.syslink.v1.RouterService/Attach: frames[0].circuit_data.data: at most 4194304 bytes, not 4194305',
  );
  const metrics = new Metrics('test');
  security.countIn(metrics);
  expect(await metrics.registry.metrics()).toContain('security_refusals_total{attempt="constraint"} 51');
});

it('what waits for a reader that does not read is bounded', async () => {
  let wrote = 0;
  const attach = raw((call) => {
    call.on('data', () => {
      for (; wrote < 3 * PARKED_MAX; wrote++) call.write({ frames: [data(500)] });
    });
  }) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const { stream, failed } = open(await serve(attach));
  stream.write({ frames: [data(1)] });
  // It reads only when all was written.
  while (wrote < 3 * PARKED_MAX) await new Promise((turn) => setImmediate(turn));
  stream.on('data', () => {});
  const { code, details } = await failed;
  expect([code, details]).toEqual([
    Code.ResourceExhausted,
    `${PARKED_MAX} messages wait already, and the caller does not read`,
  ]);
  expect(hits.splice(0)).toEqual([
    expect.stringMatching(/^unread: .*Attach: .* does not read; its stream ends$/),
  ]);
});

const attachMethod = RouterService.method.attach;
const encode = encoder(attachMethod.input);

it('after its deadline nothing of a stream is heard, whatever its caller goes on to say', async () => {
  let [heard, heardAfter, isOver] = [0, 0, false];
  const attach = raw((call) => {
    call.on('cancelled', () => {
      isOver = true;
    });
    call.on('data', () => (isOver ? heardAfter++ : heard++));
  }) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const session = connectHttp2(`http://${await serve(attach)}`);
  cleanup.push(() => session.destroy());
  const stream = session.request({
    ...{ ':method': 'POST', ':path': methodPath(attachMethod), te: 'trailers' },
    ...{ 'content-type': 'application/grpc', 'grpc-timeout': '300m' },
  });
  stream.on('error', () => {}).resume();
  const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>;
  const message = framed(encode({ frames: [data(1)] }));
  stream.write(message);
  expect((await trailers)[0]['grpc-status']).toBe(String(Code.DeadlineExceeded));
  for (let i = 0; i < 20 && !stream.destroyed; i++) {
    stream.write(message);
    await sleep(5);
  }
  expect([heard > 0, heardAfter]).toEqual([true, 0]);
});

it('who compresses its messages is heard as ever', async () => {
  const address = await serve(buggy);
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
  });
  cleanup.push(() => client.close());
  const stream = client.makeBidiStreamRequest(
    methodPath(attachMethod),
    encode,
    decoder(attachMethod.output) as (bytes: Buffer) => unknown,
  );
  stream.on('error', () => {});
  for (let i = 0; i < 3; i++) {
    stream.write({ frames: [data(1_000)] });
    await once(stream, 'data');
  }
  stream.end();
});

it('a message that nobody would take ends its stream, and says so', async () => {
  const attach = raw((call) => {
    call.on('data', () => call.write({ frames: Array.from({ length: 5 }, () => data(4 * 2 ** 20)) }));
  }) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const { stream, failed } = open(await serve(attach));
  stream.on('data', () => {});
  stream.write({ frames: [data(1)] });
  const { code, details } = await failed;
  expect([code, details]).toEqual([
    Code.ResourceExhausted,
    expect.stringMatching(/^Sent message larger than max \(\d+ vs\. \d+\)$/),
  ]);
});

it('an address takes so many connections', async () => {
  const address = await serve(buggy, 2);
  const port = Number(address.split(':')[1]);
  const ends = await Promise.all(
    Array.from(
      { length: 4 },
      () =>
        new Promise<'open' | 'closed'>((resolve) => {
          const socket = connect(port, '127.0.0.1');
          cleanup.push(() => socket.destroy());
          socket.on('error', () => resolve('closed'));
          socket.once('close', () => resolve('closed'));
          // The settings of HTTP/2: it was let in.
          socket.once('data', () => resolve('open'));
        }),
    ),
  );
  expect(ends.toSorted()).toEqual(['closed', 'closed', 'open', 'open']);
});

it('a caller has so many calls, and as many again when some are over', () => {
  const told: string[] = [];
  const running = new RunningCalls(2, (who, reason) => told.push(`${who}: ${reason}`));
  const alice = { cluster: 'c', role: Role.USER, name: 'alice', groups: [] };
  const over = running.begin(alice);
  running.begin(alice);
  expect(() => running.begin(alice)).toThrow(
    'RESOURCE_EXHAUSTED: 2 calls of user alice run here already, the most of one caller',
  );
  expect(told).toEqual([expect.stringMatching(/^user alice: .*; let fewer be under way at one time$/)]);
  running.begin({ ...alice, name: 'bob' });
  over();
  running.begin(alice);
});
