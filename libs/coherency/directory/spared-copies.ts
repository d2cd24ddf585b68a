// A copy that its holder could do without, because it is short of frames.
//
//   H has it, and others do      the directory takes it from H, as if somebody wrote: H drops it when that is said, and not before
//   H owns it, and others have   the first of them owns it when H has dropped it: never two at a time, for each would report it
//   only H has it                nothing: somebody with room has to ask for the page (node/pool)
//
// Such a change is for nobody. Who else has the page keeps it, so it is never told to all.
import type { HolderId } from '../page.ts';
import { withoutHolder } from './holder-set.ts';
import type { Change, Page, Request } from './page-table.ts';

/** What such a change is for. */
export const SPARED: Request = {
  holder: 0,
  mode: 'READ',
  alone: false,
  storedVersion: undefined,
  lostVersion: undefined,
};

/** True for a change that only takes a copy from who could do without it. */
export const isSparing = ({ request, fence }: Change): boolean => request.holder === 0 && !fence;

/**
 * True where a holder has a copy of a page, and so has somebody who may own it.
 * @param lenders they own nothing
 */
export function canSpare(page: Page, holder: HolderId, lenders: ReadonlySet<HolderId>): boolean {
  // An owner that was told to take back what it had sent may not have it yet.
  if (page.change !== undefined || page.lost || page.restore) return false;
  if (page.owner !== holder) return page.owner !== 0 && page.sharers.includes(holder);
  return page.sharers.some((sharer) => !lenders.has(sharer));
}

/** True where a page that somebody else is about to drop has no other copy than that of this holder. */
export function isLastBeside({ owner, sharers }: Page, holder: HolderId): boolean {
  const has = owner === holder || (owner === 0 && sharers.includes(holder));
  return has && withoutHolder(sharers, holder).length === 0;
}
