// Users of NATS as a cluster has them, on a real server: each does its own, and nothing of others.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@odonata/rpc/log.ts';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pickPorts } from '../../services/vkctl/cluster/ports.ts';
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
};
const folder = mkdtempSync(join(tmpdir(), 'odonata-permissions-'));
const fileOf = (user: string): string => join(folder, user);
let nats: ServiceProcess;
let url: string;
beforeAll(async () => {
  const users = Object.entries(USERS).map(([user, role]) => {
    writeFileSync(fileOf(user), `${user}\nsecret-of-${user}\n`, { mode: 0o600 });
    return { user, role, password: JSON.stringify(`secret-of-${user}`) };
  });
  const [port] = (await pickPorts(1)) as [number];
  url = `127.0.0.1:${port}`;
  writeFileSync(join(folder, 'nats.conf'), natsAuthorization(CLUSTER, users));
  nats = ServiceProcess.nats(port, join(folder, 'data'), ['-c', join(folder, 'nats.conf')]);
});
afterAll(async () => {
  await nats?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const busAs = (user: string): Promise<Bus> =>
  Bus.connect({ url, credentials: fileOf(user), cluster: CLUSTER, name: user, log: silentLog() });

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
      const seen: string[] = [];
      const stop = await node1.followBucket(await node1.bucket('replicas'), (entry) => {
        seen.push(`${entry.key} ${entry.operation}`);
      });
      expect(seen).toEqual(['key PUT']);
      stop();
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
    const log = { info: () => {}, warn: () => {}, error: (_: object, line: string) => told.push(line) };
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
      expect(told).toEqual(['NATS refuses what was asked']);
    } finally {
      await bus.close();
    }
  });
});
