import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { expect, test, vi } from 'vitest';
import { SharedLease } from './shared-lease.ts';

const inMs = (ms: number): bigint => process.hrtime.bigint() + BigInt(ms) * 1_000_000n;
/** Nothing of this thread runs for so long, as when it is stopped or has no core. */
const standStill = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await turn();
};

test('ends at its deadline, and not where a later one came, or none is needed', async () => {
  const onEnd = vi.fn();
  const lease = new SharedLease(onEnd);
  lease.renew(inMs(5));
  lease.renew(inMs(60_000));
  await sleep(20);
  lease.renew(inMs(5));
  lease.renew(0n);
  await sleep(20);
  expect(onEnd).not.toHaveBeenCalled();
  lease.renew(inMs(5));
  await expect.poll(() => onEnd.mock.calls.length).toBe(1);
});

test('who stood still reads what came meanwhile before its lease ends', async () => {
  const onEnd = vi.fn();
  const lease = new SharedLease(onEnd);
  const { port1, port2 } = new MessageChannel();
  port1.on('message', (deadlineNs: bigint) => lease.renew(deadlineNs));
  try {
    lease.renew(inMs(10));
    // The first of them is over as well when it is read.
    for (const ms of [20, 60_000]) port2.postMessage(inMs(ms));
    standStill(50);
    await turns(10);
    expect(onEnd).not.toHaveBeenCalled();

    lease.renew(inMs(10));
    port2.postMessage(inMs(20));
    standStill(50);
    await turns(10);
    expect(onEnd).toHaveBeenCalledTimes(1);
  } finally {
    lease.renew(0n);
    port1.close();
  }
});
