// Names that endpoints register: on real sockets, at one router and over several, with identities.
import { TestAuthority } from '@odonata/authority/testing.ts';
import { EndpointKind, type NamedEndpoint, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { createClient } from '@odonata/rpc/client.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import type { NameOptions } from '@odonata/rpc/syslink/own-names.ts';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { asks, attach, clean, cleanup, failure, router, until } from './testdata/routers.ts';

afterEach(clean);

const authority = new TestAuthority('names');
const folders: Record<string, TlsFolder> = {};
beforeAll(async () => {
  for (const who of [
    'syslinkd/a',
    'syslinkd/b',
    'vkerneld/far',
    'user/alice',
    'user/bob',
    'user/carol?groups=chess',
    'admin/root',
  ])
    folders[who] = await authority.folder(who);
});
afterAll(() => authority.remove());

type At = { address: string };

async function namesAt(at: At, who: string, name = ''): Promise<NamedEndpoint[]> {
  const client = createClient(RouterService, at.address, { folder: folders[who] });
  try {
    return (await client.listNames({ name })).names;
  } finally {
    client.close();
  }
}

/** Somebody who answers to a name, and counts who asked. */
async function holder(at: At, who: string, name: string, options: NameOptions = {}) {
  const endpoint = attach('', at, folders[who]);
  const counted = { asked: 0, refused: '' };
  endpoint.serve(VkernelService, {
    listVkernels: () => {
      counted.asked += 1;
      return {};
    },
  });
  await endpoint.ready({ deadlineMs: 5_000 });
  const refused = (error: Error) => {
    counted.refused = error.message;
  };
  return { endpoint, counted, own: endpoint.register(name, { ...options, refused }) };
}

async function client(at: At, who: string) {
  const endpoint = attach('', at, folders[who]);
  await endpoint.ready({ deadlineMs: 5_000 });
  return endpoint;
}

const pair = async () => {
  const a = await router('', [], { folder: folders['syslinkd/a']! });
  const b = await router('', [a], { folder: folders['syslinkd/b']! });
  return [a, b] as const;
};

const count = (at: At, who: string, name: string, many: number) =>
  until(`${many} have ${name}`, async () => (await namesAt(at, who, name)).length === many);

it('is found from another router, goes to whoever has least to do, and past who is not well', async () => {
  const [a, b] = await pair();
  const [one, two] = [await holder(a, 'user/alice', 'alice:web'), await holder(b, 'user/alice', 'alice:web')];
  const alice = await client(b, 'user/alice');
  await count(b, 'user/alice', 'alice:web', 2);
  one.own.load(1);
  two.own.load(5);
  const loads = async () =>
    (await namesAt(b, 'user/alice')).map(({ load, router }) => `${router} ${load}`).join();
  await until('loads', async () => (await loads()) === 'a 1,b 5');
  for (let i = 0; i < 5; i++) await asks(alice, 'alice:web');
  expect([one.counted.asked, two.counted.asked]).toEqual([5, 0]);
  one.own.well(false);
  await until('it is not well', async () => (await namesAt(b, 'user/alice')).some(({ unwell }) => unwell));
  await asks(alice, 'alice:web');
  expect([one.counted.asked, two.counted.asked]).toEqual([5, 1]);
  two.own.well(false);
  await until('none is well', async () => (await namesAt(b, 'user/alice')).every(({ unwell }) => unwell));
  expect((await failure(asks(alice, 'alice:web'))).code).toBe(Code.Unavailable);
});

it('spreads what comes at once over all who have the same to do', async () => {
  const [a] = await pair();
  const all = await Promise.all([1, 2, 3, 4].map(() => holder(a, 'user/alice', 'alice:web')));
  await count(a, 'user/alice', 'alice:web', 4);
  const alice = await client(a, 'user/alice');
  await Promise.all(Array.from({ length: 40 }, () => asks(alice, 'alice:web')));
  expect(all.map(({ counted }) => counted.asked).every((asked) => asked >= 5)).toBe(true);
});

it('is seen and used by its owner, by groups that were named, by everybody if so said, and by who runs the cluster', async () => {
  const [a, b] = await pair();
  await holder(a, 'user/alice', 'alice:own');
  await holder(a, 'user/alice', 'alice:club', { groups: ['chess'] });
  await holder(a, 'user/alice', 'alice:open', { everyone: true });
  await until('all three', async () => (await namesAt(b, 'admin/root')).length === 3);
  const seen = async (who: string) => (await namesAt(b, who)).map(({ name }) => name).sort();
  expect(await seen('user/alice')).toEqual(['alice:club', 'alice:open', 'alice:own']);
  expect(await seen('user/bob')).toEqual(['alice:open']);
  expect(await seen('user/carol?groups=chess')).toEqual(['alice:club', 'alice:open']);
  for (const [who, mine, not] of [
    ['user/bob', ['alice:open'], ['alice:own', 'alice:club']],
    ['user/carol?groups=chess', ['alice:open', 'alice:club'], ['alice:own']],
  ] as const) {
    const endpoint = await client(b, who);
    for (const name of mine) await asks(endpoint, name);
    for (const name of not)
      expect((await failure(asks(endpoint, name))).message).toMatch(/nobody has the name/);
  }
});

it('is registered by its owner alone', async () => {
  const [a] = await pair();
  const refusals = [
    ['user/bob', 'alice:web', 'user bob may not register "alice:web"; use "bob:..."'],
    ['user/bob', 'bob:', '"bob:" is no name; use PERSON:NAME, or :NAME of the cluster'],
    ['user/bob', 'bob:a b', 'is no name'],
    ['user/bob', ':clock', 'user bob may not register ":clock"; use "bob:..."'],
  ] as const;
  for (const [who, name, line] of refusals) {
    const { counted } = await holder(a, who, name);
    await until('it is refused', () => counted.refused !== '');
    expect(counted.refused).toContain(line);
  }
  await holder(a, 'admin/root', ':clock', { everyone: true });
  await count(a, 'user/bob', ':clock', 1);
  const supervisor = attach('far/vkerneld', a, folders['vkerneld/far']);
  await supervisor.ready({ deadlineMs: 5_000 });
  supervisor.register('alice:job');
  await count(a, 'user/alice', 'alice:job', 1);
});

it('ends with its stream, when it is withdrawn, and where it is not said again within its lease', async () => {
  const [a, b] = await pair();
  const first = await holder(a, 'user/alice', 'alice:web');
  const second = await holder(a, 'user/alice', 'alice:web');
  await count(b, 'user/alice', 'alice:web', 2);
  first.endpoint.close();
  await count(b, 'user/alice', 'alice:web', 1);
  second.own.withdraw();
  await count(b, 'user/alice', 'alice:web', 0);
  const { openChannel, openStream } = await import('@odonata/rpc/client.ts');
  const channel = openChannel(a.address, { folder: folders['user/alice'] });
  const stream = openStream(RouterService.method.attach, channel);
  cleanup.push(() => {
    stream.cancel();
    channel.close();
  });
  const { wireSpoken } = await import('@odonata/rpc/wire-version.ts');
  stream.on('error', () => {}).on('data', () => {});
  const claim = { name: 'alice:short', leaseMs: 1_000 };
  stream.write({
    frames: [
      frame({ case: 'register', value: { kind: EndpointKind.CLIENT, wire: wireSpoken() } }),
      frame({ case: 'nameRegister', value: claim }),
    ],
  });
  await count(a, 'user/alice', 'alice:short', 1);
  await count(a, 'user/alice', 'alice:short', 0);
});

it('is watched: who has it at once, and each change', async () => {
  const [a, b] = await pair();
  const watching = createClient(RouterService, b.address, { folder: folders['user/alice'] });
  cleanup.push(() => watching.close());
  const abort = new AbortController();
  cleanup.push(() => abort.abort());
  const seen: number[] = [];
  const all = (async () => {
    for await (const { endpoints } of watching.watchName({ name: 'alice:web' }, { signal: abort.signal }))
      seen.push(endpoints.length);
  })().catch(() => {});
  await until('nobody', () => seen.join() === '0');
  const { own } = await holder(a, 'user/alice', 'alice:web');
  await until('one', () => seen.join() === '0,1');
  own.withdraw();
  await until('none', () => seen.join() === '0,1,0');
  abort.abort();
  await all;
});
