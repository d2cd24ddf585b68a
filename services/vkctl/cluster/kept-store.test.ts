// A store that was made before NATS had accounts, on a real server: it is where its services look for it now, and back.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PageStore } from '@odonata/backing-store/page-store.ts';
import { Bus } from '@odonata/bus/bus.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterAll, expect, test } from 'vitest';
import { ServiceProcess } from '../../../test/operate/service-process.ts';
import { findTool } from '../supervisor/tool.ts';
import { natsConfig, placeStreams, storedBytes } from './kept-store.ts';
import { makeNatsUsers, natsFileOf, natsUsersConfig } from './nats-users.ts';
import { pickPorts } from './ports.ts';

const cluster = 'kept';
const stateDir = mkdtempSync(join(tmpdir(), 'odonata-kept-store-'));
const natsDir = join(stateDir, 'nats');
afterAll(() => rmSync(stateDir, { recursive: true, force: true }));

/** The server as `vkctl up` starts it. */
async function run(insecure: boolean, work: (cohd: Bus, pmapd: Bus) => Promise<void>): Promise<void> {
  const plan = { stateDir, cluster, nodes: [{ name: 'node1', index: 1 }] };
  placeStreams(natsDir, { cluster, insecure });
  const users = insecure ? '' : natsUsersConfig(plan, makeNatsUsers(plan, ['cohd']));
  writeFileSync(join(stateDir, 'nats.conf'), natsConfig(natsDir) + users);
  const [port] = (await pickPorts(1)) as [number];
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-c', join(stateDir, 'nats.conf')];
  const server = new ServiceProcess(findTool('nats-server')!, args);
  const as = (role: 'cohd' | 'pmapd', name: string) =>
    Bus.connect({
      ...{ url: `127.0.0.1:${port}`, cluster, name, log: silentLog() },
      credentials: insecure ? '' : natsFileOf(plan, role, name),
    });
  const [cohd, pmapd] = await Promise.all([as('cohd', 'cohd'), as('pmapd', 'node1')]);
  try {
    await work(cohd, pmapd);
  } finally {
    await Promise.all([cohd.close(), pmapd.close()]);
    await server.stop();
  }
}

const storeOf = (bus: Bus) => PageStore.open(bus.nats, { cluster, replicas: 1, bytesMax: 64 << 20 });
const page = { page: 1, version: 1n, bytes: new Uint8Array(4096).fill(7) };

test('what was stored stays, with the revisions of its records, whether the cluster has identities or not', {
  timeout: 30_000,
}, async () => {
  let revision = 0;
  await run(true, async (cohd, pmapd) => {
    revision = await (await cohd.bucket('dataspaces')).put('one', 'record');
    await (await storeOf(pmapd)).write(5n, [page]);
  });
  expect(storedBytes({ natsDir, cluster })).toBeGreaterThan(4096);
  for (const insecure of [false, true, false]) {
    await run(insecure, async (cohd, pmapd) => {
      const entry = await (await cohd.bucket('dataspaces')).get('one');
      expect({ insecure, text: entry?.string(), revision: entry?.revision }).toEqual({
        ...{ insecure, text: 'record', revision },
      });
      expect(await (await storeOf(pmapd)).read(5n, 1, 1)).toMatchObject([{ state: 'INTACT', version: 1n }]);
      if (!insecure) await expect(cohd.keysOf('store')).rejects.toThrow(/Permissions Violation/);
    });
    expect(storedBytes({ natsDir, cluster })).toBeGreaterThan(4096);
  }
});
