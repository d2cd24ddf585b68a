// All pages of a process are brought back into its memory file, some at a time: another pmap manager knows nothing of swap.
import type { PagedSpace } from './paged-space.ts';

/** Pages of one turn. */
const TURN_PAGES = 512;

/**
 * @param goesOn false once the process is over
 * @returns false: it is over, or a page cannot be brought: there is no room, or the disk does not give it
 */
export async function bringSpace(
  space: PagedSpace,
  pause: () => Promise<void>,
  goesOn: () => boolean,
): Promise<boolean> {
  while (space.aside.size + space.swapped.size > 0) {
    let left = TURN_PAGES;
    for (const pages of [space.aside, space.swapped])
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
