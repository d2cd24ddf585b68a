// Routers that know each other, on real sockets: in a line, in a ring, as processes of which one is killed, and with one at
// the other end that lies.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import {
  EndpointKind,
  type Frame,
  type KnownRoute,
  type PeerResponse,
  RouterService,
} from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { createClient, openChannel, openStream } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Syslinkd, type SyslinkdOptions, serveSyslinkd } from '../serve.ts';
import { makeStatement } from './statement.ts';

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function router(
  name: string,
  peers: readonly { address: string }[],
  more: Partial<SyslinkdOptions> = {},
) {
  const list = peers.map(({ address }) => address).join();
  const started = await serveSyslinkd({
    listen: '127.0.0.1:0',
    log: silentLog(),
    name,
    peers: list,
    ...more,
  });
  cleanup.push(() => started.stop());
  return started;
}

function attach(name: string, at: { address: string }, folder?: TlsFolder): SyslinkEndpoint {
  const kind = name === '' ? EndpointKind.CLIENT : EndpointKind.VKERNEL;
  const node = name.split('/')[0];
  const endpoint = attachSyslink({ address: at.address, name, kind, node, log: silentLog(), folder });
  cleanup.push(() => endpoint.close());
  return endpoint;
}

/** Answers, and counts for who follows; `asked` says who asked, as it knows them. */
function serving(name: string, at: { address: string }, folder?: TlsFolder) {
  const asked: string[] = [];
  const endpoint = attach(name, at, folder).serve(VkernelService, {
    listVkernels: (_request, ctx) => {
      asked.push(`${Role[ctx.caller.role]} ${ctx.caller.name}`);
      return {};
    },
    async *getLogs(_request, ctx) {
      for (let i = 0n; !ctx.signal.aborted; i++) {
        yield { droppedBytes: i };
        await delay(5, ctx.signal);
      }
    },
  });
  return { endpoint, asked };
}

async function until(what: string, holds: () => unknown, timeoutMs = 30_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(10);
  }
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

async function routesOf({ address }: { address: string }): Promise<KnownRoute[]> {
  const client = createClient(RouterService, address);
  try {
    return (await client.listRoutes({})).routes;
  } finally {
    client.close();
  }
}

const shown = (routes: readonly KnownRoute[]): string[] =>
  routes.map(({ path, used }) => `${path.join('-')}${used ? '' : ' (spare)'}`);

const knows = (at: { address: string }, ...names: string[]) =>
  until(`routes to ${names}`, async () => {
    const known = new Set((await routesOf(at)).map(({ name }) => name));
    return names.every((name) => known.has(name));
  });

const asks = (client: SyslinkEndpoint, name: string) =>
  client.client(VkernelService, { name }).listVkernels({});

describe('a line of four routers', () => {
  let line: Syslinkd[];
  const start = async () => {
    line = [];
    for (const name of ['a', 'b', 'c', 'd']) line.push(await router(name, line.slice(-1)));
  };

  it('carries calls, errors and circuits from one end to the other, and back', async () => {
    await start();
    const [a, , , d] = line as [Syslinkd, Syslinkd, Syslinkd, Syslinkd];
    const { endpoint } = serving('far/vkerneld', d);
    await endpoint.ready({ deadlineMs: 5_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    expect(shown(await routesOf(a))).toEqual(['b', 'b-c', 'b-c-d']);

    await asks(client, 'far/vkerneld');
    const [far] = (await client.listEndpoints()).filter(({ name }) => name === 'far/vkerneld');
    expect(far).toMatchObject({ node: 'far', connected: true, kind: EndpointKind.VKERNEL });
    await client.client(VkernelService, { sysid: far!.sysid }).listVkernels({});
    const unserved = await failure(client.client(VkernelService, { name: 'far/vkerneld' }).kill({ pid: 1n }));
    expect(unserved.code).toBe(Code.Unimplemented);
    const nobody = await failure(asks(client, 'nobody'));
    expect(nobody.message).toMatch(/no endpoint "nobody"; registered: far\/vkerneld/);
    const stale = await failure(
      client.client(VkernelService, { name: 'far/vkerneld', session: far!.session + 1n }).listVkernels({}),
    );
    expect(stale.code).toBe(Code.Aborted);

    let seen = 0n;
    for await (const { droppedBytes } of client
      .client(VkernelService, { name: 'far/vkerneld' })
      .getLogs({})) {
      expect(droppedBytes).toBe(seen);
      seen += 1n;
      if (seen === 50n) break;
    }
    // Both ways at once, many in flight: every one is answered.
    const near = serving('near/vkerneld', a).endpoint;
    await near.ready({ deadlineMs: 5_000 });
    const other = attach('', d);
    await other.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await other.listEndpoints()).some(({ name }) => name === 'near/vkerneld'),
    );
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        i % 2 ? asks(client, 'far/vkerneld') : asks(other, 'near/vkerneld'),
      ),
    );
  });

  it('ends what went through a router that stops with an error, and takes its names away', async () => {
    await start();
    const [a, , c, d] = line as [Syslinkd, Syslinkd, Syslinkd, Syslinkd];
    await serving('far/vkerneld', d).endpoint.ready({ deadlineMs: 5_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    const following = (async () => {
      for await (const _ of client.client(VkernelService, { name: 'far/vkerneld' }).getLogs({}));
    })();
    const ended = failure(following);
    await delay(100);
    await c.stop({ atOnce: true });
    expect((await ended).code).toBe(Code.Unavailable);
    await until('it is forgotten', async () => (await routesOf(a)).length === 1);
    expect((await failure(asks(client, 'far/vkerneld'))).code).toBe(Code.NotFound);
  });
});

describe('a ring of processes', () => {
  const main = fileURLToPath(new URL('../main.ts', import.meta.url));

  async function start(name: string, listen: string, peers: readonly { address: string }[]) {
    const args = [
      main,
      '--listen',
      listen,
      '--name',
      name,
      '--peers',
      peers.map(({ address }) => address).join(),
    ];
    const child = spawn(process.execPath, [...args, '--settle-ms', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'exit');
    cleanup.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const address = await addressOf(child);
    return { address, child, ended };
  }

  async function addressOf(child: ChildProcess): Promise<string> {
    let log = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const found = () => /"address":"([^"]+)","msg":"syslinkd listens"/.exec(log)?.[1];
    await until('it listens', found);
    return found()!;
  }

  it('goes the other way round when one is killed, and comes back to the short way', async () => {
    const a = await start('a', '127.0.0.1:0', []);
    const b = await start('b', '127.0.0.1:0', [a]);
    const c = await start('c', '127.0.0.1:0', [b]);
    const d = await start('d', '127.0.0.1:0', [c]);
    const e = await start('e', '127.0.0.1:0', [d, a]);
    await serving('far/vkerneld', c).endpoint.ready({ deadlineMs: 10_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 10_000 });
    await until('both ways', async () => shown(await routesOf(a)).includes('e-d-c (spare)'));
    expect(shown(await routesOf(a))).toContain('b-c');
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    await asks(client, 'far/vkerneld');

    b.child.kill('SIGKILL');
    await b.ended;
    // The first call may still have been on its way to the dead one; from then on the other way is taken.
    await until(
      'the other way',
      () =>
        asks(client, 'far/vkerneld').then(
          () => true,
          () => false,
        ),
      10_000,
    );
    await until('no way through the dead', async () => {
      const routes = shown(await routesOf(a));
      return routes.includes('e-d-c') && !routes.some((route) => route.includes('b'));
    });
    for (let i = 0; i < 20; i++) await asks(client, 'far/vkerneld');

    await start('b', b.address, [a]);
    await knows(a, 'b');
    await until('the short way', async () => shown(await routesOf(a)).includes('b-c'), 20_000);
    await asks(client, 'far/vkerneld');
    expect(e.child.exitCode).toBe(null);
  });
});

describe('with identities', () => {
  const authority = new TestAuthority('peers');
  const stranger = new TestAuthority('peers');
  const folders: Record<string, TlsFolder> = {};
  beforeAll(async () => {
    for (const who of ['syslinkd/a', 'syslinkd/b', 'syslinkd/c', 'vkerneld/far', 'pmapd/far', 'user/alice'])
      folders[who] = await authority.folder(who);
    folders.stranger = await stranger.folder('syslinkd/c');
  });
  afterAll(() => {
    authority.remove();
    stranger.remove();
  });

  const pair = async () => {
    const a = await router('', [], { folder: folders['syslinkd/a']! });
    const b = await router('', [a], { folder: folders['syslinkd/b']! });
    return [a, b] as const;
  };

  /** Opens a line as a router, says hello, and what else there is to say. */
  async function peer(at: Syslinkd, folder: TlsFolder, ...frames: Frame[]): Promise<RpcError> {
    const channel = openChannel(at.address, { folder });
    const stream = openStream(RouterService.method.peer, channel);
    cleanup.push(() => {
      stream.cancel();
      channel.close();
    });
    const over = new Promise<RpcError>((resolve) => {
      stream.on('error', (error) => resolve(fromServiceError(error)));
      stream.on('data', (_: PeerResponse) => {});
    });
    stream.write({ frames });
    return await over;
  }

  const hello = (name: string, router = 7) =>
    frame({ case: 'peerHello', value: { name, router, wire: wireSpoken() } });

  const routes = (router: number, path: number[], sealed: object) =>
    frame({
      case: 'routeUpdate',
      value: {
        update: {
          case: 'routes',
          value: {
            serial: 1n,
            all: true,
            targets: [{ router, statement: sealed, routes: [{ path, tie: 1 }] }],
          },
        },
      },
    });

  it('whoever asks over two routers is who they are to their own one', async () => {
    const [a, b] = await pair();
    const { endpoint, asked } = serving('far/vkerneld', a, folders['vkerneld/far']!);
    await endpoint.ready({ deadlineMs: 5_000 });
    const alice = attach('', b, folders['user/alice']!);
    await alice.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await alice.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    await asks(alice, 'far/vkerneld');
    expect(asked).toEqual(['USER alice']);
  });

  it('nobody but a router opens such a line, and none in the name of another', async () => {
    const [a] = await pair();
    expect((await peer(a, folders['pmapd/far']!, hello('far'))).code).toBe(Code.PermissionDenied);
    expect((await peer(a, folders['syslinkd/c']!, hello('b'))).details).toMatch(
      /may not speak for router "b"/,
    );
    expect((await peer(a, folders['syslinkd/c']!, frame({ case: 'goAway', value: {} }))).details).toMatch(
      /must say which router it is/,
    );
  });

  it.each([
    ['a statement of another router', 'b', 'syslinkd/c', [7], /may not speak for router "b"/],
    ['one that a node signed', 'far', 'pmapd/far', [7], /may not speak for router "far"/],
    ['one of another authority', 'c', 'stranger', [7], /not of the authority/],
    ['a way that does not lead there', 'c', 'syslinkd/c', [7, 8], /does not lead from the neighbour/],
    ['a way in a circle', 'c', 'syslinkd/c', [7, 8, 8, 7], /turns in a circle/],
  ] as const)('ends the line of a router that tells %s', async (_, name, by, path, reason) => {
    const [a] = await pair();
    const { sealed } = makeStatement({ router: 7, name, epoch: 1, sequence: 1, endpoints: [] }, folders[by]!);
    const ended = await peer(a, folders['syslinkd/c']!, hello('c'), routes(7, [...path], sealed));
    expect(ended.details).toMatch(reason);
  });

  it('ends the line of a router that changes what another one signed', async () => {
    const [a] = await pair();
    const { sealed } = makeStatement(
      { router: 8, name: 'b', epoch: 1, sequence: 1, endpoints: [] },
      folders['syslinkd/b']!,
    );
    const forged = {
      ...sealed,
      statement: makeStatement({ router: 8, name: 'b', epoch: 2, sequence: 1, endpoints: [] }, undefined)
        .sealed.statement,
    };
    const ended = await peer(a, folders['syslinkd/c']!, hello('c'), routes(8, [7, 8], forged));
    expect(ended.details).toMatch(/the signature is wrong/);
  });

  it('does not open a line to what is no router', async () => {
    const node = await serveSyslinkd({
      listen: '127.0.0.1:0',
      log: silentLog(),
      folder: folders['pmapd/far']!,
      name: 'x',
    });
    cleanup.push(() => node.stop());
    const a = await router('', [node], { folder: folders['syslinkd/a']! });
    const b = await router('', [a], { folder: folders['syslinkd/b']! });
    const client = createClient(RouterService, a.address, { folder: folders['syslinkd/c']! });
    cleanup.push(() => client.close());
    await until('b is known', async () =>
      (await client.listRoutes({})).routes.some(({ name }) => name === 'b'),
    );
    expect((await client.listRoutes({})).routes.map(({ name }) => name)).toEqual(['b']);
    expect(b.address).not.toBe('');
  });
});

describe('vkctl route ls', () => {
  const launcher = fileURLToPath(new URL('../../vkctl/bin/vkctl.js', import.meta.url));

  async function vkctl(
    at: { address: string },
    ...args: string[]
  ): Promise<{ code: number | null; out: string }> {
    const { ODONATA_CLUSTER: _, ODONATA_CONTEXT: __, COLUMNS: ___, ...rest } = process.env;
    const env = { ...rest, NO_COLOR: '1', ODONATA_SYSLINK: at.address };
    const child = spawn(process.execPath, [launcher, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [[code], out] = await Promise.all([
      once(child, 'exit') as Promise<[number | null]>,
      text(child.stdout),
    ]);
    return { code, out };
  }

  it('shows the ways that messages take, and the spare ones', async () => {
    const a = await router('a', []);
    const b = await router('b', [a]);
    const c = await router('c', [a, b]);
    await until('all ways', async () => shown(await routesOf(a)).length === 4);
    const [used, all, names] = await Promise.all([
      vkctl(a, 'route', 'ls'),
      vkctl(a, 'route', 'ls', '--all'),
      vkctl({ address: `${b.address},${c.address}` }, 'route', 'ls', '-q'),
    ]);
    expect(used).toEqual({
      code: 0,
      out: [
        'FROM  TO  HOPS  WAY  USE   ENDPOINTS\n',
        'a     b      1  b    used          0\n',
        'a     c      1  c    used          0\n',
      ].join(''),
    });
    expect(all.out).toMatch(/^a +b +2 +c b +spare +0$/m);
    expect(names.out.split('\n').sort()).toEqual(['', 'a', 'b', 'c']);
  });
});
