// A web server for a table that guests on all nodes keep up to date: what it answers with is what stands in their memory at that
// moment. No query goes anywhere. A page that a guest has written since comes by itself when it is read, once.
//
//   node table-server.ts TABLE ROWS [PORT]      by Node 24; then row.c on each node; GET / and GET /ROW
//
// The memory is read in a worker: who waits for a page is that thread, and other requests are answered meanwhile.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { connect } from '@odonata/client';

const PAGE_BYTES = 4096;
const VALUES = 64;
const TRIES_MAX = 1_000_000;

interface Row {
  readonly version: number;
  readonly node: number;
  readonly values: readonly number[];
}

/** A page whose version is odd is being written; one whose version changed meanwhile was. */
function rowOf(bytes: SharedArrayBuffer, row: number): Row {
  const words = new Uint32Array(bytes, row * PAGE_BYTES, 2 + VALUES);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const version = Atomics.load(words, 0);
    const [, node = 0, ...values] = words;
    if (version % 2 === 0 && Atomics.load(words, 0) === version) return { version, node, values };
  }
  throw new Error(`row ${row} is always being written`);
}

async function serve(table: string, rows: number, port: number): Promise<void> {
  await using cluster = await connect();
  await using opened = await cluster.open(table, { sizeBytes: rows * PAGE_BYTES });
  // A table that broke is served no more: whoever started this starts it again.
  opened.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  const reader = new Worker(new URL(import.meta.url), { workerData: await opened.map() });
  const asked = new Map<number, (answer: string) => void>();
  let last = 0;
  reader.on('message', ([id, answer]: [number, string]) => {
    asked.get(id)?.(answer);
    asked.delete(id);
  });
  const server = createServer(async ({ url = '/' }, response) => {
    const wanted = url === '/' ? [...Array(rows).keys()] : [Number(url.slice(1))];
    if (!wanted.every((row) => Number.isInteger(row) && row >= 0 && row < rows))
      return response.writeHead(404).end();
    const id = ++last;
    const answer = await new Promise<string>((resolve) => {
      asked.set(id, resolve);
      reader.postMessage([id, wanted]);
    });
    opened.expectWhole();
    return response.setHeader('content-type', 'application/json').end(answer);
  });
  const listening = once(server, 'listening'); // Or its error, as where the port is taken.
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    console.log(`http://127.0.0.1:${typeof address === 'object' ? address?.port : port}`);
  });
  try {
    await listening;
    await new Promise((resolve) => process.once('SIGTERM', resolve));
    server.close();
  } finally {
    await reader.terminate();
  }
}

if (isMainThread) {
  const [table = 'table', rows = '3', port = '0'] = process.argv.slice(2);
  await serve(table, Number(rows), Number(port)).catch((error) => {
    console.error(`table-server: ${error.message}`);
    process.exitCode = 1;
  });
} else {
  const bytes = workerData as SharedArrayBuffer;
  parentPort!.on('message', ([id, rows]: [number, number[]]) => {
    parentPort!.postMessage([id, JSON.stringify(rows.map((row) => rowOf(bytes, row)))]);
  });
}
