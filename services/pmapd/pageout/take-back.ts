// A neighbour gives private pages back, since it needs its frames itself: into swap, into the memory of the process, to another
// neighbour. What this node has of others goes back meanwhile, if there is no room. Where there is none in any of them after all, the
// process to whom they belong ends.
import { setTimeout as delay } from 'node:timers/promises';
import type { PageSpan } from '@odonata/coherency/page.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { PagedSpace } from './paged-space.ts';

/** Pages that are fetched at once. */
const FETCH_PAGES = 16;
/** How long a page waits for room: less than whoever needs its frame at the neighbour does. */
const ROOM_MS = 3_000;
const LOOK_MS = 20;

export interface TakeBackPorts {
  lives(): boolean;
  /** Puts one whose bytes are here where there is room. @returns false: there is none */
  place(page: number): boolean;
  /** Pages of it that were put leave. */
  flush(): void;
  /** True where there may be room soon. */
  mayMakeRoom(): boolean;
}

/** @returns false: there is no room for them */
export async function takeBack(
  { away }: PagedSpace,
  runs: readonly PageSpan[],
  ports: TakeBackPorts,
): Promise<boolean> {
  const untilMs = monotonicMs() + ROOM_MS;
  for (const { firstPage, pageCount } of runs)
    for (let page = firstPage; page < firstPage + pageCount; page += FETCH_PAGES) {
      const count = Math.min(FETCH_PAGES, firstPage + pageCount - page);
      const pages = Array.from({ length: count }, (_, i) => page + i).filter((each) => away.pages.has(each));
      if (pages.length === 0) continue;
      if (!ports.lives()) return true;
      try {
        await away.take(page, count);
      } catch {
        return false;
      }
      for (const each of pages) if (!(await placed(away, each, ports, untilMs))) return false;
      ports.flush();
    }
  return true;
}

async function placed(
  away: PagedSpace['away'],
  page: number,
  ports: TakeBackPorts,
  untilMs: number,
): Promise<boolean> {
  // Its process may need it meanwhile, and have it.
  while (ports.lives() && away.fetched.has(page) && !ports.place(page)) {
    if (!ports.mayMakeRoom() || monotonicMs() >= untilMs) return false;
    await delay(LOOK_MS);
  }
  return true;
}
