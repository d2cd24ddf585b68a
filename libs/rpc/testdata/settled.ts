import { expect } from 'vitest';

/** Waits until a number has not changed for so long. @returns what it is then */
export async function settled(value: () => number, forMs = 100): Promise<number> {
  let [last, sinceMs] = [value(), performance.now()];
  const sameForMs = (): number => {
    if (value() !== last) [last, sinceMs] = [value(), performance.now()];
    return performance.now() - sinceMs;
  };
  await expect.poll(sameForMs, { timeout: 15_000 }).toBeGreaterThan(forMs);
  return last;
}
