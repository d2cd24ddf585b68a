import { expect, it, vi } from 'vitest';
import { delay } from './backoff.ts';
import { deadline } from './deadline.ts';

it('passes once, when it is time, near or far; one that is taken back does not', async () => {
  const begunMs = performance.now();
  const passed: [string, number][] = [];
  const at = (name: string, afterMs: number) =>
    deadline(afterMs, () => passed.push([name, performance.now() - begunMs]));
  at('near', 50);
  at('far', 2_400);
  const taken = [at('taken near', 60), at('taken far', 2_050)];
  for (const back of taken) back();
  at('of a bug', 2_050);
  deadline(2_050, () => (undefined as unknown as { x(): never }).x());
  while (passed.length < 3) await delay(20);
  expect(passed.map(([name]) => name)).toEqual(['near', 'of a bug', 'far']);
  for (const [name, leastMs] of [
    ['near', 50],
    ['far', 2_400],
  ] as const)
    expect(passed.find((each) => each[0] === name)![1]).toBeGreaterThanOrEqual(leastMs - 1);
  await delay(300);
  expect(passed).toHaveLength(3);
});

it('wakes nobody for what was taken back but once, and then for the first that is left', async () => {
  vi.useFakeTimers();
  try {
    const passed: string[] = [];
    const back = deadline(3_000, () => passed.push('first'));
    deadline(9_000, () => passed.push('last'));
    deadline(5_000, () => {
      passed.push('second');
      deadline(2_000, () => passed.push('set then'));
    });
    deadline(2 ** 40, () => passed.push('never'));
    expect(vi.getTimerCount()).toBe(1);
    back();
    const set = vi.spyOn(globalThis, 'setTimeout');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(passed).toEqual(['second', 'set then', 'last']);
    // After the one that was taken back, after each of three, and again for what is far off.
    expect(set.mock.calls.length).toBeLessThanOrEqual(8);
    expect(vi.getTimerCount()).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
