import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoopDelay } from './loop-delay.ts';

test('a turn that takes long is told for some seconds, from the first question on', async () => {
  const delay = new LoopDelay();
  try {
    expect(delay.longestMs()).toBe(0);
    // The first turns of its timer.
    await sleep(50);
    const endMs = performance.now() + 300;
    while (performance.now() < endMs);
    for (let tries = 0; tries < 100 && delay.longestMs() < 200; tries++) await sleep(10);
    expect(delay.longestMs()).toBeGreaterThanOrEqual(200);
  } finally {
    delay.close();
  }
});
