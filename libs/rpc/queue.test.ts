import { describe, expect, it } from 'vitest';
import { Backoff, delay, withBackoff } from './backoff.ts';
import { Code, RpcError } from './error.ts';
import { BoundedQueue } from './queue.ts';

describe('BoundedQueue', () => {
  it('keeps order, offers until full, and lets a waiting push in when there is room', async () => {
    const queue = new BoundedQueue<number>({ name: 'q', capacity: 2 });
    queue.offer(1);
    queue.offer(2);
    expect(() => queue.offer(3)).toThrow('RESOURCE_EXHAUSTED: q is full (2)');
    const pushed: string[] = [];
    const third = queue.push(3).then(() => pushed.push('3'));
    await delay(5);
    expect(pushed).toEqual([]);
    expect(await queue.next()).toEqual({ done: false, value: 1 });
    await third;
    queue.close();
    const rest: number[] = [];
    for await (const item of queue) rest.push(item);
    expect(rest).toEqual([2, 3]);
  });

  it('weighs items, and takes one that is heavier than the whole', async () => {
    const queue = new BoundedQueue<Uint8Array>({ name: 'q', capacity: 10, weigh: (b) => b.length });
    queue.offer(new Uint8Array(100));
    expect(queue.weight).toBe(100);
    expect(() => queue.offer(new Uint8Array(1))).toThrow(RpcError);
    await queue.next();
    queue.offer(new Uint8Array(1));
  });

  it('fail reaches both sides; a reader that leaves frees the writers', async () => {
    const queue = new BoundedQueue<number>({ name: 'q', capacity: 1 });
    const reading = queue.next();
    queue.fail(new RpcError(Code.Unavailable, 'gone'));
    await expect(reading).rejects.toThrow('UNAVAILABLE: gone');
    await expect(queue.push(1)).rejects.toThrow('UNAVAILABLE: gone');
    const left = new BoundedQueue<number>({ name: 'left', capacity: 1 });
    left.offer(1);
    const writers = Promise.allSettled([left.push(2), left.push(3)]);
    for await (const _item of left) break;
    expect((await writers).map((w) => w.status)).toContain('rejected');
  });

  it('stays correct over many items', async () => {
    const queue = new BoundedQueue<number>({ name: 'q', capacity: 100 });
    const writing = (async () => {
      for (let i = 0; i < 10_000; i++) await queue.push(i);
      queue.close();
    })();
    let expected = 0;
    for await (const item of queue) expect(item).toBe(expected++);
    await writing;
    expect(expected).toBe(10_000);
    expect(queue.weight).toBe(0);
  });
});

describe('Backoff', () => {
  it('doubles up to its bound with jitter in the upper half', () => {
    const low = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 0 });
    expect(Array.from({ length: 6 }, () => low.nextDelayMs())).toEqual([50, 100, 200, 400, 500, 500]);
    const high = new Backoff({ firstMs: 100, maxMs: 1000, random: () => 1 });
    expect(Array.from({ length: 6 }, () => high.nextDelayMs())).toEqual([100, 200, 400, 800, 1000, 1000]);
    high.reset();
    expect(high.nextDelayMs()).toBe(100);
  });

  it('withBackoff ends with the last error after its attempts, or when told', async () => {
    let calls = 0;
    const attempt = async () => {
      calls += 1;
      throw new Error(`no ${calls}`);
    };
    const backoff = () => new Backoff({ firstMs: 1 });
    await expect(withBackoff(attempt, { maxAttempts: 3, backoff: backoff() })).rejects.toThrow('no 3');
    calls = 0;
    await expect(withBackoff(attempt, { retry: () => false, backoff: backoff() })).rejects.toThrow('no 1');
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    await expect(withBackoff(attempt, { signal: abort.signal })).rejects.toThrow('no');
  });
});
