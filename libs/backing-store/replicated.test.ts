// Against a cluster of three real NATS servers: what was acknowledged survives the loss of any one of them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { withBackoff } from '@odonata/rpc/backoff.ts';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PageStore, type PageToStore } from './page-store.ts';
import { freePorts } from './testdata/free-ports.ts';

const SERVERS = 3;
const PAGES = 200;
const folder = mkdtempSync(join(tmpdir(), 'odonata-replicated-store-'));
const servers: ChildProcess[] = [];
let connection: NatsConnection;

beforeAll(async () => {
  const ports = await freePorts(2 * SERVERS);
  const [clients, routes] = [ports.slice(0, SERVERS), ports.slice(SERVERS)];
  const peers = routes.map((port) => `nats://127.0.0.1:${port}`).join(',');
  for (let i = 0; i < SERVERS; i++) {
    const name = `server${i + 1}`;
    const place = ['-a', '127.0.0.1', '-p', `${clients[i]}`, '-n', name, '-js', '-sd', join(folder, name)];
    const cluster = [
      '--cluster_name',
      'replicated',
      '--cluster',
      `nats://127.0.0.1:${routes[i]}`,
      '--routes',
      peers,
    ];
    servers.push(spawn('nats-server', [...place, ...cluster], { stdio: 'ignore' }));
  }
  connection = await connect({
    servers: clients.map((port) => `nats://127.0.0.1:${port}`),
    ...{ waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 },
  });
}, 30_000);

afterAll(async () => {
  await connection?.close();
  for (const server of servers) {
    if (server.exitCode !== null || server.signalCode !== null) continue;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }
  rmSync(folder, { recursive: true });
});

const page = (number: number, version: number): PageToStore => ({
  ...{ page: number, version: BigInt(version) },
  bytes: new Uint8Array(PAGE_BYTES).fill((number * 7 + version) % 251),
});

test('the server that leads killed: all that was acknowledged is read, and more is stored', {
  timeout: 60_000,
}, async () => {
  // Until the servers have found each other.
  const open = () =>
    PageStore.open(connection, { cluster: 'test', replicas: 3, bytesMax: 64 << 20, requestMs: 2_000 });
  const store = await withBackoff(open, { maxAttempts: 40 });
  await store.write(
    1n,
    Array.from({ length: PAGES }, (_, i) => page(i, 1)),
  );
  const manager = await connection.jetstreamManager();
  const { config, cluster } = await manager.streams.info('odonata-test-pages');
  expect(config.num_replicas).toBe(3);
  // The one that leads the stream, which costs most.
  const leader = Number(/\d+$/.exec(cluster!.leader!)![0]) - 1;
  servers[leader]!.kill('SIGKILL');
  await once(servers[leader]!, 'exit');
  const read = await withBackoff(() => store.read(1n, 0, PAGES), { maxAttempts: 40 });
  expect(read.filter((p) => p.state !== 'INTACT' || p.bytes[0] !== page(p.page, 1).bytes[0])).toEqual([]);
  await withBackoff(() => store.write(1n, [page(3, 2)]), { maxAttempts: 40 });
  expect(await store.read(1n, 3, 1)).toMatchObject([{ state: 'INTACT', version: 2n }]);
});
