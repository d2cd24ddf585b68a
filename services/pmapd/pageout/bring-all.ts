// All pages of a process are brought back into its memory file, some at a time: another pmap manager knows nothing of swap.
import type { PageSpan } from '@odonata/coherency/page.ts';
import type { PagedSpace } from './paged-space.ts';

/** Pages of one turn. */
const TURN_PAGES = 512;
/** Pages that come from a neighbour at once. */
export const FETCH_PAGES = 64;

/**
 * @param goesOn false once the process is over
 * @returns false: it is over, or a page cannot be brought: there is no room, or the disk does not give it
 */
export async function bringSpace(
  space: PagedSpace,
  pause: () => Promise<void>,
  goesOn: () => boolean,
): Promise<boolean> {
  while (space.aside.size + space.swapped.size + space.away.pages.size > 0) {
    if (!(await fetchSome(space)) || !goesOn()) return false;
    let left = TURN_PAGES;
    for (const pages of [space.aside, space.swapped, space.away.fetched])
      for (const page of pages.keys()) {
        if (left === 0) break;
        left--;
        if (!bring(space, page)) return false;
      }
    await pause();
    if (!goesOn()) return false;
  }
  return true;
}

// The next pages that are away, those in a row together.
async function fetchSome({ away }: PagedSpace): Promise<boolean> {
  if (away.fetched.size > 0) return true;
  const runs: PageSpan[] = [];
  let [left, end] = [FETCH_PAGES, -1];
  for (const first of away.pages.keys()) {
    if (left === 0) break;
    // It is in the run before, most likely.
    if (first < end && first >= runs.at(-1)!.firstPage) continue;
    let count = 1;
    while (count < left && away.pages.has(first + count)) count++;
    runs.push({ firstPage: first, pageCount: count });
    left -= count;
    end = first + count;
  }
  const taken = await Promise.allSettled(runs.map((run) => away.take(run.firstPage, run.pageCount)));
  return taken.every(({ status }) => status === 'fulfilled');
}

function bring(space: PagedSpace, page: number): boolean {
  const hadFrame = space.aside.has(page);
  try {
    if (!space.bring(page)) return false;
  } catch {
    return false;
  }
  if (!hadFrame) {
    space.lent--;
    space.session.privateFrames.resume(1);
  }
  space.wake(page);
  return true;
}
