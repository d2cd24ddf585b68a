// Users of NATS as a cluster has them, on a real server: each does its own, and nothing of others.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { followReplicas } from '../../services/pmapd/wire/discovery.ts';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
import { askHealth } from '../../services/vkctl/supervisor/store-keeper.ts';
import { ServiceProcess } from '../../test/operate/service-process.ts';
import { PageStore } from '../backing-store/page-store.ts';
import { Bus } from './bus.ts';
import { connectAs } from './credential.ts';
import { claimNodeIndex } from './node-index.ts';
import { inboxOf, type NatsRole, natsAuthorization } from './permissions.ts';

const CLUSTER = 'c';
const USERS: Record<string, NatsRole> = {
  cohd: 'cohd',
  'pmapd-node1': 'pmapd',
  'pmapd-node2': 'pmapd',
  keeper: 'keeper',
  'pages-keeper': 'pages-keeper',
};
const folder = mkdtempSync(join(tmpdir(), 'odonata-permissions-'));
const fileOf = (user: string): string => join(folder, user);
const servers: ServiceProcess[] = [];
let url: string;
async function startServer(data: string): Promise<string> {
  const [port] = (await pickPorts(1)) as [number];
  servers.push(ServiceProcess.nats(port, join(folder, data), ['-c', join(folder, 'nats.conf')]));
  return `127.0.0.1:${port}`;
}
beforeAll(async () => {
  const users = Object.entries(USERS).map(([user, role]) => {
    writeFileSync(fileOf(user), `${user}\nsecret-of-${user}\n`, { mode: 0o600 });
    return { user, role, password: JSON.stringify(`secret-of-${user}`) };
  });
  writeFileSync(join(folder, 'nats.conf'), natsAuthorization(CLUSTER, users));
  url = await startServer('data');
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const busAs = (user: string, at = url): Promise<Bus> =>
  Bus.connect({ url: at, credentials: fileOf(user), cluster: CLUSTER, name: user, log: silentLog() });

/** The subjects that the server refused to a user while `work` ran. */
async function refusedTo(
  user: string,
  work: (connection: NatsConnection) => void | Promise<void>,
): Promise<string[]> {
  const connection = await connect({ servers: url, ...connectAs(fileOf(user)), reconnect: false });
  const refused: string[] = [];
  void (async () => {
    for await (const { type, data } of connection.status()) if (type === 'error') refused.push(String(data));
  })();
  try {
    await work(connection);
    await connection.flush();
    // The word on a refusal comes before the answer to this.
    await connection.flush();
    return refused;
  } finally {
    await connection.close();
  }
}

const publishing = (user: string, subject: string): Promise<string[]> =>
  refusedTo(user, (connection) => connection.publish(subject, 'x'));
const following = (user: string, subject: string): Promise<string[]> =>
  refusedTo(user, (connection) => void connection.subscribe(subject, { callback: () => {} }));

const VIOLATION = [expect.stringContaining('PERMISSIONS_VIOLATION')];

describe('each does its own', () => {
  it('cohd its buckets and broadcasts, pmapd hears them, claims its number, reads replicas, and stores pages', async () => {
    const [cohd, node1, node2] = await Promise.all([
      busAs('cohd'),
      busAs('pmapd-node1'),
      busAs('pmapd-node2'),
    ]);
    try {
      for (const name of ['dataspaces', 'members', 'directory', 'replicas', 'shards']) {
        const bucket = await cohd.bucket(name);
        const revision = await bucket.create('key', 'one');
        await bucket.update('key', 'two', revision);
        expect((await bucket.get('key'))?.string()).toBe('two');
      }
      const beat = { address: '10.0.0.1:7421' };
      const found = Promise.withResolvers<string[]>();
      const follow = followReplicas(node1, silentLog(), found.resolve);
      await node1.nats.flush();
      await (await cohd.bucket('replicas')).put('636f6864', JSON.stringify(beat));
      expect(await found.promise).toEqual([beat.address]);
      (await follow)();
      // What follows its own buckets: also the keys, and what is there already.
      const shards: string[] = [];
      const stop = await cohd.followBucket(await cohd.bucket('shards'), ({ key }) => shards.push(key));
      expect(shards).toEqual(['key']);
      stop();
      const keys: string[] = [];
      for await (const key of await (await cohd.bucket('members')).keys()) keys.push(key);
      expect(keys).toEqual(['key']);
      await (await cohd.bucket('members')).delete('key');
      await (await cohd.bucket('shards')).purge('key');

      const heard = new Promise<Uint8Array>((resolve) => node1.follow(7n, resolve));
      await node1.nats.flush();
      cohd.invalidate(7n, new Uint8Array([1, 2]));
      expect([...(await heard)]).toEqual([1, 2]);

      const never = new AbortController().signal;
      expect(await claimNodeIndex(node1, 'n1', silentLog(), never)).toBe(1);
      expect(await claimNodeIndex(node2, 'n2', silentLog(), never)).toBe(2);

      const options = { cluster: CLUSTER, replicas: 1, bytesMax: 64 << 20 };
      const [store, other] = await Promise.all([
        PageStore.open(node1.nats, options),
        PageStore.open(node2.nats, options),
      ]);
      await store.write(9n, [{ page: 3, version: 1n, bytes: new Uint8Array(4096).fill(5) }]);
      const [read] = await other.read(9n, 3, 1);
      expect(read).toMatchObject({ page: 3, state: 'INTACT', version: 1n });
      await store.remove(9n);
      expect((await other.read(9n, 3, 1))[0]).toMatchObject({ state: 'NEVER_STORED' });
    } finally {
      await Promise.all([cohd, node1, node2].map((bus) => bus.close()));
    }
  });
});

// Within one account the server publishes for whoever asks, wherever they say; and copies what they ask for.
describe('nobody has the server do it', () => {
  // One where nobody made the streams yet.
  let other: string;
  beforeAll(async () => {
    other = await startServer('other');
  });
  const asPmapd = async (work: (jetstream: JetStreamManager, nats: NatsConnection) => Promise<unknown>) => {
    const connection = await connect({
      servers: other,
      ...connectAs(fileOf('pmapd-node1')),
      reconnect: false,
    });
    try {
      await work(await connection.jetstreamManager({ timeout: 1_000 }), connection);
      await connection.flush();
    } finally {
      await connection.close();
    }
  };
  const pages = `odonata-${CLUSTER}-pages`;
  const shards = `$KV.odonata-${CLUSTER}-shards`;
  const config = { name: pages, subjects: [`odonata.${CLUSTER}.pages.>`] };

  it('by the subject of an answer, a copy of what is published, a copy of a stream, or an answer that is an order', async () => {
    const cohd = await busAs('cohd', other);
    try {
      const bucket = await cohd.bucket('shards');
      for (const key of ['0', '1', '2']) await bucket.put(key, 'ours');
      const ours = async () => {
        // Comes after what the server was asked to do: all of it is done in its turn.
        await cohd.nats.flush();
        return await Promise.all(['0', '1', '2'].map(async (key) => (await bucket.get(key))?.string()));
      };
      await asPmapd(async (manager, nats) => {
        const republish = { src: `odonata.${CLUSTER}.pages.>`, dest: `${shards}.>` };
        const sources = [{ name: `KV_odonata-${CLUSTER}-shards` }];
        // Whoever comes first makes the stream, as they like.
        await manager.streams.add({ ...config, republish, sources });
        const jetstream = nats.jetstream();
        for (let i = 0; i < 30; i++) await jetstream.publish(`odonata.${CLUSTER}.pages.1`, 'forged');
        nats.publish(`odonata.${CLUSTER}.pages.0`, 'x', { reply: `${shards}.0` });
        nats.publish(`$JS.API.STREAM.INFO.${pages}`, '', { reply: `${shards}.2` });
        nats.publish(`odonata.${CLUSTER}.pages.2`, 'x', {
          reply: `$JS.API.STREAM.PURGE.KV_odonata-${CLUSTER}-shards`,
        });
        // Answered after those.
        await jetstream.publish(`odonata.${CLUSTER}.pages.3`, 'x');
        const { state } = await manager.streams.info(pages, { subjects_filter: '$KV.>' });
        expect(Object.keys(state.subjects ?? {})).toEqual([]);
      });
      expect(await ours()).toEqual(['ours', 'ours', 'ours']);
    } finally {
      await cohd.close();
    }
  });

  it.each(['nodes', 'store', 'replicas', 'shards'])('by a consumer of the bucket %s', async (name) => {
    const consumer = { deliver_subject: `${shards}.0`, ack_policy: 'none' as never };
    await asPmapd(async (manager) => {
      const made = manager.consumers.add(`KV_odonata-${CLUSTER}-${name}`, consumer);
      await expect(made).rejects.toThrow(/Permissions Violation/);
    });
  });
});

describe('whoever looks after the store', () => {
  it('is answered in both accounts, and by nobody where its password is wrong', async () => {
    const both = [fileOf('keeper'), fileOf('pages-keeper')];
    expect(await askHealth(url, 2_000, both)).toBe('WELL');
    writeFileSync(fileOf('nobody'), 'keeper\nwrong\n');
    expect(await askHealth(url, 2_000, [fileOf('nobody')])).toBe('AWAY');
  });
});

describe('a password', () => {
  it('that is wrong is told, and one that is put right lets the service in without a restart', async () => {
    const file = fileOf('late');
    writeFileSync(file, 'cohd\nwrong\n');
    const told = Promise.withResolvers<string>();
    const log = {
      ...{ info: () => {}, warn: () => {} },
      error: (about: object) => told.resolve((about as { what: string }).what),
    };
    const coming = Bus.connect({ url, credentials: file, cluster: CLUSTER, name: 'late', log });
    expect(await told.promise).toBe(`the credential in ${file}`);
    writeFileSync(file, 'cohd\nsecret-of-cohd\n');
    const bus = await coming;
    try {
      expect(await (await bus.bucket('shards')).put('late', 'x')).toBeGreaterThan(0);
    } finally {
      await bus.close();
    }
  });
});

describe('nobody does what is of others', () => {
  it.each([
    ['pmapd-node1', `odonata.${CLUSTER}.invalidate.7`],
    ['pmapd-node1', `$KV.odonata-${CLUSTER}-shards.0`],
    ['pmapd-node1', `$KV.odonata-${CLUSTER}-members.node1`],
    ['pmapd-node1', `$KV.odonata-${CLUSTER}-replicas.cohd`],
    ['pmapd-node1', `$KV.odonata-${CLUSTER}-dataspaces.x`],
    ['pmapd-node1', `$JS.API.STREAM.DELETE.odonata-${CLUSTER}-pages`],
    ['pmapd-node1', `$JS.API.STREAM.MSG.GET.KV_odonata-${CLUSTER}-members`],
    ['pmapd-node1', `$JS.API.STREAM.PURGE.KV_odonata-${CLUSTER}-shards`],
    ['pmapd-node1', inboxOf('pmapd-node2')],
    ['pmapd-node1', `${inboxOf('cohd')}.x`],
    ['pmapd-node1', 'odonata.other.invalidate.7'],
    ['cohd', `odonata.${CLUSTER}.pages.1.0`],
    ['cohd', `$JS.API.STREAM.MSG.GET.odonata-${CLUSTER}-pages`],
    ['cohd', `$JS.API.STREAM.PURGE.odonata-${CLUSTER}-pages`],
    ['cohd', `$KV.odonata-${CLUSTER}-store.bytes`],
    ['cohd', 'anything'],
    ['keeper', `$KV.odonata-${CLUSTER}-shards.0`],
    ['keeper', `odonata.${CLUSTER}.pages.1.0`],
    ['keeper', `$JS.API.STREAM.DELETE.odonata-${CLUSTER}-pages`],
    ['keeper', `odonata.${CLUSTER}.invalidate.7`],
  ])('%s does not publish to %s', async (user, subject) => {
    expect(await publishing(user, subject)).toEqual(VIOLATION);
  });

  it.each([
    ['pmapd-node1', '>'],
    ['pmapd-node1', '_INBOX.>'],
    ['pmapd-node1', `${inboxOf('pmapd-node2')}.>`],
    ['pmapd-node1', `$KV.odonata-${CLUSTER}-members.>`],
    ['pmapd-node1', `odonata.${CLUSTER}.pages.>`],
    ['pmapd-node1', '$JS.>'],
    ['cohd', `${inboxOf('pmapd-node1')}.>`],
    ['cohd', `odonata.${CLUSTER}.pages.>`],
    ['keeper', `odonata.${CLUSTER}.invalidate.>`],
    ['keeper', '$SYS.>'],
  ])('%s does not follow %s', async (user, subject) => {
    expect(await following(user, subject)).toEqual(VIOLATION);
  });

  it('who is nobody does not come in', async () => {
    const once = { servers: url, reconnect: false, timeout: 3_000 };
    await expect(connect(once)).rejects.toThrow(/Authorization|AUTHORIZATION/);
    await expect(connect({ ...once, user: 'cohd', pass: 'wrong' })).rejects.toThrow(
      /Authorization|AUTHORIZATION/,
    );
    await expect(connect({ ...once, token: 'secret' })).rejects.toThrow(/Authorization|AUTHORIZATION/);
  });

  it('what a service is refused is told in its log', async () => {
    const told: string[] = [];
    const log = {
      info: () => {},
      warn: () => {},
      error: (about: object) => told.push((about as { what: string }).what),
    };
    const bus = await Bus.connect({
      url,
      credentials: fileOf('pmapd-node1'),
      cluster: CLUSTER,
      name: 't',
      log,
    });
    try {
      bus.invalidate(7n, new Uint8Array([1]));
      await bus.nats.flush();
      await bus.nats.flush();
      // Once, though it is refused again.
      bus.invalidate(8n, new Uint8Array([1]));
      await expect(bus.bucket('shards')).rejects.toThrow(/Permissions Violation/);
      await bus.nats.flush();
      expect(told).toEqual([
        `publish odonata.${CLUSTER}.invalidate.7`,
        `publish $JS.API.STREAM.INFO.KV_odonata-${CLUSTER}-shards`,
      ]);
      expect(bus.refusals).toBe(3);
      const error = await bus.bucket('shards').catch((thrown) => bus.explain(thrown, 'the store'));
      expect(error).toMatchObject({ code: Code.FailedPrecondition });
    } finally {
      await bus.close();
    }
  });
});
