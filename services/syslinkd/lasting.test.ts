// A long stream over a circuit that lasts, while the routers that it goes through are killed: processes, real sockets.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { isListening } from '@odonata/rpc/listening.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { freePorts } from '../../test/sockets/free-ports.ts';
import { attach, clean, cleanup, failure, knows, until } from './testdata/routers.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const PIECE_BYTES = 64 * 1024;
const PIECES = 800;
const FEWER_PIECES = 400;
afterEach(clean);

class RouterProcess {
  readonly address: string;
  readonly #args: string[];
  #child: ChildProcess | undefined;

  constructor(port: number, name: string, peers: readonly RouterProcess[], drainMs: number) {
    this.address = `127.0.0.1:${port}`;
    const list = peers.map(({ address }) => address).join();
    const more = list === '' ? [] : ['--peers', list];
    this.#args = [
      '--listen',
      this.address,
      '--name',
      name,
      '--settle-ms',
      '0',
      '--drain-ms',
      `${drainMs}`,
      ...more,
    ];
    cleanup.push(() => this.#child?.kill('SIGKILL'));
  }

  async start(): Promise<this> {
    this.#child = spawn(process.execPath, [MAIN, ...this.#args], { stdio: 'ignore' });
    await until('it listens', () => isListening(this.address));
    return this;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const ended = new Promise((resolve) => this.#child!.once('exit', resolve));
    this.#child!.kill(signal);
    await ended;
  }
}

async function routers(
  count: number,
  peersOf: (i: number, all: readonly RouterProcess[]) => RouterProcess[],
  drainMs = 0,
) {
  const all: RouterProcess[] = [];
  for (const [i, port] of (await freePorts(count)).entries())
    all.push(new RouterProcess(port, `r${i}`, peersOf(i, all), drainMs));
  await Promise.all(all.map((each) => each.start()));
  return all;
}

type Said = { event: { case?: string | undefined; value?: unknown } };

/** Says much to whoever connects, and hears what they say. */
function talking(at: string, pieces = PIECES) {
  const heard = createHash('sha256');
  const said = createHash('sha256');
  let ended: unknown;
  const endpoint = attach('far', { address: at }).serve(PeerService, {
    async *connect(requests, ctx) {
      const taking = (async () => {
        for await (const { event } of requests as AsyncIterable<Said>)
          if (event.case === 'data') heard.update(event.value as Uint8Array);
      })();
      taking.catch(() => {});
      for (let i = 0; i < pieces && !ctx.signal.aborted; i++) {
        const value = randomBytes(PIECE_BYTES);
        said.update(value);
        yield { event: { case: 'data' as const, value } };
      }
      await taking;
      ended = 'end';
    },
  });
  return { endpoint, heard, said, hasEnded: () => ended };
}

/** Both ways at once; `during` is told how many pieces have come. */
async function exchange(
  client: SyslinkEndpoint,
  during: (pieces: number) => void | Promise<void>,
  count = PIECES,
) {
  const [sent, got] = [createHash('sha256'), createHash('sha256')];
  async function* requests() {
    for (let i = 0; i < count; i++) {
      const value = randomBytes(PIECE_BYTES);
      sent.update(value);
      yield { event: { case: 'data' as const, value } };
    }
  }
  let pieces = 0;
  for await (const { event } of client
    .client(PeerService, { name: 'far' })
    .connect(requests(), { lasting: true })) {
    if (event.case === 'data') got.update(event.value);
    pieces += 1;
    await during(pieces);
  }
  return { sent, got, pieces };
}

const hex = (hash: ReturnType<typeof createHash>): string => hash.digest('hex');

describe('a circuit that lasts', () => {
  it('brings 50 MiB each way through kills of the routers that both ends are attached to', {
    timeout: 120_000,
  }, async () => {
    const all = await routers(2, () => []);
    const both = all.map(({ address }) => address).join();
    const far = talking(both);
    const client = attach('near', { address: both });
    await Promise.all([client, far.endpoint].map((each) => each.ready({ deadlineMs: 10_000 })));
    await delay(500);
    let kills = 0;
    let killing = Promise.resolve();
    const { sent, got, pieces } = await exchange(client, (came) => {
      if (came % 200 !== 100) return;
      killing = killing.then(async () => {
        const victim = all[kills++ % 2]!;
        await victim.kill();
        await victim.start();
        await delay(200);
      });
    });
    await killing;
    expect(kills).toBe(4);
    expect(pieces).toBe(PIECES);
    await until('the other end has ended', far.hasEnded);
    expect([hex(got), hex(far.heard)]).toEqual([hex(far.said), hex(sent)]);
  });

  it('leaves a router that stops in order, before it has to', { timeout: 120_000 }, async () => {
    const drainMs = 60_000;
    const all = await routers(2, () => [], drainMs);
    const both = all.map(({ address }) => address).join();
    const far = talking(both, FEWER_PIECES);
    const client = attach('', { address: both });
    await Promise.all([client, far.endpoint].map((each) => each.ready({ deadlineMs: 10_000 })));
    await delay(500);
    const stoppedMs: number[] = [];
    let stopping = Promise.resolve();
    const { sent, got, pieces } = await exchange(
      client,
      (came) => {
        // Both are stopped before the end comes.
        if (came === 350) return stopping;
        if (came !== 100 && came !== 250) return;
        stopping = stopping.then(async () => {
          const router = all[stoppedMs.length]!;
          const begun = performance.now();
          await router.kill('SIGTERM');
          stoppedMs.push(performance.now() - begun);
          await router.start();
          await delay(500);
        });
      },
      FEWER_PIECES,
    );
    await stopping;
    expect(pieces).toBe(FEWER_PIECES);
    await until('the other end has ended', far.hasEnded);
    expect([hex(got), hex(far.heard)]).toEqual([hex(far.said), hex(sent)]);
    // The client was attached to one of them.
    expect(Math.max(...stoppedMs)).toBeLessThan(drainMs / 2);
    const { opened, served } = { ...client.resumptions, served: far.endpoint.resumptions.served };
    expect([opened.failed, served.failed]).toEqual([0, 0]);
    expect(opened.resumed).toBeGreaterThan(0);
    expect(served.resumed).toBeGreaterThan(0);
  });

  it('goes around a router in the middle that dies', { timeout: 120_000 }, async () => {
    // left - one - right, left - two - right
    const [left, one, two, right] = (await routers(4, (i, [l, a, b]) => {
      if (i === 1 || i === 2) return [l!];
      return i === 3 ? [a!, b!] : [];
    })) as [RouterProcess, RouterProcess, RouterProcess, RouterProcess];
    const far = talking(right.address, FEWER_PIECES);
    const client = attach('', left);
    await Promise.all([client, far.endpoint].map((each) => each.ready({ deadlineMs: 10_000 })));
    await knows(left, 'r1', 'r2', 'r3');
    await until('it is known', async () => (await client.listEndpoints()).some(({ name }) => name === 'far'));
    let killing = Promise.resolve();
    const { sent, got, pieces } = await exchange(
      client,
      (came) => {
        // Whichever of them is in use.
        if (came === 100) killing = one.kill();
        if (came === 200) killing = killing.then(async () => void (await one.start()));
        if (came === 300) killing = killing.then(() => delay(1_000)).then(() => two.kill());
      },
      FEWER_PIECES,
    );
    await killing;
    expect(pieces).toBe(FEWER_PIECES);
    await until('the other end has ended', far.hasEnded);
    expect([hex(got), hex(far.heard)]).toEqual([hex(far.said), hex(sent)]);
  });

  it('ends with an error at both ends, and at once, where one of them ends', {
    timeout: 60_000,
  }, async () => {
    const [only] = (await routers(1, () => [])) as [RouterProcess];
    const aborted: unknown[] = [];
    const first = attach('far', only).serve(PeerService, {
      async *connect(_requests, ctx) {
        ctx.signal.addEventListener('abort', () => aborted.push(ctx.signal.reason));
        yield { event: { case: 'connected' as const, value: {} } };
        await delay(60_000, ctx.signal);
      },
    });
    const client = attach('near', only);
    await Promise.all([client, first].map((each) => each.ready({ deadlineMs: 10_000 })));
    const requests = Readable.from([]);
    const answers = client.client(PeerService, { name: 'far' }).connect(requests, { lasting: true });
    const iterator = answers[Symbol.asyncIterator]();
    await iterator.next();
    const ended = failure(iterator.next());
    const begun = performance.now();
    first.close();
    expect((await ended).code).toBe(Code.Unavailable);
    expect(performance.now() - begun).toBeLessThan(5_000);
    await until('the other end is told', () => aborted.length === 1, 20_000);
    expect(aborted[0]).toBeInstanceOf(RpcError);
  });
});
