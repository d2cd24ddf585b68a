// Against a real NATS server.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { withBackoff } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import { connect, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeChunk, sealPage } from './chunk.ts';
import { PageStore, type PageToStore } from './page-store.ts';
import { type Ledger, streamOf } from './store-stream.ts';
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

function startServer(fileBytesMax = 2 ** 40): ChildProcess {
  const conf = join(folder, 'nats.conf');
  const limit = `max_file_store: ${fileBytesMax}`;
  writeFileSync(conf, `jetstream { store_dir: ${JSON.stringify(folder)}, ${limit} }\n`);
  const args = ['-a', '127.0.0.1', '-p', `${port}`, '-c', conf];
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
    message: expect.stringMatching(
      /the backing store has no room left in NATS .*maximum bytes.*remove durable/,
    ),
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

/** As a bucket is: it outlives the stream. */
function ledger(): Ledger & { bytes: number | undefined } {
  return {
    bytes: undefined as number | undefined,
    async read() {
      return this.bytes;
    },
    async note(bytes) {
      this.bytes = bytes;
    },
  };
}
const sizeOf = async (cluster: string): Promise<number> => {
  const manager = await connection.jetstreamManager();
  return (await manager.streams.info(streamOf(cluster))).config.max_bytes;
};
const MIB = 2 ** 20;

test('a server with little room: a store takes what fits and is found again, one that does not fit says how much it needs', async () => {
  await killServer();
  server = startServer(400 * MIB);
  const note = ledger();
  const open = (cluster: string, bytesMax: number) =>
    PageStore.open(connection, { ...options, cluster, bytesMax, ledger: note });
  await withBackoff(() => store.read(5n, 0, 1), { maxAttempts: 60 });
  const fits = await open('fits', 0);
  // Nothing was stored, and to ask for it makes nothing.
  expect((await fits.read(1n, 0, 1))[0]!.state).toBe('NEVER_STORED');
  expect(await fits.check(1n)).toEqual({ storedPages: 0, corruptPages: 0 });
  expect(note.bytes).toBeUndefined();
  await fits.write(1n, [filled(0, 1, 42)]);
  // 400 MiB, 64 of them another store's: 256 MiB and a quarter more.
  expect([await sizeOf('fits'), note.bytes]).toEqual([256 * MIB, 256 * MIB]);
  // There is no room for a second of that size: it is not asked for.
  const again = await open('fits', 0);
  await again.write(1n, [filled(1, 1, 43)]);
  expect((await again.read(1n, 0, 2)).map((p) => p.state)).toEqual(['INTACT', 'INTACT']);
  await expect(
    PageStore.open(connection, { ...options, cluster: 'large', bytesMax: 512 * MIB }).then((large) =>
      large.write(1n, [filled(0, 1, 1)]),
    ),
  ).rejects.toMatchObject({
    code: Code.ResourceExhausted,
    message: expect.stringMatching(
      /the backing store of 536870912 bytes needs 671088640 bytes of NATS's file store, which has less left; raise max_file_store .*--store SIZE/,
    ),
  });
  // A larger number lets it grow, one that is too large leaves it as it is.
  await (await open('fits', 300 * MIB)).write(1n, [filled(2, 1, 44)]);
  expect(await sizeOf('fits')).toBe(300 * MIB);
  await (await open('fits', 900 * MIB)).write(1n, [filled(3, 1, 45)]);
  expect(await sizeOf('fits')).toBe(300 * MIB);
  // A server that cannot have it any more: that is no store without pages, and no smaller one takes its place.
  const late = await open('fits', 0);
  await killServer();
  server = startServer(100 * MIB);
  const said = {
    code: Code.Unavailable,
    message: expect.stringMatching(/was made, and NATS does not have it now/),
  };
  await withBackoff(
    async () => {
      await expect(late.read(1n, 0, 1)).rejects.toMatchObject(said);
    },
    { maxAttempts: 60 },
  );
  await expect(late.write(1n, [filled(0, 2, 1)])).rejects.toMatchObject(said);
  await killServer();
  server = startServer();
  const back = await withBackoff(() => late.read(1n, 0, 4), { maxAttempts: 60 });
  expect(back.map((p) => p.state === 'INTACT' && p.bytes[0])).toEqual([42, 43, 44, 45]);
}, 90_000);
