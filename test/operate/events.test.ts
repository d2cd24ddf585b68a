// The events of a cluster outlive its services: each is killed, and tells after it what it told before, and what came since.
import { connect } from 'node:tls';
import { splitAddress } from '@odonata/rpc/address.ts';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';

vi.setConfig({ testTimeout: 180_000 });

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1 });
}, 150_000);
afterAll(() => cluster?.down(), 90_000);

interface Told {
  id: string;
  service: string;
  kind: string;
  time: string;
}

const services = ['syslinkd', 'cohd', 'node1/pmapd', 'node1/vkerneld'];

async function told(): Promise<Told[]> {
  const { stdout } = await cluster.vkctl(['events', '--json', '--security']);
  return JSON.parse(stdout || '[]');
}

/** A handshake without a certificate, which is an event of whoever is there. */
async function knock(service: string): Promise<void> {
  const { host, port } = splitAddress(cluster.service(service).address);
  const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  // That is how it is refused.
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
}

it('outlive kill -9 and a restart of each service, and go on', async () => {
  for (const service of services) await knock(service);
  let before: Told[] = [];
  await until('each service has told of its knock', async () => {
    before = await told();
    return services.every((service) => before.some((event) => event.service === service));
  });
  for (const service of services) await cluster.kill(service);
  await cluster.well();
  expect(await told()).toEqual(before);
  const { stdout } = await cluster.vkctl(['events', '--json', '--kind', 'service-died']);
  const died = (JSON.parse(stdout) as Told[]).map(({ service }) => service);
  expect(died.sort()).toEqual([...services].sort());
  for (const service of services) await knock(service);
  let after: Told[] = [];
  await until('each service has told of the second one', async () => {
    after = await told();
    return services.every((name) => after.filter(({ service }) => service === name).length > 1);
  });
  for (const name of services) {
    const ids = after.filter(({ service }) => service === name).map(({ id }) => Number(id));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  }
});
