// In a mount namespace of its own: `full-disk.ts SERVERS`. Fills the disk under so many NATS servers while pages are
// synced, frees it, and prints what a keeper for each server made of it, as JSON.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PageStore } from '@odonata/backing-store/page-store.ts';
import { StoreDisk } from '@odonata/bus/store-disk.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { withBackoff } from '@odonata/rpc/backoff.ts';
import { RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { connect } from 'nats';
import { pickPorts } from '../../cluster/ports.ts';
import { StoreKeeper } from '../store-keeper.ts';

const count = Number(process.argv[2]);
const folder = mkdtempSync(join(tmpdir(), 'odonata-full-disk-'));
execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${64 + 60 * count}m`, 'odonata-test', folder]);
const ports = await pickPorts(2 * count);
const routes = ports.slice(count).map((port) => `nats://127.0.0.1:${port}`);
const servers: ChildProcess[] = [];
let restarts = 0;

function start(i: number): void {
  const store = join(folder, `server${i}`);
  mkdirSync(store, { recursive: true });
  const file = `${store}.conf`;
  const clustered =
    count > 1
      ? `cluster { name: full, listen: ${JSON.stringify(`127.0.0.1:${ports[count + i]}`)}, routes: ${JSON.stringify(routes)} }`
      : '';
  const about = `server_name: server${i}\njetstream { store_dir: ${JSON.stringify(store)}, max_file_store: 1TB }\n${clustered}\n`;
  if (restarts === 0) writeFileSync(file, about);
  const server = spawn('nats-server', ['-a', '127.0.0.1', '-p', `${ports[i]}`, '-c', file], {
    stdio: 'ignore',
  });
  server.once('exit', () => {
    if (servers[i] === server) setTimeout(() => servers[i] === server && start(i), 200);
  });
  servers[i] = server;
}
for (let i = 0; i < count; i++) start(i);
process.on('exit', () => {
  for (const server of servers) server.kill('SIGKILL');
  execFileSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true, force: true });
});
const keepers = Array.from({ length: count }, (_, i) => {
  const restart = () => {
    restarts++;
    servers[i]!.kill('SIGKILL');
  };
  const address = `127.0.0.1:${ports[i]}`;
  return new StoreKeeper({ folder, address, restart, revive: () => {}, log: silentLog() });
});

const connection = await connect({
  servers: ports.slice(0, count).map((port) => `127.0.0.1:${port}`),
  ...{ waitOnFirstConnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50, pingInterval: 1_000 },
});
const options = { cluster: 'full', replicas: count, bytesMax: 64 << 20, requestMs: 1_000 };
const patiently = <T>(ask: () => Promise<T>) => withBackoff(ask, { maxAttempts: 60 });
// One that can look at the disk, and one that meets its end.
const careful = await patiently(() =>
  PageStore.open(connection, { ...options, disk: new StoreDisk(folder) }),
);
const careless = await patiently(() => PageStore.open(connection, options));

const acknowledged = new Map<number, number>();
async function write(store: PageStore, page: number, version: number): Promise<string> {
  const bytes = new Uint8Array(PAGE_BYTES).fill((page + version) % 251);
  const pages = Array.from({ length: 64 }, (_, i) => ({
    page: page * 64 + i,
    version: BigInt(version),
    bytes,
  }));
  try {
    await store.write(1n, pages);
    acknowledged.set(page, version);
    return 'stored';
  } catch (error) {
    return error instanceof RpcError ? error.message : String(error);
  }
}
/** Chunks that have not what was acknowledged, or later. */
async function wrong(): Promise<number[]> {
  const found: number[] = [];
  for (const [page, version] of acknowledged) {
    const [read] = await patiently(() => careless.read(1n, page * 64, 1));
    const at = read!.state === 'INTACT' ? Number(read!.version) : 0;
    if (at < version || (read!.state === 'INTACT' && read!.bytes[0] !== (page + at) % 251)) found.push(page);
  }
  return found;
}

await patiently(async () => {
  const end = await write(careful, 0, 1);
  if (end !== 'stored') throw new Error(end);
});
for (let page = 1; page < 20; page++) await write(careful, page, 1);
const before = acknowledged.size;
for (const keeper of keepers) keeper.start();
// Another program's file.
const hog = openSync(join(folder, 'hog'), 'w');
try {
  for (;;) writeSync(hog, Buffer.alloc(1 << 20));
} catch {
  // Full.
}
closeSync(hog);
const refused = await write(careful, 0, 2);
const met: string[] = [];
for (let page = 0; page < 4; page++) met.push(await write(careless, page, 3));
rmSync(join(folder, 'hog'));
const freedMs = performance.now();
let after = await write(careful, 5, 4);
for (let tries = 0; after !== 'stored' && tries < 60; tries++) {
  await sleep(200);
  after = await write(careful, 5, 4);
}
const backMs = Math.round(performance.now() - freedMs);
console.log(JSON.stringify({ before, refused, met, after, backMs, restarts, wrong: await wrong() }));
for (const keeper of keepers) keeper.stop();
await connection.close();
process.exit(0);
