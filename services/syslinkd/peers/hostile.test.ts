import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { TestAuthority } from '@odonata/authority/testing.ts';
import {
  type Frame,
  NamedEndpointSchema,
  type PeerResponse,
  RouterService,
} from '@odonata/proto/syslink/v1/syslink';
import { createClient, openChannel, openStream } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, type RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Syslinkd, serveSyslinkd } from '../serve.ts';
import { asks, attach, clean, cleanup, router, serving, until } from '../testdata/routers.ts';
import { makeStatement } from './statement.ts';

afterEach(clean);

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

  const routesOf = async (at: Syslinkd, folder: TlsFolder): Promise<string[]> => {
    const client = createClient(RouterService, at.address, { folder });
    try {
      return (await client.listRoutes({})).routes.map(({ name }) => name);
    } finally {
      client.close();
    }
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
    const { sealed } = makeStatement(
      { router: 7, name, epoch: 1, sequence: 1, endpoints: [], named: [] },
      folders[by]!,
    );
    const ended = await peer(a, folders['syslinkd/c']!, hello('c'), routes(7, [...path], sealed));
    expect(ended.details).toMatch(reason);
  });

  it('ends the line of a router that gives names to what is attached to another one', async () => {
    const [a] = await pair();
    const mine = create(NamedEndpointSchema, { name: 'alice:web', sysid: (8n << 32n) + 1n });
    const said = { router: 7, name: 'c', epoch: 1, sequence: 1, endpoints: [], named: [mine] };
    const { sealed } = makeStatement(said, folders['syslinkd/c']!);
    const ended = await peer(a, folders['syslinkd/c']!, hello('c'), routes(7, [7], sealed));
    expect(ended.details).toMatch(/"alice:web" has an identity of another router/);
  });

  it('ends the line of a router that changes what another one signed', async () => {
    const [a] = await pair();
    const { sealed } = makeStatement(
      { router: 8, name: 'b', epoch: 1, sequence: 1, endpoints: [], named: [] },
      folders['syslinkd/b']!,
    );
    const forged = {
      ...sealed,
      statement: makeStatement(
        { router: 8, name: 'b', epoch: 2, sequence: 1, endpoints: [], named: [] },
        undefined,
      ).sealed.statement,
    };
    const ended = await peer(a, folders['syslinkd/c']!, hello('c'), routes(8, [7, 8], forged));
    expect(ended.details).toMatch(/the signature is wrong/);
  });

  it('ends the line that it opened to a router that is revoked, and opens none again', async () => {
    const d = await authority.folder('syslinkd/d');
    const e = await authority.folder('syslinkd/e');
    const there = await router('', [], { folder: d });
    const here = await router('', [there], { folder: e });
    await until('the line is up', async () => (await routesOf(here, e)).includes('d'));
    writeFileSync(join(e.dir, 'revoked'), d.identity.certificate.serialNumber);
    await until('it is over', async () => (await routesOf(here, e)).length === 0, 5_000);
    await delay(1_000);
    expect(await routesOf(here, e)).toEqual([]);
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
