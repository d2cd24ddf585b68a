// Threads with a JavaScript heap that fits the quota of the program that they are for.
import type { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { heapMbOf, WarmWorkers } from './warm-workers.ts';

const MIB = 2 ** 20;
let workers: WarmWorkers | undefined;
afterEach(async () => await workers?.close());

test('a quarter of the quota, as much as V8 needs at least, and 256 MiB at most', () => {
  const quotas = [1, 64, 128, 255, 256, 512, 1_000, 1_024, 4_096].map((mib) => heapMbOf(mib * MIB));
  expect(quotas).toEqual([32, 32, 32, 32, 64, 128, 128, 256, 256]);
});

test('each thread has that, whoever came before, and V8 holds it to it', async () => {
  workers = new WarmWorkers(1);
  const heaps = [];
  for (const quotaMib of [1_024, 64, 64, 512]) {
    const { worker } = await workers.take(quotaMib * MIB);
    heaps.push(worker.resourceLimits?.maxOldGenerationSizeMb);
    await worker.terminate();
  }
  expect(heaps).toEqual([256, 32, 32, 128]);
});

test('where one program follows another more threads wait, and some seconds later the usual ones again', async () => {
  let started = 0;
  let ended = 0;
  let most = 0;
  workers = new WarmWorkers(1, (make) => {
    const worker = make();
    started += 1;
    most = Math.max(most, started - ended);
    worker.once('exit', () => {
      ended += 1;
    });
    return worker;
  });
  const taken = [];
  for (let i = 0; i < 3; i++) taken.push(await workers.take(64 * MIB));
  // They may be gone again before a machine that is busy looks.
  // One of another heap, which nobody took, may still be ending.
  await expect.poll(() => most, { timeout: 20_000 }).toBeGreaterThanOrEqual(3 + 4);
  await expect.poll(() => started - ended, { timeout: 20_000 }).toBe(3 + 1);
  await Promise.all(taken.map(({ worker }) => worker.terminate()));
});

test('where nothing starts for long none waits, until something does', async () => {
  let started = 0;
  let ended = 0;
  const counted = (make: () => Worker) => {
    started += 1;
    return make().once('exit', () => {
      ended += 1;
    });
  };
  workers = new WarmWorkers(2, counted, 300);
  await expect.poll(() => started - ended, { timeout: 20_000 }).toBe(0);
  // The first program, which would wait for it, has not come.
  expect(started).toBe(1);
  const { worker } = await workers.take(64 * MIB);
  await expect.poll(() => started, { timeout: 20_000 }).toBe(4);
  await expect.poll(() => started - ended, { timeout: 20_000 }).toBe(1);
  await worker.terminate();
});
