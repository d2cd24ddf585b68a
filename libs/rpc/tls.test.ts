// Doors of a server, TCP and unix, and who gets in.
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../authority/authority.ts';
import { TestAuthority } from '../authority/testing.ts';
import { delay } from './backoff.ts';
import { createClient } from './client.ts';
import { readConfig, serviceConfig } from './config.ts';
import { codeName, type RpcError } from './error.ts';
import { EventLog } from './events.ts';
import { ownerOnly } from './identity/access.ts';
import { shownCaller } from './identity/identity.ts';
import { TlsFolder } from './identity/tls-folder.ts';
import { makeToken } from './identity/token.ts';
import { silentLog } from './log.ts';
import { Metrics } from './metrics.ts';
import { SecurityEvents } from './security-events.ts';
import { createRpcServer, isListening, type RpcServer } from './server.ts';

const authority = new TestAuthority();
const strangers = new TestAuthority();
const others = new TestAuthority('other');
const events = new EventLog({ service: 't', log: silentLog() });
/** Each look is in another minute: what others here tried hides nothing. */
let nowMs = 0;
const security = new SecurityEvents(events, () => nowMs);
const metrics = new Metrics('vkerneld');
let served: TlsFolder;
let server: RpcServer;
let tcp: string;
let unix: string;
beforeAll(async () => {
  served = await authority.folder('vkerneld/node1');
  security.countIn(metrics);
  server = createRpcServer({ name: 't', log: silentLog(), folder: served, security }).add(VkernelService, {
    listVkernels: (_request, { caller, scope }) => ({
      vkernels: [{ name: shownCaller(caller), node: scope }],
    }),
    kill: (_request, ctx) => {
      ownerOnly(ctx, 'alice', 'process 7');
      return {};
    },
    async *getLogs(_request, { signal }) {
      yield { droppedBytes: 1n };
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
    async *run(requests) {
      for await (const _request of requests) yield {};
    },
  });
  tcp = await server.listen('127.0.0.1:0');
  unix = await server.listen(`unix:${authority.dir}/s`);
});
afterAll(async () => {
  await server.drain(100);
  for (const each of [authority, strangers, others]) each.remove();
});

/** What is answered: who it took us for and what we may touch, or the code. */
async function callAs(folder: TlsFolder | undefined, address: string, token?: string): Promise<string> {
  const client = createClient(VkernelService, address, { folder });
  try {
    const { vkernels } = await client.listVkernels({}, { deadlineMs: 3_000, token });
    return `${vkernels[0]!.name}, ${vkernels[0]!.node}`;
  } catch (error) {
    return codeName((error as RpcError).code);
  } finally {
    client.close();
  }
}

/** Folders and connections are looked at every second or two. */
const soon = <T>(value: () => T) => expect.poll(value, { timeout: 10_000 });

describe('a server with an identity', () => {
  it('knows who calls, over TCP and over a unix socket', async () => {
    for (const address of [tcp, unix]) {
      expect(await callAs(await authority.folder('operator/olga'), address)).toBe('operator olga, all');
      expect(await callAs(await authority.folder('user/alice'), address)).toBe('user alice, own');
      expect(await callAs(await authority.folder('pmapd/node1'), address)).toBe('PERMISSION_DENIED');
      expect(await callAs(await authority.folder('vkernel/node1/default'), address)).toBe(
        'PERMISSION_DENIED',
      );
    }
  });

  it('lets nobody in by TCP without a certificate of its authority', async () => {
    expect(await callAs(undefined, tcp)).toBe('UNAVAILABLE');
    expect(await callAs(await strangers.folder('admin/root'), tcp)).toBe('UNAVAILABLE');
  });

  it('lets nobody in by a unix socket without a token of its authority', async () => {
    expect(await callAs(undefined, unix)).toBe('UNAUTHENTICATED');
    expect(await callAs(await strangers.folder('admin/root'), unix)).toBe('UNAUTHENTICATED');
    const { identity } = await authority.folder('admin/root');
    const about = { nowMs: Date.now(), lifeMs: 60_000 };
    expect(await callAs(undefined, unix, makeToken(identity, { ...about, audience: [unix] }))).toBe(
      'admin root, all',
    );
    // What somebody showed to another server is of no use here.
    const elsewhere = makeToken(identity, { ...about, audience: ['unix:/run/other.sock'] });
    expect(await callAs(undefined, unix, elsewhere)).toBe('UNAUTHENTICATED');
    expect(await callAs(undefined, unix, 'x'.repeat(100_000))).not.toMatch(/all|own/);
  });

  it('lets nobody in whose certificate is over, or is of another cluster', async () => {
    const late = await authority.expired('admin/late');
    const authorityOfOurs = await Authority.in(join(authority.dir, 'ca'), authority.cluster);
    const elsewhere = join(authority.dir, 'elsewhere');
    await authorityOfOurs.issue(others.caller('admin/root'), elsewhere, { days: 2 });
    expect(await callAs(late, tcp)).toBe('UNAVAILABLE');
    expect(await callAs(late, unix)).toBe('UNAUTHENTICATED');
    // Its certificate would do; but then the server is of another cluster than ours.
    expect(await callAs(new TlsFolder(elsewhere), tcp)).toBe('UNAVAILABLE');
    expect(await callAs(new TlsFolder(elsewhere), unix)).toBe('UNAUTHENTICATED');
  });

  it('lets nobody in whose certificate was revoked, from that moment on, and takes renewed certificates', async () => {
    const mallory = await authority.folder('admin/mallory');
    expect(await callAs(mallory, tcp)).toBe('admin mallory, all');
    expect(await callAs(mallory, unix)).toBe('admin mallory, all');
    const list = join(served.dir, 'revoked');
    writeFileSync(list, `${mallory.identity.certificate.serialNumber.toLowerCase()}\n`);
    // The folder is looked at once a second.
    await soon(() => callAs(mallory, tcp)).toBe('UNAUTHENTICATED');
    expect(await callAs(mallory, unix)).toBe('UNAUTHENTICATED');
    // What is no list lets nobody in again.
    writeFileSync(list, 'nobody, by order of the committee\n');
    await soon(() => served.trouble).toMatch(/line 1 of .*revoked is no serial number/);
    expect(await callAs(mallory, tcp)).toBe('UNAUTHENTICATED');
    rmSync(list);

    const before = served.identity.certificate.serialNumber;
    const ours = await Authority.in(join(authority.dir, 'ca'), authority.cluster);
    await ours.issue(authority.caller('vkerneld/node1'), served.dir, { days: 2 });
    await soon(() => served.identity.certificate.serialNumber).not.toBe(before);
    expect(await callAs(await authority.folder('operator/olga'), tcp)).toBe('operator olga, all');
  });

  it('takes what a Secret of Kubernetes has new: a folder of links that the kubelet turns in one step', async () => {
    const volume = join(authority.dir, 'volume');
    const put = async (name: string) => {
      const { dir } = await authority.folder(`pmapd/${name}`);
      renameSync(dir, join(volume, `..${name}`));
      symlinkSync(`..${name}`, join(volume, '..data_tmp'));
      renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
    };
    mkdirSync(volume);
    await put('old');
    for (const file of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(`..data/${file}`, join(volume, file));
    const folder = new TlsFolder(volume);
    const { certificatePem } = folder.identity;
    await put('new');
    rmSync(join(volume, '..old'), { recursive: true });
    await soon(() => folder.identity.certificatePem).not.toEqual(certificatePem);
    expect(folder.identity.caller.name).toBe('new');
    expect(folder.trouble).toBeUndefined();
  });

  it('is called by nobody who knows that its certificate was revoked', async () => {
    const wary = await authority.folder('user/wary');
    expect(await callAs(wary, tcp)).toBe('user wary, own');
    writeFileSync(join(wary.dir, 'revoked'), served.identity.certificate.serialNumber);
    await soon(() => callAs(wary, tcp)).toBe('UNAVAILABLE');
  });

  it('ends the streams of whom was revoked, also while its own certificate is of no use', async () => {
    const trudy = await authority.folder('admin/trudy');
    const alice = await authority.folder('user/alice');
    const clients = [trudy, alice].flatMap((folder) =>
      [tcp, unix].map((address) => createClient(VkernelService, address, { folder })),
    );
    const never = () => new Promise<never>(() => {});
    async function* requests<T>(request: T) {
      yield request;
      await never();
    }
    const failed = (error: RpcError) => `${codeName(error.code)}: ${error.details}`;
    const ended = new AbortController();
    const { signal } = ended;
    const streams = clients.map((client) => [
      client.getLogs({}, { signal })[Symbol.asyncIterator](),
      client.run(requests({}), { signal })[Symbol.asyncIterator](),
    ]);
    for (const stream of streams.flat()) expect((await stream.next()).done).toBe(false);
    const ends = streams.map((both) => Promise.all(both.map((stream) => stream.next().catch(failed))));
    const certificate = join(served.dir, 'tls.crt');
    const whole = readFileSync(certificate);
    writeFileSync(certificate, 'no certificate');
    writeFileSync(join(served.dir, 'revoked'), trudy.identity.certificate.serialNumber);
    const revoked = 'UNAUTHENTICATED: the certificate of admin trudy was revoked';
    expect(await ends[0]).toEqual([revoked, revoked]);
    expect(await ends[1]).toEqual([revoked, revoked]);
    expect(served.trouble).toBeDefined();
    expect(await callAs(alice, tcp)).toBe('user alice, own');
    expect(await Promise.race([...ends.slice(2), delay(100).then(() => 'open')])).toBe('open');
    writeFileSync(certificate, whole);
    rmSync(join(served.dir, 'revoked'));
    ended.abort();
    await Promise.all(ends.slice(2));
    for (const client of clients) client.close();
  });

  it('counts and tells of each that is refused: by handshake, certificate, role and ownership', async () => {
    /** What is told while somebody tries this, and how many of that attempt are counted by then. */
    const told = async (tries: () => Promise<unknown>) => {
      nowMs += 60_001;
      const before = events.all().length;
      await tries();
      return events
        .all()
        .slice(before)
        .map(({ kind, subject, text }) => `${kind} ${subject!.attempt}: ${text}`);
    };
    const counted = async (attempt: string) => {
      const line = new RegExp(`security_refusals_total.*"${attempt}"\\} (\\d+)`);
      return Number(line.exec(await metrics.registry.metrics())?.[1] ?? 0);
    };
    const olga = await authority.folder('viewer/olga');
    const bob = await authority.folder('user/bob');
    const mallory = await authority.folder('admin/mallory2');
    const { host, port } = /^(?<host>.*):(?<port>\d+)$/.exec(tcp)!.groups!;
    const bare = (with_: object) =>
      new Promise<void>((resolve) => {
        const socket = connect({
          host,
          port: Number(port),
          rejectUnauthorized: false,
          ALPNProtocols: ['h2'],
          ...with_,
        });
        socket.on('error', () => {});
        socket.once('close', resolve).resume();
      }).then(() => delay(20));
    const kill = async (folder: TlsFolder, address: string) => {
      const client = createClient(VkernelService, address, { folder });
      await expect(client.kill({ pid: 7n })).rejects.toThrow(/^PERMISSION_DENIED/);
      client.close();
    };
    for (const address of [tcp, unix]) {
      expect(await told(() => kill(olga, address))).toEqual([
        'security role: viewer olga: /odonata.vkernel.v1.VkernelService/Kill: viewer olga may not call ' +
          '/odonata.vkernel.v1.VkernelService/Kill; admin, operator, user may',
      ]);
      expect(await told(() => kill(bob, address))).toEqual([
        'security owner: user bob: /odonata.vkernel.v1.VkernelService/Kill: process 7 belongs to alice, not to user bob',
      ]);
    }
    const list = join(served.dir, 'revoked');
    writeFileSync(list, mallory.identity.certificate.serialNumber);
    await soon(() => callAs(mallory, tcp)).toBe('UNAUTHENTICATED');
    for (const address of [tcp, unix])
      expect(await told(() => callAs(mallory, address))).toEqual([
        expect.stringMatching(/^security authentication: .*the certificate of .*mallory2 was revoked$/),
      ]);
    rmSync(list);
    expect(await told(() => callAs(undefined, unix))).toEqual([
      expect.stringMatching(
        /^security authentication: somebody on this machine: .*no certificate, and no token/,
      ),
    ]);
    const before = await counted('handshake');
    expect(await told(() => bare({}))).toEqual([
      expect.stringMatching(/^security handshake: 127.0.0.1: .*PEER_DID_NOT_RETURN_A_CERTIFICATE/),
    ]);
    const { certificatePem: cert, keyPem: key } = (await strangers.folder('admin/root')).identity;
    expect(await told(() => bare({ cert, key }))).toEqual([
      expect.stringMatching(/^security handshake: 127.0.0.1: .*its certificate does not count/),
    ]);
    expect(await told(() => callAs(undefined, tcp))).toEqual([expect.stringMatching(/^security handshake/)]);
    // Who only looks whether somebody listens tries nothing.
    expect(await told(() => isListening(tcp))).toEqual([]);
    expect(await counted('handshake')).toBe(before + 3);
    for (const attempt of ['role', 'owner', 'authentication'])
      expect(await counted(attempt)).toBeGreaterThan(1);
  });

  it('is not taken for a service where it is a person', async () => {
    const posing = createRpcServer({
      name: 't',
      log: silentLog(),
      folder: await authority.folder('user/eve'),
    });
    posing.add(VkernelService, { listVkernels: () => ({}) });
    const address = await posing.listen('127.0.0.1:0');
    try {
      expect(await callAs(await authority.folder('operator/olga'), address)).toBe('UNAVAILABLE');
    } finally {
      await posing.drain(100);
    }
  });

  it('has a socket that only its user may open, in a folder of theirs', async () => {
    expect(statSync(unix.slice('unix:'.length)).mode & 0o777).toBe(0o600);
    const open = join(authority.dir, 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    const careless = createRpcServer({ name: 't', log: silentLog() }).add(VkernelService, {});
    await expect(careless.listen(`unix:${open}/s`)).rejects.toThrow(/mode 755.*chmod 700/);
    await careless.drain(100);
  });

  it('keeps the windows of streams wide', async () => {
    const { connect } = await import('node:http2');
    const {
      authorityPem: ca,
      keyPem: key,
      certificatePem: cert,
    } = (await authority.folder('admin/root')).identity;
    const session = connect(`https://${tcp.replace('127.0.0.1', 'localhost')}`, { ca, key, cert });
    const windowBytes = await new Promise((resolve, reject) => {
      session.once('remoteSettings', (settings) => resolve(settings.initialWindowSize));
      session.once('error', reject);
    });
    expect(windowBytes).toBe(1024 * 1024);
    session.close();
  });
});

describe('a server without an identity', () => {
  it('lets everybody do everything', async () => {
    const open = createRpcServer({ name: 't', log: silentLog() });
    open.add(RouterService, {
      listEndpoints: (_request, { caller }) => ({ nextPageToken: shownCaller(caller) }),
    });
    const client = createClient(RouterService, await open.listen('127.0.0.1:0'));
    expect((await client.listEndpoints({})).nextPageToken).toBe('admin anyone');
    client.close();
    await open.drain(100);
  });
});

describe('the setting --tls-dir', () => {
  const textOf = (dir: string) => readConfig('cohd', 'x', serviceConfig, ['--tls-dir', dir], {});
  it('is refused where files are missing, or name nobody', async () => {
    const { dir } = authority;
    expect(textOf(dir)).toMatchObject({
      kind: 'error',
      text: `cohd: --tls-dir: "${dir}": tls.crt, tls.key, ca.crt cannot be read there (see cohd --help)`,
    });
    const mixed = join(dir, 'mixed');
    mkdirSync(mixed);
    const files = (await authority.folder('pmapd/node1')).identity;
    const theirs = (await authority.folder('user/alice')).identity;
    writeFileSync(join(mixed, 'ca.crt'), files.authorityPem);
    writeFileSync(join(mixed, 'tls.crt'), files.certificatePem);
    writeFileSync(join(mixed, 'tls.key'), theirs.keyPem);
    expect(textOf(mixed)).toMatchObject({
      text: expect.stringContaining('tls.key is not the key of tls.crt'),
    });
    writeFileSync(join(mixed, 'tls.crt'), files.authorityPem);
    writeFileSync(join(mixed, 'tls.key'), theirs.keyPem);
    expect(textOf(mixed)).toMatchObject({ kind: 'error' });
  });
});
