import { Backoff, delay } from '../backoff.ts';
import type { Attaching } from './attaching.ts';
import { REGISTER_MS } from './attaching.ts';
import type { Line } from './line.ts';

/** How long a router may take while there are others to try; twice as long in each round that finds none. */
const FIRST_TRY_MS = 1_500;

/**
 * A client: attached to one router, any, and to another one when that is lost or asks us to leave. What runs on a line
 * that leaves stays there to its end.
 */
export async function attachToOne(attaching: Attaching): Promise<void> {
  const { closing, adopt, allFailed } = attaching;
  const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  let tryMs = FIRST_TRY_MS;
  let current: Line | undefined;
  while (!closing.aborted) {
    const line = await firstOf(attaching, tryMs);
    if (line === undefined) {
      tryMs = Math.min(REGISTER_MS, tryMs * 2);
      allFailed();
    } else {
      adopt(line);
      current?.endWhenIdle();
      current = line;
      tryMs = FIRST_TRY_MS;
      backoff.reset();
      await line.left;
    }
    await delay(backoff.nextDelayMs(), closing);
  }
}

/** A line to one of the routers, in random order; one that started lately only where there is no other. */
async function firstOf(attaching: Attaching, tryMs: number): Promise<Line | undefined> {
  const { routers, open, failed, closing } = attaching;
  const order = shuffled((await routers().catch(failed)) ?? []);
  let settling: Line | undefined;
  for (const router of order) {
    if (closing.aborted) break;
    const line = open(router, order.length > 1 ? tryMs : REGISTER_MS);
    if (!(await line.registered)) continue;
    if (!line.settling) {
      settling?.end();
      return line;
    }
    if (settling === undefined || settling.ended) settling = line;
    else line.end();
  }
  return settling?.ended ? undefined : settling;
}

function shuffled(items: readonly string[]): string[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
