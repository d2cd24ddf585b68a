import { Backoff, delay } from '../backoff.ts';
import type { Attaching } from './attaching.ts';
import { REGISTER_MS } from './attaching.ts';
import type { Line } from './line.ts';

/** How long a router may take while there are others to try; twice as long in each round that finds none. */
const FIRST_TRY_MS = 1_500;
/** After so long, up to twice that, who was sent away chooses anew; later and later, while not all routers are there. */
const SPREAD_MS = 30_000;
const SPREAD_MAX_MS = 10 * 60_000;

/**
 * A client: attached to one router, any, and to another one when that is lost or asks us to leave. What runs on a line
 * that leaves stays there to its end.
 *
 * Whoever was sent away chooses anew after a while: when routers were stopped one after another, all clients are at the first one
 * that came back.
 */
export async function attachToOne(attaching: Attaching): Promise<void> {
  const { closing, adopt, allFailed } = attaching;
  const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
  let tryMs = FIRST_TRY_MS;
  let current: Line | undefined;
  let chosen: Line | undefined;
  while (!closing.aborted) {
    const line = chosen ?? (await firstOf(attaching, tryMs))?.line;
    if (line === undefined) {
      tryMs = Math.min(REGISTER_MS, tryMs * 2);
      allFailed();
    } else {
      const wasSentAway = current !== undefined && chosen === undefined;
      adopt(line);
      current?.endWhenIdle();
      current = line;
      tryMs = FIRST_TRY_MS;
      backoff.reset();
      chosen = wasSentAway ? await chosenAnew(attaching, line) : undefined;
      if (chosen !== undefined) continue;
      await line.left;
    }
    await delay(backoff.nextDelayMs(), closing);
  }
}

/**
 * Any router, as if it had just begun, once all that it tried first could be had. @returns undefined: it stays where it is, or has
 * left that meanwhile
 */
async function chosenAnew(attaching: Attaching, current: Line): Promise<Line | undefined> {
  const { closing, spreadMs = SPREAD_MS } = attaching;
  let isLeft = false;
  const left = new AbortController();
  void current.left.then(() => {
    isLeft = true;
    left.abort();
  });
  const end = (): void => left.abort();
  closing.addEventListener('abort', end, { once: true });
  try {
    for (let waitMs = spreadMs; ; waitMs = Math.min(waitMs * 2, SPREAD_MAX_MS)) {
      // Not all at once.
      await delay(waitMs * (1 + Math.random()), left.signal);
      if (isLeft || closing.aborted) return undefined;
      const found = await firstOf(attaching, FIRST_TRY_MS);
      if (found === undefined) continue;
      const { line, isFirst } = found;
      if (isLeft || (isFirst && line.router !== current.router)) return line;
      line.end();
      if (isFirst) return undefined;
    }
  } finally {
    closing.removeEventListener('abort', end);
  }
}

/**
 * A line to one of the routers, in random order; one that started lately only where there is no other. `isFirst`: it was the one that
 * chance wanted.
 */
async function firstOf(
  attaching: Attaching,
  tryMs: number,
): Promise<{ line: Line; isFirst: boolean } | undefined> {
  const { routers, open, failed, closing } = attaching;
  const order = shuffled((await routers().catch(failed)) ?? []);
  let settling: Line | undefined;
  for (const [i, router] of order.entries()) {
    if (closing.aborted) break;
    const line = open(router, order.length > 1 ? tryMs : REGISTER_MS);
    if (!(await line.registered)) continue;
    if (!line.settling) {
      settling?.end();
      return { line, isFirst: i === 0 };
    }
    if (settling === undefined || settling.ended) settling = line;
    else line.end();
  }
  return settling === undefined || settling.ended ? undefined : { line: settling, isFirst: false };
}

function shuffled(items: readonly string[]): string[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
