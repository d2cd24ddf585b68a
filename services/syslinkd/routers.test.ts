import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { EndpointKind, type Frame, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { openStream } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachToAll } from '@odonata/rpc/syslink/attach-all.ts';
import { attachToOne } from '@odonata/rpc/syslink/attach-one.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { Line } from '@odonata/rpc/syslink/line.ts';
import { ServedServices } from '@odonata/rpc/syslink/served.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterEach, describe, expect, it } from 'vitest';
import type { Syslinkd, SyslinkdOptions } from './serve.ts';
import { serveSyslinkd } from './serve.ts';

/** Several routers on real sockets, that know nothing of each other. */
const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  enough = false;
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function router(options: Partial<SyslinkdOptions> = {}): Promise<Syslinkd> {
  const started = await serveSyslinkd({ listen: '127.0.0.1:0', log: silentLog(), ...options });
  cleanup.push(() => started.stop());
  return started;
}

function attach(name: string, routers: readonly (Syslinkd | string)[]): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const address = routers.map((one) => (typeof one === 'string' ? one : one.address)).join();
  const endpoint = attachSyslink({ address, name, kind, log: silentLog() });
  cleanup.push(() => endpoint.close());
  return endpoint;
}

/** Circuits of `follow` end well once this is set. */
let enough = false;

/** Counts for `getLogs`, until the caller leaves, or it is enough. */
function counting(name: string, routers: readonly (Syslinkd | string)[]): SyslinkEndpoint {
  return attach(name, routers).serve(VkernelService, {
    listVkernels: () => ({}),
    async *getLogs(_request, ctx) {
      for (let i = 0n; !enough && !ctx.signal.aborted; i++) {
        yield { droppedBytes: i };
        await delay(5, ctx.signal);
      }
    },
  });
}

async function until(what: string, holds: () => unknown, timeoutMs = 40_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(10);
  }
}

/** What this router has: named endpoints that are connected. */
async function namesAt(at: Syslinkd | string): Promise<string[]> {
  const client = attach('', [at]);
  try {
    await client.ready({ deadlineMs: 5_000 });
    return (await client.listEndpoints()).filter((e) => e.connected && e.name !== '').map((e) => e.name);
  } finally {
    client.close();
  }
}

/** A circuit that stays open: what it brought, without a gap, and how it ended. */
function follow(client: SyslinkEndpoint) {
  const following = { seen: 0n, gaps: 0, ended: undefined as undefined | 'end' | RpcError };
  const all = (async () => {
    for await (const { droppedBytes } of client.client(VkernelService, { name: 'a' }).getLogs({})) {
      if (droppedBytes > 0n && droppedBytes !== following.seen + 1n) following.gaps += 1;
      following.seen = droppedBytes;
    }
  })();
  all.then(
    () => {
      following.ended = 'end';
    },
    (error: RpcError) => {
      following.ended = error;
    },
  );
  return following;
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

describe('several routers', () => {
  it('a service is at all of them, with an identity of its own at each', async () => {
    const routers = [await router(), await router()];
    counting('a', routers);
    const sysids: bigint[] = [];
    for (const one of routers) {
      await until('it is attached', async () => (await namesAt(one)).join() === 'a');
      const client = attach('', [one]);
      await client.ready({ deadlineMs: 5_000 });
      await client.client(VkernelService, { name: 'a' }).listVkernels({});
      const [, endpoint] = await client.listEndpoints();
      sysids.push(endpoint!.sysid);
    }
    const [first, second] = sysids as [bigint, bigint];
    expect(first >> 32n).not.toBe(second >> 32n);
    const client = attach('', [routers[0]!]);
    await client.ready({ deadlineMs: 5_000 });
    const elsewhere = client.client(VkernelService, { sysid: second });
    expect((await failure(elsewhere.listVkernels({}))).code).toBe(Code.NotFound);
  });

  it('the death of one fails what ran through it, and nothing else; its clients go to another', async () => {
    const [doomed, other] = [await router(), await router()];
    const service = counting('a', [doomed, other]);
    await until(
      'it is attached',
      async () => (await namesAt(doomed)).length + (await namesAt(other)).length === 2,
    );
    const there = attach('', [doomed]);
    const here = attach('', [other]);
    const both = Array.from({ length: 8 }, () => attach('', [doomed, other]));
    await Promise.all([there, here, ...both].map((client) => client.ready({ deadlineMs: 5_000 })));
    const broken = follow(there);
    const kept = follow(here);
    await until('both run', () => broken.seen > 0n && kept.seen > 0n);
    await doomed.stop();
    await until('it broke', () => broken.ended !== undefined);
    expect(broken.ended).toMatchObject({ code: Code.Unavailable });
    expect(`${broken.ended}`).toMatch(/line to the syslink router broke|the router stops/);
    expect(service.connected).toBe(true);
    // Eight clients chose at random: some were at the dead router. All are served by the other one.
    await Promise.all(
      both.map(async (client) => {
        await until('it moved', () => client.connected);
        await client.client(VkernelService, { name: 'a' }).listVkernels({});
      }),
    );
    const seen = kept.seen;
    await until('the other circuit goes on', () => kept.seen > seen + 5n);
    expect(kept.ended).toBeUndefined();
  });

  it('one that comes later or again is found', async () => {
    const first = await router();
    const [a, b] = [await router(), await router()];
    const { address } = a;
    let found: readonly string[] = [first.address];
    const closing = new AbortController();
    cleanup.push(() => closing.abort());
    const log = silentLog();
    const services = new ServedServices({ log });
    const lines: Line[] = [];
    cleanup.push(() => lines.map((line) => line.end()));
    const register = { name: 'a', kind: EndpointKind.VKERNEL, session: 1n };
    attachToAll({
      ...{ log, closing: closing.signal, lookUpMs: 30 },
      routers: async () => found,
      open(address, registerMs) {
        const line = new Line({ address, register, registerMs, services, log });
        lines.push(line);
        return line;
      },
      adopt: () => {},
      allFailed: () => {},
      failed: () => undefined,
    });
    await until('the first has it', async () => (await namesAt(first)).length === 1);
    found = [address, b.address];
    await until('all have it', async () => (await namesAt(a)).length + (await namesAt(b)).length === 2);
    // No name stands for the first any more, but its line holds: it may drain.
    expect(await namesAt(first)).toEqual(['a']);
    await a.stop();
    await router({ listen: address });
    await until('it is back', async () => (await namesAt(address)).length === 1);
    expect(lines.filter(({ address }) => address === first.address)).toHaveLength(1);
  });

  it('clients spread again after all routers were started anew, one after another', async () => {
    const routers = [await router(), await router()];
    const addresses = routers.map(({ address }) => address);
    const closing = new AbortController();
    const log = silentLog();
    const services = new ServedServices({ log });
    const open: Line[] = [];
    cleanup.push(() => {
      closing.abort();
      for (const line of open) line.end();
    });
    /** Where each client is. */
    const at = new Map<number, Line>();
    for (let i = 0; i < 16; i++)
      attachToOne({
        ...{ log, closing: closing.signal, lookUpMs: 0, spreadMs: 300 },
        routers: async () => addresses,
        open(address, registerMs) {
          const register = { name: '', kind: EndpointKind.CLIENT, session: 1n };
          const line = new Line({ address, register, registerMs, services, log });
          open.push(line);
          return line;
        },
        adopt: (line) => at.set(i, line),
        allFailed: () => {},
        failed: () => undefined,
      });
    const counts = () => {
      const here = [...at.values()].filter(({ ended }) => !ended);
      return addresses.map((address) => here.filter((line) => line.address === address).length);
    };
    const areAll = () => counts()[0]! + counts()[1]! === 16;
    await until('all are attached', areAll);
    for (const i of [0, 1]) {
      await routers[i]!.stop();
      await until('all are at the other one', () => counts()[1 - i] === 16);
      routers[i] = await router({ listen: addresses[i]! });
    }
    expect(counts()).toEqual([16, 0]);
    await until('they are at both', () => areAll() && counts().every((count) => count >= 2));
    // Whoever chose anew stays, and its line of before is over.
    await delay(1_000);
    const settled = counts();
    expect(open.filter(({ ended }) => !ended)).toHaveLength(16);
    await delay(500);
    expect(counts()).toEqual(settled);
  });

  it('one router under two addresses keeps one line', async () => {
    const one = await router({ listen: '0.0.0.0:0' });
    const port = one.address.split(':')[1];
    counting('a', [`127.0.0.1:${port}`, `127.0.0.2:${port}`]);
    await until('it is attached', async () => (await namesAt(`127.0.0.3:${port}`)).length === 1);
    const client = attach('', [`127.0.0.1:${port}`]);
    await client.ready({ deadlineMs: 5_000 });
    const following = follow(client);
    await until('it says much on one line', () => following.seen > 100n);
    enough = true;
    await until('it ends well', () => following.ended !== undefined);
    expect(following).toMatchObject({ gaps: 0, ended: 'end' });
  });

  it('one that hangs, or is not there, costs a client a moment', async () => {
    const hanging = createServer().listen(0, '127.0.0.1');
    cleanup.push(() => hanging.close());
    await once(hanging, 'listening');
    const { port } = hanging.address() as { port: number };
    const well = await router();
    const clients = Array.from({ length: 6 }, () => attach('', [`127.0.0.1:${port}`, '127.0.0.1:1', well]));
    await Promise.all(clients.map((client) => client.ready({ deadlineMs: 8_000 })));
    expect(await clients[0]!.listEndpoints()).toHaveLength(6);
    const lost = attach('', [`127.0.0.1:${port}`, '127.0.0.1:1']);
    expect((await failure(lost.ready({ deadlineMs: 2_000 }))).message).toMatch(
      /^UNAVAILABLE: no line to the syslink router at 127.0.0.1:\d+,127.0.0.1:1: /,
    );
  });

  it('a client takes one that started lately only where there is no other', async () => {
    const settled = await router();
    const fresh = await router({ settleMs: 60_000 });
    for (let i = 0; i < 8; i++) {
      const client = attach('', [fresh, settled]);
      await client.ready({ deadlineMs: 5_000 });
      client.close();
    }
    const at = async (one: Syslinkd) => {
      const client = attach('', [one]);
      await client.ready({ deadlineMs: 5_000 });
      const [first] = await client.listEndpoints();
      return Number(first!.sysid & 0xffff_ffffn);
    };
    // Each of the eight registered at the settled one: nobody stayed elsewhere.
    expect(await at(settled)).toBe(9);
    await settled.stop();
    const client = attach('', [fresh, settled]);
    await client.ready({ deadlineMs: 5_000 });
    expect(client.connected).toBe(true);
  });
});

describe('a router that stops', () => {
  /** What somebody new is answered. */
  async function newcomer({ address }: Syslinkd): Promise<RpcError> {
    const stream = openStream(RouterService.method.attach, address);
    const register = { name: '', kind: EndpointKind.CLIENT, session: 1n, wire: wireSpoken() };
    const frames: Frame[] = [frame({ case: 'register', value: register })];
    return await new Promise((resolve, reject) => {
      stream.on('error', (error) => resolve(fromServiceError(error)));
      stream.on('data', () => {
        stream.cancel();
        reject(new Error('it was registered'));
      });
      stream.write({ frames });
    });
  }

  it('lets circuits end, sends others elsewhere at once, and refuses what is new', async () => {
    const [stopping, other] = [await router({ drainMs: 30_000 }), await router()];
    counting('a', [stopping, other]);
    await until(
      'it is attached',
      async () => (await namesAt(stopping)).length + (await namesAt(other)).length === 2,
    );
    const busy = attach('', [stopping]);
    await busy.ready({ deadlineMs: 5_000 });
    const following = follow(busy);
    await until('it runs', () => following.seen > 0n);
    const idle = Array.from({ length: 6 }, () => attach('', [stopping, other]));
    await Promise.all(idle.map((client) => client.ready({ deadlineMs: 5_000 })));

    const stopped = stopping.stop();
    const refused = await newcomer(stopping);
    expect(refused.message).toBe('UNAVAILABLE: this router stops; another one takes what is new');
    expect(refused.detail('google.rpc.RetryInfo')?.retryDelay).toMatchObject({ seconds: 1n });
    // On the line that it has, a message is still routed, a circuit is not.
    const a = busy.client(VkernelService, { name: 'a' });
    await a.listVkernels({});
    const late = follow(busy);
    await until('it is refused', () => late.ended !== undefined);
    expect(`${late.ended}`).toContain('UNAVAILABLE: this router stops');
    const atOther = attach('', [other]);
    await atOther.ready({ deadlineMs: 5_000 });
    await until(
      'the idle ones are at the other router',
      async () => (await atOther.listEndpoints()).filter((e) => e.name === '').length === idle.length + 1,
    );
    for (const client of idle) {
      await client.client(VkernelService, { name: 'a' }).listVkernels({});
    }
    expect(following.ended).toBeUndefined();
    enough = true;
    await until('the circuit ends well', () => following.ended !== undefined);
    expect(following).toMatchObject({ gaps: 0, ended: 'end' });
    // Long before the drain time.
    await stopped;
  });

  it('a client with a circuit takes another router for what is new, and keeps this one for its circuit', async () => {
    const [stopping, other] = [await router({ drainMs: 30_000 }), await router({ settleMs: 60_000 })];
    counting('a', [stopping, other]);
    await until(
      'it is attached',
      async () => (await namesAt(stopping)).length + (await namesAt(other)).length === 2,
    );
    // The other one started lately, so all choose the first.
    const client = attach('', [stopping, other]);
    await client.ready({ deadlineMs: 5_000 });
    const before = client.sysid;
    const following = follow(client);
    await until('it runs', () => following.seen > 0n);
    const stopped = stopping.stop();
    await until('it moved', () => client.sysid !== before);
    const fresh = follow(client);
    await until('a new circuit runs', () => fresh.seen > 0n);
    expect(following.ended).toBeUndefined();
    enough = true;
    await until('both end well', () => following.ended !== undefined && fresh.ended !== undefined);
    for (const one of [following, fresh]) expect(one).toMatchObject({ gaps: 0, ended: 'end' });
    await stopped;
    await client.client(VkernelService, { name: 'a' }).listVkernels({});
  });

  it('ends what is open after its time', async () => {
    const only = await router({ drainMs: 200 });
    counting('a', [only]);
    await until('it is attached', async () => (await namesAt(only)).length === 1);
    const client = attach('', [only]);
    await client.ready({ deadlineMs: 5_000 });
    const following = follow(client);
    await until('it runs', () => following.seen > 0n);
    const startMs = performance.now();
    await only.stop();
    expect(performance.now() - startMs).toBeGreaterThan(190);
    await until('it broke', () => following.ended !== undefined);
    expect(`${following.ended}`).toContain('the router stops');
  });
});

describe('syslinkd as a process', () => {
  it('is ready once it settled, unready on SIGTERM, and ends with 0 when its circuits ended', async () => {
    const main = fileURLToPath(new URL('main.ts', import.meta.url));
    const args = '--listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --settle-ms 3000 --drain-ms 20000'.split(
      ' ',
    );
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    cleanup.push(() => child.kill('SIGKILL'));
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const addressOf = (msg: string) => new RegExp(`"address":"([^"]+)","msg":"${msg}"`).exec(log)?.[1];
    await until('it listens', () => addressOf('syslinkd listens') && addressOf('metrics'));
    const ready = async () => (await fetch(`http://${addressOf('metrics')}/readyz`)).status;
    expect(await ready()).toBe(503);
    await until('it is ready', async () => (await ready()) === 200);
    const address = addressOf('syslinkd listens')!;
    counting('a', [address]);
    await until('it is attached', async () => (await namesAt(address)).length === 1);
    const client = attach('', [address]);
    await client.ready({ deadlineMs: 5_000 });
    const following = follow(client);
    await until('it runs', () => following.seen > 0n);
    child.kill('SIGTERM');
    await until('it is unready', async () => (await ready()) === 503);
    expect(following.ended).toBeUndefined();
    enough = true;
    expect(await ended).toBe(0);
    await until('the circuit ended', () => following.ended !== undefined);
    expect(following).toMatchObject({ gaps: 0, ended: 'end' });
  }, 30_000);
});
