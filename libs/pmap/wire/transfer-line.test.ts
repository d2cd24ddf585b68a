// Pages between two nodes over real sockets: a line that is cut half-way, a receiver that does not read, bytes that are spoilt on
// their way.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { TransferService } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { createRpcServer, failStream, raw } from '@odonata/rpc/server.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterEach, expect, test, vi } from 'vitest';

import { type Arrived, transferHandlers } from './arriving.ts';
import { PageBuffer, PagePool } from './page-buffer.ts';
import { SpoiltMessages } from './spoilt-messages.ts';
import { Transfers } from './transfer.ts';

const PAGES = 64;
const MIB = 2 ** 20;
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A node that takes pages: which ones came, and the first byte of each. @param takesFrom of which dataspaces it wants them */
async function receiver(takesFrom: (caller: unknown, dataspace: bigint) => boolean = () => true) {
  const came: { firstPage: number; byte: number }[] = [];
  const step = (event: Arrived): void => {
    if (event.type !== 'arrive') return;
    const { data } = event.bytes;
    expect(data.every((byte) => byte === data[0])).toBe(true);
    came.push({ firstPage: event.data.run.firstPage, byte: data[0]! });
  };
  const events = { add: vi.fn() };
  const spoilt = new SpoiltMessages(events);
  const node = { memory: { step }, line: { acceptsFor: () => true }, spoilt, takesFrom };
  const server = createRpcServer({ name: 'pmapd', log: silentLog() });
  server.add(TransferService, transferHandlers(node, new WireGate('pmapd', silentLog())));
  const address = await server.listen('127.0.0.1:0');
  closing.push(() => server.drain(0));
  return { came, spoilt, events, port: Number(address.split(':').at(-1)) };
}

/** What is between two nodes. */
class Line {
  /** Bytes that went to the receiver, connection by connection. */
  readonly carried: number[] = [];
  /** Sees what goes to the receiver, and may change it; 'cut' ends the connection. */
  onData: (data: Buffer, carried: number) => 'cut' | undefined = () => undefined;
  private readonly sockets = new Set<Socket>();
  private held = false;
  private server: Server | undefined;

  async open(port: number): Promise<string> {
    const server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      const index = this.carried.push(0) - 1;
      const end = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) {
        this.sockets.add(socket);
        socket.on('error', end).on('close', () => {
          this.sockets.delete(socket);
          end();
        });
      }
      near.on('data', (data: Buffer) => {
        this.carried[index]! += data.length;
        if (this.onData(data, this.carried[index]!) === 'cut') end();
        else far.write(data);
      });
      if (this.held) near.pause();
      far.pipe(near);
    });
    this.server = server;
    closing.push(() => this.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  /** From now on the receiver's side reads nothing. */
  hold(): void {
    this.held = true;
  }

  /** Ends what is connected now. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private close(): void {
    this.cut();
    this.server?.close();
  }
}

function sender() {
  const onDropped = vi.fn<(address: string, pages: number) => void>();
  const transfers = new Transfers({ log: silentLog(), pool: new PagePool(), onDropped });
  closing.push(() => transfers.close());
  const send = (address: string, chunk: number, byte = chunk % 251, dataspace = 1n): void => {
    const run = { dataspace, firstPage: chunk * PAGES, pageCount: PAGES };
    const about = { version: 1, state: 'SHARED', epoch: 1n, sender: 1, receiver: 2 } as const;
    const bytes = new PageBuffer(Buffer.alloc(PAGES * PAGE_BYTES, byte));
    transfers.send(address, run, about, bytes, false);
  };
  return { transfers, send, onDropped };
}

const chunks = (count: number) =>
  [...Array(count).keys()].map((chunk) => ({ firstPage: chunk * PAGES, byte: chunk % 251 }));

test('a line that is cut half-way goes on where it was: nothing twice, nothing from the start', async () => {
  const { came, port } = await receiver();
  const line = new Line();
  const address = await line.open(port);
  const { transfers, send, onDropped } = sender();
  line.onData = (_, carried) => (line.carried.length === 1 && carried > 6 * MIB ? 'cut' : undefined);
  for (let chunk = 0; chunk < 48; chunk++) send(address, chunk);
  await vi.waitFor(() => expect(came).toHaveLength(48), 10_000);
  expect(came).toEqual(chunks(48));
  expect(transfers.resumed).toBe(1);
  expect(transfers.sentAgain).toBeLessThan(33);
  // 12 MiB in all, of which nearly half was there: what was under way may have been lost, and no more.
  expect(line.carried).toHaveLength(2);
  expect(line.carried[1]! / MIB).toBeLessThan(12 - 6 + 2);
  expect(onDropped).not.toHaveBeenCalled();
  await vi.waitFor(() => expect(transfers.tally).toMatchObject({ inFlightBytes: 0, waitingBytes: 0 }));
});

test('a receiver that does not read costs the sender bounded memory, and others nothing', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  const slow = await receiver();
  const line = new Line();
  line.hold();
  const stuck = await line.open(slow.port);
  const quick = await receiver();
  const { transfers, send, onDropped } = sender();
  send(stuck, 0);
  await vi.waitFor(() => expect(line.carried).toHaveLength(1));
  gc();
  const before = process.memoryUsage().arrayBuffers;
  for (let chunk = 1; chunk < 1_000; chunk++) send(stuck, chunk);
  for (let chunk = 0; chunk < 40; chunk++) send(`127.0.0.1:${quick.port}`, chunk);
  await vi.waitFor(() => expect(quick.came).toEqual(chunks(40)), 10_000);
  // A buffer is freed some time after V8 found it.
  const grown = await vi.waitFor(() => {
    gc();
    const mib = (process.memoryUsage().arrayBuffers - before) / MIB;
    expect(mib).toBeLessThan(32);
    return mib;
  }, 5_000);
  console.log(`250 MiB to a node that reads nothing: ${grown.toFixed(1)} MiB of memory`);
  const { inFlightBytes, waitingBytes } = transfers.tally;
  expect(inFlightBytes + waitingBytes).toBeLessThanOrEqual(18 * MIB);
  expect(onDropped.mock.calls.length).toBeGreaterThan(900);
  expect(transfers.droppedPages).toBe(onDropped.mock.calls.length * PAGES);
}, 20_000);

test('a chunk that is spoilt on its way is not taken, and comes again', async () => {
  const { came, spoilt, events, port } = await receiver();
  const line = new Line();
  const address = await line.open(port);
  const { transfers, send } = sender();
  let spoils = 1;
  line.onData = (data) => {
    // Within the pages of one chunk.
    const at = data.indexOf(Buffer.alloc(64, 9));
    if (at < 0 || spoils === 0) return undefined;
    spoils--;
    data[at + 32]! ^= 4;
    return undefined;
  };
  for (let chunk = 0; chunk < 20; chunk++) send(address, chunk);
  await vi.waitFor(() => expect(came).toHaveLength(20), 10_000);
  expect(came).toEqual(chunks(20));
  expect([spoilt.count, transfers.resumed]).toEqual([1, 1]);
  expect(events.add.mock.calls).toEqual([['pages-spoilt', expect.stringContaining('is sent again')]]);
});

test('one that is spoilt each time is given up, and the others come', async () => {
  const { came, spoilt, port } = await receiver();
  const line = new Line();
  const address = await line.open(port);
  const { send, onDropped } = sender();
  line.onData = (data) => {
    const at = data.indexOf(Buffer.alloc(64, 9));
    if (at >= 0) data[at + 32]! ^= 4;
    return undefined;
  };
  for (let chunk = 0; chunk < 20; chunk++) send(address, chunk);
  await vi.waitFor(() => expect(came).toHaveLength(19), 10_000);
  expect(came).toEqual(chunks(20).filter(({ byte }) => byte !== 9));
  expect([spoilt.count, onDropped.mock.calls]).toEqual([3, [[address, PAGES]]]);
});

test('pages that a node does not want are passed over, and the others of the line come', async () => {
  const { came, port } = await receiver((_, dataspace) => dataspace === 1n);
  const { transfers, send, onDropped } = sender();
  const address = `127.0.0.1:${port}`;
  for (let chunk = 0; chunk < 10; chunk++) send(address, chunk, chunk, chunk % 5 === 0 ? 2n : 1n);
  await vi.waitFor(() => expect(came).toHaveLength(8), 10_000);
  expect(came).toEqual(chunks(10).filter(({ byte }) => byte % 5 !== 0));
  await vi.waitFor(() => expect(transfers.tally).toMatchObject({ inFlightBytes: 0, waitingBytes: 0 }));
  expect(transfers.resumed).toBe(0);
  expect(onDropped).not.toHaveBeenCalled();
});

test('a line that breaks each time before anything is taken is opened again after longer and longer pauses', async () => {
  const server = createRpcServer({ name: 'pmapd', log: silentLog() });
  let streams = 0;
  server.add(TransferService, {
    adopt: () => ({}),
    deliver: raw((call) => {
      call.on('data', () => {
        call.write({ wire: wireSpoken(), received: 0n });
        failStream(call, new RpcError(Code.PermissionDenied, `no, for the ${++streams}th time`));
      });
    }),
  });
  const address = await server.listen('127.0.0.1:0');
  closing.push(() => server.drain(0));
  const { transfers, send } = sender();
  const beginMs = performance.now();
  send(address, 0);
  await vi.waitFor(() => expect(streams).toBeGreaterThanOrEqual(6), 20_000);
  // 20, 40, 80, 160 and 320 ms.
  expect(performance.now() - beginMs).toBeGreaterThan(600);
  expect(transfers.resumed).toBeGreaterThanOrEqual(5);
}, 30_000);

test('a line that is closed stays so, however its stream ends', async () => {
  const { came, port } = await receiver();
  const line = new Line();
  line.hold();
  const address = await line.open(port);
  const { transfers, send } = sender();
  for (let chunk = 0; chunk < 4; chunk++) send(address, chunk);
  await vi.waitFor(() => expect(line.carried).toHaveLength(1));
  transfers.close();
  line.cut();
  await new Promise((resolve) => setTimeout(resolve, 100)); // A retry would come after 20 ms.
  expect([line.carried, came]).toEqual([[0], []]);
});
