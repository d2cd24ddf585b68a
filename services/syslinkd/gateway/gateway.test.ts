import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectRequest, PeerService } from '@odonata/proto/vkernel/v1/peer';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clean, failure, until } from '../testdata/routers.ts';
import { serveGateway } from './serve.ts';
import { type Bytes, bytes, ShoutService, shout } from './testdata/shout-service.ts';
import { freePort, type Side, side } from './testdata/two-clusters.ts';

let east: Side;
let west: Side;
const asked: string[] = [];
const aborted: number[] = [];

const eastPolicy = (authority: string, more = '') => `
listen: 127.0.0.1:${port}
peers:
  - name: west
    authority: ${authority}
    exports:
      - :upper
      - name: alice:shout
        methods: [/shout.Shout/Say, /shout.Shout/Hang, /shout.Shout/Flow]
    users: { bob: alice, '*': visitor }
    ${more}
`;
const westPolicy = (authority: string, more = '') => `
peers:
  - name: east
    authority: ${authority}
    address: 127.0.0.1:${port}
    imports: [':upper', { name: 'alice:shout', groups: [friends] }]
    ${more}
`;
let port = 0;
const authorityOf = ({ authority }: Side): string => join(authority.dir, 'ca', 'ca.crt');

beforeAll(async () => {
  port = await freePort();
  const pinned: Record<string, string> = {};
  east = await side('east', (own) => {
    pinned.east = own;
    return eastPolicy(own);
  });
  west = await side('west', () => westPolicy(authorityOf(east)));
  east.policy(eastPolicy(authorityOf(west)));
  const server = await east.attach('vkerneld/node1', 'node1/vkerneld');
  server.serve(PeerService, {
    async *connect(requests: AsyncIterable<ConnectRequest>, ctx: CallContext) {
      for await (const { event } of requests) {
        if (event.case === 'start') {
          asked.push(`${ctx.caller.name} ${event.value.name} as ${event.value.asker?.user}`);
          yield { event: { case: 'connected', value: {} } };
        } else if (event.case === 'data')
          yield {
            event: { case: 'data', value: Buffer.from(Buffer.from(event.value).toString().toUpperCase()) },
          };
        else if (event.case === 'end') yield { event: { case: 'end', value: {} } };
      }
    },
  } as never);
  server.register(':upper', { everyone: true });
  const alice = await east.attach('user/alice');
  alice.serve(
    ShoutService as never,
    {
      say: ({ value }: Bytes, ctx: { caller: { name: string } }) => {
        asked.push(`${ctx.caller.name} says`);
        return bytes(Buffer.from(value).toString().toUpperCase());
      },
      async hang(_: Bytes, ctx: { signal: AbortSignal }) {
        await delay(20_000, ctx.signal);
        aborted.push((ctx.signal.reason as RpcError).code);
        return bytes('');
      },
      async *flow(requests: AsyncIterable<Bytes>) {
        for await (const each of requests) yield each;
      },
    } as never,
  );
  alice.register('alice:shout');
  await until('the line is up', async () => (await west.peers())[0]?.imported.length === 2);
}, 60_000);
afterAll(clean);

/** As a supervisor connects a program of bob. */
async function connect(name: string, user: string, said: string): Promise<string> {
  const client = (await west.attach('vkerneld/node1', 'node1/vkerneld')).client(PeerService, { name });
  const requests = (async function* () {
    const asker = { node: 1, user, vkernel: 'default', groups: [] };
    // What it says of the name is of no use to anybody.
    yield { event: { case: 'start' as const, value: { asker, name: 'alice:secret' } } };
    yield { event: { case: 'data' as const, value: Buffer.from(said) } };
    yield { event: { case: 'end' as const, value: {} } };
  })();
  let heard = '';
  for await (const { event } of client.connect(requests as never))
    if (event.case === 'data') heard += Buffer.from(event.value).toString();
  return heard;
}

it('a program connects to a name of the other cluster, and is there whom its user was mapped to', async () => {
  asked.length = 0;
  expect(await connect(':upper@east', 'bob', 'hello')).toBe('HELLO');
  expect(await connect(':upper@east', 'carol', 'again')).toBe('AGAIN');
  expect(asked).toEqual(['alice :upper as alice', 'visitor :upper as visitor']);
});

it('requests and circuits of people cross, with their deadline and their abort', async () => {
  const bob = await west.attach('user/bob?groups=friends');
  asked.length = 0;
  const answer: Bytes = await shout(bob, 'alice:shout@east').say(bytes('hello'));
  expect(Buffer.from(answer.value).toString()).toBe('HELLO');
  expect(asked).toEqual(['alice says']);
  const abort = new AbortController();
  const hanging = failure(shout(bob, 'alice:shout@east').hang(bytes(''), { signal: abort.signal }));
  await delay(100);
  abort.abort();
  expect((await hanging).code).toBe(Code.Cancelled);
  await until('it was given up there', () => aborted.length === 1);
  expect((await failure(shout(bob, 'alice:shout@east').hang(bytes(''), { deadlineMs: 300 }))).code).toBe(
    Code.DeadlineExceeded,
  );
  await until('its deadline passed there', () => aborted.length === 2);
});

it('a stream of 8 MiB crosses whole and in order, both ways', async () => {
  const bob = await west.attach('user/bob?groups=friends');
  const piece = Buffer.alloc(65_536);
  let sum = 0;
  const requests = (async function* () {
    for (let i = 0; i < 128; i += 1) yield { value: Buffer.from(piece.fill(i)) };
  })();
  let next = 0;
  for await (const { value } of shout(bob, 'alice:shout@east').flow(requests) as AsyncIterable<Bytes>) {
    expect(value[0]).toBe(next++);
    sum += value.length;
  }
  expect(sum).toBe(8 * 2 ** 20);
});

it('what either policy does not say is not there, and nothing of the cluster itself crosses', async () => {
  const bob = await west.attach('user/bob?groups=friends');
  const eve = await west.attach('user/eve');
  expect((await failure(shout(eve, 'alice:shout@east').say(bytes('')))).code).toBe(Code.NotFound);
  expect((await failure(shout(bob, 'alice:other@east').say(bytes('')))).code).toBe(Code.NotFound);
  // As anybody but bob she is a visitor there, for whom the name is not.
  const dave = await west.attach('user/dave?groups=friends');
  expect((await failure(shout(dave, 'alice:shout@east').say(bytes('')))).code).toBe(Code.NotFound);
  const root = await west.attach('admin/root');
  const kill = root.client(VkernelService, { name: ':upper@east' }).listVkernels({});
  expect((await failure(kill)).details).toMatch(/does not cross from cluster to cluster/);
  const endpoint = root.client(VkernelService, { name: 'node1/vkerneld@east' }).listVkernels({});
  expect((await failure(endpoint)).code).toBe(Code.NotFound);
  expect((await failure(shout(root, 'alice:shout@south').say(bytes('')))).code).toBe(Code.NotFound);
});

it('names of the other cluster stand in the list of whoever may use them, and nobody else registers such', async () => {
  const bob = await west.attach('user/bob?groups=friends');
  const eve = await west.attach('user/eve');
  const names = async (endpoint: SyslinkEndpoint) => (await endpoint.listNames('')).map(({ name }) => name);
  expect(await names(bob)).toEqual([':upper@east', 'alice:shout@east']);
  expect(await names(eve)).toEqual([':upper@east']);
  let refused: Error | undefined;
  const mine = { refused: (error: Error) => (refused = error) };
  bob.register('bob:x@north', mine);
  await until('it is refused', () => refused);
  expect(refused?.message).toMatch(/user bob may not register "bob:x@north"; a gateway does/);
});

it('is counted, and shown', async () => {
  const [peer] = await east.peers();
  expect(peer).toMatchObject({
    name: 'west',
    connected: true,
    exported: [':upper', 'alice:shout'],
    imported: [],
  });
  expect(Number(peer!.receivedMessages)).toBeGreaterThan(4);
  expect(Number(peer!.receivedBytes)).toBeGreaterThan(8 * 2 ** 20);
  const [there] = await west.peers();
  expect(there).toMatchObject({
    name: 'east',
    connected: true,
    imported: [':upper@east', 'alice:shout@east'],
  });
});

it('a policy of no use leaves the one before in force, and says why', async () => {
  east.policy('peers: [{name: west}]');
  const bob = await west.attach('user/bob?groups=friends');
  await shout(bob, 'alice:shout@east').say(bytes('still'));
  expect((await east.peers()).length).toBe(1);
});

it('what the policy no longer says ends at once: a name, then the cluster', { timeout: 30_000 }, async () => {
  const bob = await west.attach('user/bob?groups=friends');
  const stop = new AbortController();
  const endless = (async function* () {
    while (!stop.signal.aborted) {
      yield bytes('.');
      await delay(20, stop.signal);
    }
  })();
  const flowing = (async () => {
    for await (const _ of shout(bob, 'alice:shout@east').flow(endless)) void _;
  })();
  const ended = failure(flowing);
  await delay(200);
  const startedMs = performance.now();
  east.policy(eastPolicy(authorityOf(west)).replace(/ *- name: alice:shout\n.*\n/, ''));
  expect((await ended).details).toMatch(/"alice:shout" was revoked/);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  stop.abort();
  await until('it is not offered', async () => (await west.peers())[0]?.imported.length === 1);
  expect((await failure(shout(bob, 'alice:shout@east').say(bytes('')))).code).toBe(Code.NotFound);
  const denied = (await west.authority.folder('gateway/gateway')).identity.certificate.fingerprint256;
  east.policy(eastPolicy(authorityOf(west), `denied: ['${denied}']`));
  await until('the line is over', async () => !(await west.peers())[0]?.connected);
  await until('it is told why', async () =>
    /denied|PERMISSION|UNAUTH/i.test((await west.peers())[0]!.reason),
  );
  expect((await failure(connect(':upper@east', 'bob', ''))).code).toBe(Code.Unavailable);
  east.policy(eastPolicy(authorityOf(west)));
  await until('the line is up again', async () => (await west.peers())[0]?.connected);
  expect(await connect(':upper@east', 'bob', 'back')).toBe('BACK');
  const told = (await east.events('gateway-policy')).join('\n');
  expect(told).toContain('another policy is in force: west: name alice:shout is exported no more');
  expect(told).toContain(`west: certificate ${denied.replaceAll(':', '')} counts no more`);
});

it('another authority in the place of the pinned one ends the line', { timeout: 30_000 }, async () => {
  const other = join(east.authority.dir, 'other.crt');
  copyFileSync(authorityOf(east), other);
  east.policy(eastPolicy(other));
  await until('the line is over', async () => !(await west.peers())[0]?.connected);
  east.policy(eastPolicy(authorityOf(west)));
  await until('the line is up again', async () => (await west.peers())[0]?.connected);
  west.policy(westPolicy(authorityOf(west)));
  const why = new RegExp(
    `^who answers at 127.0.0.1:${port} has no certificate of the authority that .* for east$`,
  );
  await until('it says why in words', async () => why.test((await west.peers())[0]?.reason ?? ''));
  west.policy(westPolicy(authorityOf(east)));
  await until('the line is up once more', async () => (await west.peers())[0]?.connected);
  const up = (await west.events('gateway-up')).at(-1);
  expect(up).toBe('the line to gateway gateway of cluster east is up, opened here');
  expect((await west.events('gateway-down')).at(-1)).toContain('the line to cluster east is over: ');
});

it('a port that somebody else has is said with the file that names it', async () => {
  const { policyFile, router, authority } = east;
  const about = {
    gateway: policyFile,
    syslink: router.address,
    folder: await authority.folder('gateway/gateway2'),
  };
  await expect(serveGateway({ ...about, log: silentLog() })).rejects.toThrow(
    `${policyFile}: listen: cannot listen on 127.0.0.1:${port}: somebody else listens there; write another address`,
  );
});
