// Two clusters over a bad line: a relay of TCP between their gateways delays, stalls as a lost packet does, and is cut for ten seconds.
import { join } from 'node:path';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clean, cleanup, failure, until } from '../testdata/routers.ts';
import { BadLine, DELAY_MS } from './testdata/bad-line.ts';
import { type Bytes, bytes, ShoutService, shout } from './testdata/shout-service.ts';
import { freePort, type Side, side } from './testdata/two-clusters.ts';

let east: Side;
let west: Side;
let bad: BadLine;
let bob: SyslinkEndpoint;
let served = 0;

beforeAll(async () => {
  const [port, relay] = [await freePort(), await freePort()];
  const ca = ({ authority }: Side) => join(authority.dir, 'ca', 'ca.crt');
  const methods = '[/shout.Shout/Say, /shout.Shout/Flow]';
  const policy = (authority: string) =>
    `{ listen: '127.0.0.1:${port}', peers: [{ name: west, authority: ${authority}, exports: [{ name: ':shout', methods: ${methods} }], users: { bob: bob } }] }`;
  east = await side('east', policy);
  west = await side(
    'west',
    () =>
      `peers: [{ name: east, authority: ${ca(east)}, address: '127.0.0.1:${relay}', imports: [':shout'] }]`,
  );
  east.policy(policy(ca(west)));
  bad = new BadLine(relay, port);
  cleanup.push(() => bad.close());
  const clock = await east.attach('operator/olga');
  clock.serve(
    ShoutService as never,
    {
      say: ({ value }: Bytes) => {
        served += 1;
        return { value };
      },
      async *flow(requests: AsyncIterable<Bytes>) {
        for await (const each of requests) yield each;
      },
    } as never,
  );
  clock.register(':shout', { everyone: true });
  await until('the line is up', async () => (await west.peers())[0]?.imported.length === 1);
  bob = await west.attach('user/bob');
}, 60_000);
afterAll(clean);

it('over 50 ms and one piece of a hundred lost, a request takes one round trip, and a stream comes whole', async () => {
  const took: number[] = [];
  for (let i = 0; i < 10; i += 1) {
    const startedMs = performance.now();
    await shout(bob, ':shout@east').say(bytes('x'));
    took.push(performance.now() - startedMs);
  }
  took.sort((a, b) => a - b);
  const startedMs = performance.now();
  const requests = (async function* () {
    for (let i = 0; i < 16; i += 1) yield { value: Buffer.alloc(32_768, i) };
  })();
  let next = 0;
  for await (const { value } of shout(bob, ':shout@east').flow(requests) as AsyncIterable<Bytes>)
    expect(value[0]).toBe(next++);
  expect(next).toBe(16);
  const seconds = (performance.now() - startedMs) / 1_000;
  console.info(
    `a request over a line of ${2 * DELAY_MS} ms there and back: ${took[5]!.toFixed(0)} ms; a stream: ${(0.5 / seconds).toFixed(1)} MiB/s each way`,
  );
  // One round trip and not two, by the best: the machine may be busy.
  expect(took[0]!).toBeGreaterThan(2 * DELAY_MS - 5);
  expect(took[0]!).toBeLessThan(4 * DELAY_MS);
});

it('cut for ten seconds: whoever waits hears of it, nothing is done twice, and it heals by itself', {
  timeout: 60_000,
}, async () => {
  let isOpen = true;
  const endless = (async function* () {
    while (isOpen) {
      yield bytes('.');
      await delay(50);
    }
  })();
  const flowing = failure(
    (async () => {
      for await (const _ of shout(bob, ':shout@east').flow(endless)) void _;
    })(),
  );
  await delay(300);
  const before = served;
  bad.cut();
  const cutMs = performance.now();
  const asked = failure(shout(bob, ':shout@east').say(bytes('cut'), { deadlineMs: 30_000 }));
  const short = failure(shout(bob, ':shout@east').say(bytes('cut'), { deadlineMs: 1_000 }));
  expect((await short).code).toBe(Code.DeadlineExceeded);
  expect((await asked).code).toBe(Code.Unavailable);
  expect((await flowing).code).toBe(Code.Unavailable);
  const heardMs = performance.now() - cutMs;
  isOpen = false;
  const unwell = await failure(shout(bob, ':shout@east').say(bytes('cut')));
  expect(unwell.code).toBe(Code.Unavailable);
  await delay(Math.max(0, 10_000 - (performance.now() - cutMs)));
  bad.heal();
  const healedMs = performance.now();
  await until('the line is up again', async () => (await west.peers())[0]?.connected);
  await until('the name is well', async () => {
    try {
      return await shout(bob, ':shout@east').say(bytes('again'));
    } catch {
      return false;
    }
  });
  console.info(
    `whoever waited heard of the cut after ${(heardMs / 1_000).toFixed(1)} s; it was whole again ${(performance.now() - healedMs).toFixed(0)} ms after it healed`,
  );
  expect(heardMs).toBeLessThan(12_000);
  expect(served).toBe(before + 1);
});
