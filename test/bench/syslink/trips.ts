// What processes at the ends have in common: round trips, one after another, and words to the bench.
import { once } from 'node:events';

/** What is not counted: the first ones run code that is not compiled yet. */
export const WARM_UP = 1_000;

/** Round trips in ns. */
export async function trips(count: number, once: () => Promise<unknown>): Promise<number[]> {
  const ns: number[] = [];
  for (let i = 0; i < WARM_UP + count; i++) {
    const beginNs = process.hrtime.bigint();
    await once();
    if (i >= WARM_UP) ns.push(Number(process.hrtime.bigint() - beginNs));
  }
  return ns;
}

export async function untilInputEnds(word: string): Promise<never> {
  console.log(word);
  await once(process.stdin.resume(), 'end');
  process.exit(0);
}
