// A stream that goes on below grpc-js once its server has answered: nothing is lost, twice, or out of order on the way there.
import { create } from '@bufbuild/protobuf';
import { FrameSchema, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { afterEach, expect, it } from 'vitest';
import { framed } from './bare-stream.ts';
import { bugsMet } from './bug.ts';
import { openChannel, type RpcChannel } from './client.ts';
import { Code, fromServiceError, RpcError } from './error.ts';
import { silentLog } from './log.ts';
import { OpenedStream } from './opened-stream.ts';
import type { RawCall } from './raw-call.ts';
import { createRpcServer, type Handlers, raw } from './server.ts';
import type { In, Out } from './service.ts';

type Attach = typeof RouterService.method.attach;
type Call = RawCall<In<Attach>, Out<Attach>>;

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function serve(handle: (call: Call) => void): Promise<RpcChannel> {
  const attach = raw(handle) as unknown as NonNullable<Handlers<typeof RouterService>['attach']>;
  const server = createRpcServer({ name: 'test', log: silentLog() }).add(RouterService, { attach });
  const channel = openChannel(await server.listen('127.0.0.1:0'));
  cleanup.push(
    () => server.drain(100),
    () => channel.close(),
  );
  return channel;
}

const numbered = (circuit: number, bytes = 8) =>
  create(FrameSchema, {
    frame: { case: 'circuitData', value: { circuit: BigInt(circuit), data: new Uint8Array(bytes) } },
  });
const numberOf = ({ frames }: In<Attach> | Out<Attach>): number => {
  const { frame } = frames[0]!;
  return frame.case === 'circuitData' ? Number(frame.value.circuit) : -1;
};

function opened(channel: RpcChannel, hear: (message: Out<Attach>) => void) {
  const stream = new OpenedStream(RouterService.method.attach, channel, { where: {}, hear });
  const failed = new Promise<RpcError>((resolve) => {
    stream.on('error', (error) => resolve(fromServiceError(error)));
  });
  const ended = new Promise<void>((resolve) => {
    stream.on('end', resolve);
  });
  return { stream, failed, ended };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

it('messages that are on their way while it goes below come once, in order, both ways, and so does its end', async () => {
  const [MANY, LARGE] = [4_000, 100_000];
  const heardThere: number[] = [];
  const channel = await serve((call) => {
    call.on('data', (message) => {
      heardThere.push(numberOf(message));
      call.write({ frames: [numbered(heardThere.at(-1)!)] } as Out<Attach>);
    });
    call.on('end', () => call.end());
  });
  const heard: number[] = [];
  const { stream, ended } = opened(channel, (message) => heard.push(numberOf(message)));
  for (let i = 0; i < MANY; i++) {
    stream.write({ frames: [numbered(i, i % 500 === 7 ? LARGE : 8)] });
    // It goes below somewhere in these.
    if (i % 100 === 0) await new Promise((turn) => setImmediate(turn));
  }
  stream.end();
  await ended;
  expect(heardThere).toEqual(upTo(MANY));
  expect(heard).toEqual(upTo(MANY));
});

it('where the server says nothing but its headers, it goes below, too, and its end is a good one', async () => {
  const heardThere: number[] = [];
  const channel = await serve((call) => {
    call.on('data', (message) => heardThere.push(numberOf(message)));
    call.on('end', () => call.end());
  });
  const { stream, ended } = opened(channel, () => {});
  for (const i of upTo(300)) {
    stream.write({ frames: [numbered(i)] });
    await new Promise((turn) => setImmediate(turn));
  }
  stream.end();
  await ended;
  expect(heardThere).toEqual(upTo(300));
});

it('an error of the server comes with its code and words', async () => {
  const channel = await serve((call) => {
    call.on('data', (message) => {
      if (numberOf(message) === 1) call.fail(new RpcError(Code.DataLoss, 'spoilt'));
      else call.write({ frames: [numbered(0)] } as Out<Attach>);
    });
  });
  let heard = 0;
  const { stream, failed } = opened(channel, () => {
    heard += 1;
    stream.write({ frames: [numbered(heard)] });
  });
  stream.write({ frames: [numbered(0)] });
  const { code, details } = await failed;
  expect([code, details, heard]).toEqual([Code.DataLoss, 'spoilt', 1]);
});

it('a bug in what hears it ends it, and is counted', async () => {
  const channel = await serve((call) => {
    call.on('data', () => call.write({ frames: [numbered(1)] } as Out<Attach>));
  });
  const before = bugsMet();
  let heard = 0;
  const { stream, failed } = opened(channel, () => {
    heard += 1;
    if (heard === 3) throw new TypeError('a bug');
    stream.write({ frames: [numbered(1)] });
  });
  stream.write({ frames: [numbered(1)] });
  expect((await failed).code).toBe(Code.Cancelled);
  expect(bugsMet()).toBe(before + 1);
  expect(heard).toBe(3);
});

it('one that answers what is no message is told of once, and why', async () => {
  const { createServer } = await import('node:http2');
  const server = createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => {}).resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.once('data', () => {
      // A message first, so that it is below grpc-js for sure; then one of 2 GiB.
      stream.write(framed(new Uint8Array()));
      setTimeout(() => stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 0])), 50);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const channel = openChannel(`127.0.0.1:${(server.address() as { port: number }).port}`);
  cleanup.push(
    () => server.close(),
    () => channel.close(),
  );
  const errors: RpcError[] = [];
  const stream = new OpenedStream(RouterService.method.attach, channel, { where: {}, hear() {} });
  const failed = new Promise<void>((resolve) => {
    stream.on('error', (error) => {
      errors.push(fromServiceError(error));
      resolve();
    });
  });
  stream.write({ frames: [numbered(0)] });
  await failed;
  await new Promise((later) => setTimeout(later, 50));
  expect(errors.map(({ code, details }) => [code, details])).toEqual([
    [Code.ResourceExhausted, expect.stringMatching(/^Received message larger than max/)],
  ]);
});

it('who keeps bytes of a message that came alone keeps no more than that', async () => {
  const kept: ArrayBufferLike[] = [];
  const channel = await serve((call) => {
    call.on('data', ({ frames }) => {
      const { frame } = frames[0]!;
      if (frame.case === 'circuitData') kept.push(frame.value.data.buffer);
      call.write({ frames: [numbered(1)] } as Out<Attach>);
    });
  });
  let answered = () => {};
  const { stream } = opened(channel, () => answered());
  for (let i = 0; i < 3; i++) {
    const answer = new Promise<void>((resolve) => {
      answered = resolve;
    });
    stream.write({ frames: [numbered(i)] });
    await answer;
  }
  for (const { byteLength } of kept) expect(byteLength).toBeLessThanOrEqual(8 * 1024);
  stream.cancel();
});
