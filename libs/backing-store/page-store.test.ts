// Against a real NATS server.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code } from '@odonata/rpc/error.ts';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeChunk, PAGE_BYTES, sealPage } from './chunk.ts';
import { PageStore, type PageToStore } from './page-store.ts';
import { freePorts } from './testdata/free-ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'odonata-page-store-'));
let port: number;
let server: ChildProcess;
let connection: NatsConnection;
let store: PageStore;
const options = { cluster: 'test', replicas: 1, bytesMax: 64 << 20, requestMs: 1_000 };

const filled = (page: number, version: number, fill: number): PageToStore => ({
  page,
  version: BigInt(version),
  bytes: new Uint8Array(PAGE_BYTES).fill(fill),
});
const states = async (dataspace: bigint, firstPage: number, pageCount: number) =>
  (await store.read(dataspace, firstPage, pageCount)).map((p) =>
    p.state === 'INTACT' ? `${p.page} v${p.version} ${p.bytes[0]}` : `${p.page} ${p.state}`,
  );

function startServer(): ChildProcess {
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', folder];
  return spawn('nats-server', args, { stdio: 'ignore' });
}

async function killServer(): Promise<void> {
  server.kill('SIGKILL');
  await once(server, 'exit');
}

beforeAll(async () => {
  [port] = (await freePorts(1)) as [number];
  server = startServer();
  const servers = `nats://127.0.0.1:${port}`;
  connection = await connect({
    ...{ servers, waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 },
  });
  store = await PageStore.open(connection, options);
}, 30_000);

afterAll(async () => {
  await connection?.close();
  await killServer();
  rmSync(folder, { recursive: true });
});

test('what was stored is read, across chunks, and what never was is told apart from zeros', async () => {
  await store.write(1n, [filled(62, 1, 6), filled(63, 2, 0), filled(64, 3, 8), filled(200, 1, 9)]);
  expect(await states(1n, 61, 5)).toEqual([
    '61 NEVER_STORED',
    '62 v1 6',
    '63 v2 0',
    '64 v3 8',
    '65 NEVER_STORED',
  ]);
  await store.write(1n, [filled(62, 5, 7)]);
  expect(await states(1n, 62, 3)).toEqual(['62 v5 7', '63 v2 0', '64 v3 8']);
  expect(await states(2n, 62, 1)).toEqual(['62 NEVER_STORED']);
  await store.remove(1n);
  expect(await states(1n, 200, 1)).toEqual(['200 NEVER_STORED']);
});

test('many who sync one chunk at the same time: each page keeps its highest version', async () => {
  const rounds = Array.from({ length: 8 }, (_, i) => [filled(i, 1, i), filled(63, i + 1, i)]);
  const stores = await Promise.all(rounds.map(() => PageStore.open(connection, options)));
  await Promise.all(rounds.map((pages, i) => stores[i]!.write(3n, pages)));
  const all = await states(3n, 0, 64);
  expect(all.slice(0, 8)).toEqual(rounds.map((_, i) => `${i} v1 ${i}`));
  expect(all[63]).toBe('63 v8 7');
  await store.write(3n, [filled(63, 4, 99)]);
  expect(await states(3n, 63, 1)).toEqual(['63 v8 7']);
});

test('a page that was changed in the store is corrupt, its neighbours are not, and a torn chunk is so as a whole', async () => {
  await store.write(4n, [filled(0, 1, 1), filled(1, 1, 2)]);
  const id = { dataspace: 4n, number: 0 };
  const pages = [filled(0, 1, 1), filled(1, 1, 2)].map(
    (p) => [p.page, sealPage(4n, p.page, 1n, p.bytes)] as const,
  );
  const changed = encodeChunk(id, new Map(pages));
  changed[changed.length - 1]! ^= 1;
  const jetstream = connection.jetstream();
  await jetstream.publish('odonata.test.pages.4.0', changed);
  expect(await states(4n, 0, 3)).toEqual(['0 v1 1', '1 CORRUPT', '2 NEVER_STORED']);
  await store.write(4n, [filled(2, 1, 3)]);
  expect(await states(4n, 0, 3)).toEqual(['0 v1 1', '1 CORRUPT', '2 v1 3']);
  expect(await store.check(4n)).toEqual({ storedPages: 2, corruptPages: 1 });
  await jetstream.publish('odonata.test.pages.4.0', changed.subarray(0, 5000));
  expect(await store.check(4n)).toEqual({ storedPages: 0, corruptPages: 1 });
  expect(await store.check(99n)).toEqual({ storedPages: 0, corruptPages: 0 });
  expect(await states(4n, 0, 3)).toEqual(['0 CORRUPT', '1 CORRUPT', '2 CORRUPT']);
  await expect(store.write(4n, [filled(0, 2, 4)])).rejects.toMatchObject({ code: Code.DataLoss });
});

test('a full store says so, and keeps what it has', async () => {
  const small = await PageStore.open(connection, { ...options, cluster: 'small', bytesMax: 400_000 });
  const pages = (first: number) => Array.from({ length: 64 }, (_, i) => filled(first + i, 1, 5));
  await small.write(1n, pages(0));
  await expect(small.write(1n, pages(64))).rejects.toMatchObject({
    code: Code.ResourceExhausted,
    message: expect.stringContaining('the backing store is full (400000 bytes'),
  });
  expect((await small.read(1n, 0, 65)).map((p) => p.state).slice(62)).toEqual([
    'INTACT',
    'INTACT',
    'NEVER_STORED',
  ]);
});

test('while the server is away nothing is acknowledged; what was is there after kill -9 and a start', async () => {
  await store.write(5n, [filled(0, 1, 42)]);
  await killServer();
  await expect(store.write(5n, [filled(1, 1, 43)])).rejects.toMatchObject({ code: Code.Unavailable });
  await expect(store.read(5n, 0, 1)).rejects.toMatchObject({ code: Code.Unavailable });
  server = startServer();
  for (;;) {
    const read = await store.read(5n, 0, 1).catch(() => undefined);
    if (read !== undefined) break;
  }
  expect(await states(5n, 0, 2)).toEqual(['0 v1 42', '1 NEVER_STORED']);
  await store.write(5n, [filled(1, 1, 43)]);
  expect(await states(5n, 0, 2)).toEqual(['0 v1 42', '1 v1 43']);
}, 60_000);
