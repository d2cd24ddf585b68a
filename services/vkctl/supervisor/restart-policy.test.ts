import { expect, test } from 'vitest';
import { decideRestart, FIRST_DELAY_MS, MAX_DELAY_MS, MAX_SHORT_LIVES, STEADY_MS } from './restart-policy.ts';

test('short lives double the delay up to its bound, then the service is given up', () => {
  const history = { shortLives: 0 };
  const decisions = Array.from({ length: MAX_SHORT_LIVES }, () => decideRestart(history, 10, 1));
  const delays = decisions.map((decision) => (decision.restart ? decision.delayMs : undefined));
  expect(delays.slice(0, 3)).toEqual([FIRST_DELAY_MS, 2 * FIRST_DELAY_MS, 4 * FIRST_DELAY_MS]);
  expect(Math.max(...delays.map((delay) => delay ?? 0))).toBe(MAX_DELAY_MS);
  expect(decisions.findIndex((decision) => !decision.restart)).toBe(MAX_SHORT_LIVES - 1);
});

test('a steady life begins the count anew', () => {
  const history = { shortLives: MAX_SHORT_LIVES - 1 };
  expect(decideRestart(history, STEADY_MS, 0)).toEqual({ restart: true, delayMs: FIRST_DELAY_MS / 2 });
  expect(history.shortLives).toBe(1);
});
