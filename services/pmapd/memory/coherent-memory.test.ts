// What people are told when the node does not get pages that it needs for them.
import { mkdtempSync, rmSync } from 'node:fs';
import { PagePool } from '@odonata/pmap/wire/page-buffer.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Charges } from '../frames/charge.ts';
import { Frames } from '../frames/frames.ts';
import { Statistics } from '../statistics.ts';
import { CoherentMemory, type OutsideAction } from './coherent-memory.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

let memoryDir: string;
beforeEach(() => {
  memoryDir = mkdtempSync('/dev/shm/odonata-test-');
});
afterEach(() => rmSync(memoryDir, { recursive: true }));

function node(framesMax = 100) {
  const actions: OutsideAction[] = [];
  const told: string[] = [];
  const frames = new Frames(framesMax, new Charges());
  const memory = new CoherentMemory({
    ...{ memoryDir, shards: 1, frames, pool: new PagePool() },
    permissions: { usable: () => true, epochOf: () => 1n, modifies: () => false },
    ...{ tally: new Statistics(), perform: (action) => actions.push(action) },
    onMended: () => {},
    onNoFrames: (reason) => told.push(reason),
  });
  const open = (whole: boolean) =>
    memory.open({ id: 1n, name: 'd', sizeBytes: 8n * 4096n, durable: false }, whole);
  return { memory, open, actions, told, frames };
}

const read = (memory: CoherentMemory, dataspace: SharedDataspace): Promise<unknown> =>
  memory.withPages(dataspace, 0, 2, 'READ', () => dataspace.file.read(0, 2)).catch((error: unknown) => error);

const codeOf = async (result: Promise<unknown>): Promise<unknown> => {
  const error = await result;
  return error instanceof RpcError ? error.code : error;
};

test('what is here is used at once', async () => {
  const { memory, open } = node();
  const dataspace = open(true);
  await memory.withPages(dataspace, 1, 1, 'WRITE', () => dataspace.file.writeAt(4096, Buffer.alloc(4096, 7)));
  expect(Buffer.from((await read(memory, dataspace)) as Buffer)[4096]).toBe(7);
});

test('pages that are LOST are DATA_LOSS; of a dataspace that goes meanwhile it is NOT_FOUND', async () => {
  const { memory, open, actions } = node();
  const dataspace = open(false);
  const first = read(memory, dataspace);
  expect(actions).toMatchObject([{ type: 'acquire', run: { firstPage: 0, pageCount: 2 } }]);
  const run = { dataspace: 1n, firstPage: 0, pageCount: 2 };
  memory.step({ type: 'refuse', run, mode: 'READ', reason: 'LOST', version: 3 });
  expect(await codeOf(first)).toBe(Code.DataLoss);
  const second = read(memory, dataspace);
  memory.remove(1n);
  expect(await codeOf(second)).toBe(Code.NotFound);
  expect(await codeOf(read(memory, dataspace))).toBe(Code.NotFound);
});

test('while another pmap manager takes its place all is to be tried again; who waited goes on if it does not', async () => {
  const { memory, open } = node();
  const dataspace = open(false);
  const waits = read(memory, dataspace);
  memory.freeze();
  const error = await read(memory, dataspace);
  expect(await codeOf(Promise.resolve(error))).toBe(Code.Unavailable);
  expect((error as RpcError).detail('google.rpc.RetryInfo')?.retryDelay).toBeDefined();
  memory.unfreeze();
  const run = { dataspace: 1n, firstPage: 0, pageCount: 2 };
  const grant = { state: 'MODIFIED', version: 1, zero: true, restore: false, stored: false } as const;
  memory.step({ type: 'grant', run, ...grant });
  expect(await waits).toHaveLength(2 * 4096);
});

test('a node without frames says so, and how to get more', async () => {
  const { memory, open, told, frames } = node(1);
  const error = await read(memory, open(false));
  expect(await codeOf(Promise.resolve(error))).toBe(Code.ResourceExhausted);
  expect(String(error)).toMatch(/no frames for 2 more pages of dataspace d: .*--node-memory/);
  expect(told).toHaveLength(1);
  // Nothing was asked for, so nothing is kept.
  expect(frames.free).toBe(1);
});
