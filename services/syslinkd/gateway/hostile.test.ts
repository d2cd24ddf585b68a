// A gateway of another cluster that turned hostile: it has a valid certificate of its own authority, speaks raw grpc-js, and says what
// it likes. It reaches nothing that was not exported, and slows nobody beyond its share.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:http2';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { CONNECT } from '@odonata/rpc/syslink/crossing.ts';
import { frame } from '@odonata/rpc/syslink/frame.ts';
import { TLS_OPTIONS } from '@odonata/rpc/tls.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clean, cleanup, until } from '../testdata/routers.ts';
import { JOIN, rawLine, sslOf } from './testdata/raw-line.ts';
import { type Bytes, bytes, ShoutService, shout } from './testdata/shout-service.ts';
import { cpuSecondsOf, freePort, residentOf, type Side, side } from './testdata/two-clusters.ts';

let east: Side;
let south: Side;
let port: number;
const west = new TestAuthority('west');
const stranger = new TestAuthority('west');
let hostile: TlsFolder;
let eastFolder: TlsFolder;
const counts = { said: 0 };

beforeAll(async () => {
  port = await freePort();
  hostile = await west.folder('gateway/gateway');
  const pinned = (authority: TestAuthority) => join(authority.dir, 'ca', 'ca.crt');
  const southAuthority = new TestAuthority('south');
  cleanup.push(() => [west, stranger].map((each) => each.remove()));
  await southAuthority.folder('gateway/gateway');
  const exported = `[{ name: ':shout', methods: [/shout.Shout/Say, /shout.Shout/Flow] }]`;
  const rates = 'rates: { messages: 2000, bytes: 2M, circuits: 16, requests: 16 }';
  const policy = (own: string) => `
listen: 127.0.0.1:${port}
peers:
  - { name: west, authority: ${pinned(west)}, exports: ${exported}, users: { bob: visitor }, ${rates} }
  - { name: south, authority: ${own}, exports: ${exported}, users: { bob: visitor } }
`;
  east = await side('east', () => policy(pinned(southAuthority)), undefined, true);
  eastFolder = await east.authority.folder('gateway/gateway');
  south = await side(
    'south',
    () =>
      `peers: [{ name: east, authority: ${pinned(east.authority)}, address: '127.0.0.1:${port}', imports: [':shout'] }]`,
    southAuthority,
  );
  const clock = await east.attach('operator/olga');
  clock.serve(
    ShoutService as never,
    {
      say: ({ value }: Bytes) => {
        counts.said += 1;
        return value[0] === 0 ? { value: new Uint8Array(1_000_000) } : { value };
      },
      // Reads nothing.
      async *flow() {
        yield bytes('');
        await delay(60_000);
      },
    } as never,
  );
  clock.register(':shout', { everyone: true });
  await until('the honest one is there', async () => (await south.peers())[0]?.imported.length === 1);
}, 60_000);
afterAll(clean);

const eastCa = (): Buffer => eastFolder.identity.authorityPem;
const line = (folder: TlsFolder = hostile) => rawLine({ port, folder, authority: eastCa() });

let session = 0n;
const hello = (more: object = {}): Frame => {
  session += 1n;
  const who = { cluster: 'west', gateway: 'gateway', epoch: 7n, session, nonce: randomBytes(16) };
  return frame({ case: 'gatewayHello', value: { ...who, wire: wireSpoken(), ...more } });
};

/** A line as it should be, up to then. */
async function up() {
  const opened = await line();
  opened.send(hello());
  await until('it is greeted', () => opened.heard[0]);
  const [first] = opened.heard;
  if (first?.case !== 'gatewayHello') throw new Error(`${first?.case}`);
  opened.send(frame({ case: 'gatewayConfirm', value: { echo: first.value.nonce } }));
  await until('it is up', () => opened.heard.some(({ case: what }) => what === 'gatewayOffer'));
  return opened;
}

const state = async () => (await east.peers()).find(({ name }) => name === 'west')!;
const open = (circuit: bigint, name: string, proto = '/shout.Shout/Flow', user = 'bob', role = Role.USER) =>
  frame({
    case: 'circuitOpen',
    value: { circuit, to: { name }, proto, hopLimit: 9, caller: { role, name: user } },
  });
const ask = (msgid: bigint, name: string, proto = '/shout.Shout/Say', more: object = {}) =>
  frame({
    case: 'message',
    value: { msgid, to: { name }, proto, hopLimit: 9, caller: { role: Role.USER, name: 'bob' }, ...more },
  });

describe('who comes in', () => {
  it.each([
    ['of another authority', async () => await stranger.folder('gateway/gateway')],
    ['of another role of its cluster', async () => await west.folder('syslinkd/syslinkd')],
    ['of a person there', async () => await west.folder('admin/root')],
    ['that is over', async () => await west.expired('gateway/old')],
    ['of our own cluster', async () => await east.authority.folder('gateway/gateway')],
  ])('nobody with a certificate %s', async (_, folder) => {
    const { over, send, heard } = await line(await folder());
    send(hello());
    expect([Code.Unavailable, Code.Unauthenticated]).toContain((await over).code);
    expect(heard).toEqual([]);
  });

  it.each([
    ['south', 'whose cluster is another one of the policy'],
    ['east', 'that is ours'],
  ])('nobody whom its authority calls a gateway of %s, %s', async (cluster) => {
    const authority = await import('@odonata/authority/authority.ts');
    const ca = await authority.Authority.in(join(west.dir, 'ca'), 'west');
    const dir = join(west.dir, `as-${cluster}`);
    const who = { cluster, role: Role.GATEWAY, name: 'gateway', groups: [] };
    await ca.issue(who, dir, { days: 1 });
    const { TlsFolder } = await import('@odonata/rpc/identity/tls-folder.ts');
    const { over, send } = await line(new TlsFolder(dir));
    send(hello({ cluster }));
    expect((await over).code).toBe(Code.Unauthenticated);
  });

  it.each([
    [
      'in the name of another cluster',
      () => hello({ cluster: 'south' }),
      /may not speak for "gateway" of "south"/,
    ],
    ['in the name of another gateway', () => hello({ gateway: 'other' }), /may not speak for "other"/],
    ['without a nonce', () => hello({ nonce: new Uint8Array() }), /nonce/],
    ['with something else first', () => open(1n, ':shout'), /must say which gateway it is/],
    [
      'as a router would',
      () => frame({ case: 'peerHello', value: { router: 7, name: 'x' } }),
      /must say which/,
    ],
  ])('nobody who begins %s', async (_, first, reason) => {
    const { over, send } = await line();
    send(first());
    expect((await over).details).toMatch(reason);
  });

  it('no hello counts twice, none of an earlier session, and none is taken for another', async () => {
    const before = Number((await state()).droppedHellos);
    const once = hello();
    const first = await line();
    first.send(once);
    await until('it is greeted', () => first.heard.length > 0);
    const again = await line();
    again.send(once);
    expect((await again.over).details).toMatch(/heard before/);
    const stale = await line();
    stale.send(hello({ session: 0n }));
    expect((await stale.over).details).toMatch(/of an earlier session/);
    const older = await line();
    older.send(hello({ epoch: 6n }));
    expect((await older.over).details).toMatch(/of an earlier session/);
    // The answer to another hello than that of this line.
    first.send(frame({ case: 'gatewayConfirm', value: { echo: randomBytes(16) } }));
    expect((await first.over).details).toMatch(/the word of another session/);
    expect(Number((await state()).droppedHellos)).toBe(before + 4);
  });

  it('serves it nothing else: no health, no reflection, no channelz', async () => {
    const channel = new grpc.Client(`127.0.0.1:${port}`, sslOf(hostile, eastCa()), TLS_OPTIONS);
    for (const path of [
      '/grpc.health.v1.Health/Check',
      '/grpc.channelz.v1.Channelz/GetServers',
      '/odonata.event.v1.EventService/ListEvents',
    ]) {
      const code = await new Promise((resolve) => {
        const raw = (message: Buffer): Buffer => message;
        channel.makeUnaryRequest(path, raw, raw, Buffer.alloc(0), (error) => resolve(error?.code));
      });
      expect([Code.PermissionDenied, Code.Unimplemented]).toContain(code);
    }
    channel.close();
  });
});

describe('what it reaches', () => {
  it('nothing but what was exported, by the methods that were, as the user that it was mapped to', async () => {
    const { send, heard, closes, end } = await up();
    const before = Number((await state()).refused);
    const wrong: Frame[] = [
      open(1n, ':secret'),
      open(3n, 'node1/vkerneld', CONNECT),
      open(5n, ':shout', CONNECT),
      open(7n, ':shout', '/odonata.vkernel.v1.VkernelService/GetLogs'),
      open(9n, ':shout', '/shout.Shout/Flow', 'root'),
      open(11n, ':shout', '/shout.Shout/Flow', '*'),
      open(13n, ':shout', '/shout.Shout/Flow', 'node1', Role.VKERNELD),
      open(15n, ':shout@south'),
      ask(1n, ':shout', '/odonata.vkernel.v1.VkernelService/ListVkernels'),
      ask(2n, '', '/shout.Shout/Say', { to: { sysid: 1n, name: '' } }),
    ];
    send(...wrong);
    const replies = () => heard.filter(({ case: what }) => what === 'message');
    await until('all are refused', () => closes().length + replies().length === wrong.length);
    for (const each of [...closes(), ...replies()]) {
      const { status } = each.value as { status?: { code: number } };
      expect([Code.NotFound, Code.PermissionDenied]).toContain(status?.code);
    }
    expect(Number((await state()).refused)).toBe(before + wrong.length);
    send(ask(9n, ':shout', '/shout.Shout/Say', { caller: { role: Role.ADMIN, name: 'bob' } }));
    await until('what is exported is there', () => counts.said === 1);
    end();
  });

  it('drops answers to nothing, data of no circuit, and what is of a later version; the line stays', async () => {
    const { send, sendBytes, heard, end } = await up();
    send(
      frame({ case: 'message', value: { msgid: 77n, reply: true, status: { code: 0 } } }),
      frame({ case: 'circuitData', value: { circuit: 99n, data: new Uint8Array(100) } }),
      frame({ case: 'circuitWindow', value: { circuit: 99n, takenBytes: 1 } }),
      frame({ case: 'circuitClose', value: { circuit: 98n, half: true } }),
      frame({ case: 'messageAbort', value: { msgid: 3n } }),
    );
    // Field 1000, of 3 bytes.
    sendBytes(Uint8Array.of(0xc2, 0x3e, 3, 1, 2, 3), new Uint8Array());
    const said = counts.said;
    send(ask(1n, ':shout'));
    await until('it is answered', () => heard.some(({ case: what }) => what === 'message'));
    expect(counts.said).toBe(said + 1);
    end();
  });

  it.each([
    [
      'a registration',
      frame({ case: 'nameRegister', value: { name: ':x' } }),
      /unexpected frame: nameRegister/,
    ],
    ['routes', frame({ case: 'routeUpdate', value: {} }), /unexpected frame: routeUpdate/],
    ['another hello', frame({ case: 'gatewayHello', value: {} }), /./],
  ])('ends a line that brings %s', async (_, bad, reason) => {
    const { send, over } = await up();
    send(bad);
    expect((await over).details).toMatch(reason);
  });

  it('ends a line that brings no frame, one that is too large, or a request twice', async () => {
    const junk = await up();
    junk.sendBytes(Uint8Array.of(0xff, 0xff, 0xff));
    expect((await junk.over).code).toBe(Code.InvalidArgument);
    const large = await up();
    large.sendBytes(new Uint8Array(5_000_000));
    expect((await large.over).details).toMatch(/frames/);
    const twice = await up();
    twice.send(ask(5n, ':shout'), ask(5n, ':shout'));
    expect((await twice.over).details).toMatch(/under way already/);
  });

  it('closes a circuit that gets more than its window, and no other', async () => {
    const { send, closes, end } = await up();
    for (let i = 0n; i < 16n; i += 1n) send(open(2n * i + 1n, ':shout'));
    const piece = new Uint8Array(300_000);
    for (let round = 0; round < 7; round += 1)
      for (let i = 0n; i < 2n; i += 1n)
        send(frame({ case: 'circuitData', value: { circuit: 2n * i + 1n, data: piece } }));
    await until('they are closed', () => closes().length === 2);
    expect((await state()).circuits).toBe(14);
    end();
  });
});

describe('floods', () => {
  it('of requests, circuits and refusals cost others little, and memory nothing', {
    timeout: 60_000,
  }, async () => {
    const { stream, send, over, end } = await up();
    const bob = await south.attach('user/bob');
    const honest = async (): Promise<number[]> => {
      const took: number[] = [];
      for (let i = 0; i < 20; i += 1) {
        const startedMs = performance.now();
        await shout(bob, ':shout@east').say(bytes('1'));
        took.push(performance.now() - startedMs);
      }
      return took.sort((a, b) => a - b);
    };
    const alone = await honest();
    let isOver = false;
    void over.then(() => (isOver = true));
    let sent = 0;
    let flooding = true;
    const flood = (async () => {
      for (let i = 1n; flooding && !isOver; i += 200n) {
        const many = Array.from({ length: 100 }, (_, k) => i + 2n * BigInt(k));
        const ok = send(...many.map((n) => open(n, ':none')), ...many.map((n) => ask(n, ':shout')));
        sent += 200;
        if (!ok) await Promise.race([new Promise((resolve) => stream.once('drain', resolve)), delay(2_000)]);
        await delay(0);
      }
    })();
    await delay(1_000);
    const before = residentOf(east.gateway.pid!);
    const cpuBefore = cpuSecondsOf(east.gateway.pid!);
    const floodMs = performance.now();
    const during = await honest();
    await delay(1_500);
    const grown = residentOf(east.gateway.pid!) - before;
    const cores = (cpuSecondsOf(east.gateway.pid!) - cpuBefore) / ((performance.now() - floodMs) / 1_000);
    flooding = false;
    await flood;
    console.info(
      `${sent} frames of a flood; an honest request took ${alone[10]!.toFixed(1)} ms alone, ${during[10]!.toFixed(1)} ms beside it (at most ${during[19]!.toFixed(0)}); ${(grown / 2 ** 20).toFixed(0)} MiB more; ${(100 * cores).toFixed(0)} % of a core`,
    );
    // What a busy machine does not change: how much of it the flood gets.
    expect(cores).toBeLessThan(0.7);
    expect(during[10]!).toBeLessThan(5_000);
    expect(grown).toBeLessThan(100 * 2 ** 20);
    expect(Number((await state()).rateLimited)).toBeGreaterThan(0);
    end();
  });

  it('who reads nothing loses the line', { timeout: 30_000 }, async () => {
    const { stream, send, over } = await up();
    stream.pause();
    let isOver = false;
    void over.then(() => (isOver = true));
    for (let i = 1n; !isOver && i < 2_000n; i += 1n) {
      send(ask(i, ':shout', '/shout.Shout/Say', { head: Uint8Array.of(10, 1, 0) }));
      await delay(5);
      if (i === 100n) stream.resume();
    }
    expect((await over).code).not.toBe(0);
    expect((await state()).reason).toMatch(/does not read/);
    expect(residentOf(east.gateway.pid!)).toBeLessThan(500 * 2 ** 20);
  });

  it('silence and a slow drip end: before a hello, and after it', { timeout: 30_000 }, async () => {
    const silent = await line();
    silent.sendBytes();
    const quiet = await up();
    const { identity } = hostile;
    const drip = connect(`https://127.0.0.1:${port}`, {
      ...{ ca: eastCa(), cert: identity.certificatePem, key: identity.keyPem },
      checkServerIdentity: () => undefined,
    });
    drip.on('error', () => {});
    const headers = { ':method': 'POST', ':path': JOIN, 'content-type': 'application/grpc', te: 'trailers' };
    const request = drip.request(headers);
    const dripped = new Promise((resolve) =>
      request
        .on('close', resolve)
        .on('error', () => {})
        .on('end', resolve),
    );
    request.resume();
    // A message of 1000 bytes, one by one.
    request.write(Uint8Array.of(0, 0, 0, 3, 232));
    const dripping = setInterval(() => request.writable && request.write(Uint8Array.of(10)), 200);
    expect((await silent.over).details).toMatch(/no word of who it is/);
    await dripped;
    clearInterval(dripping);
    drip.destroy();
    expect((await quiet.over).details).toMatch(/not a word in/);
  });
});
