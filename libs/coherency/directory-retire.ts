// What a holder that wants to leave must not take along: pages of which nobody else has a copy that the directory
// knows of, and pages that are on their way because of it.
import type { HolderId, PageRun } from './page.ts';
import type { Dataspace, Page } from './page-table.ts';
import { RunBatch } from './run-batch.ts';

/** So many pages are named at a time. */
export const REMAINING_MAX = 4_096;

/** The first pages that keep a holder from leaving without a loss; none: it may. */
export function remainingRuns(dataspaces: Iterable<Dataspace>, holder: HolderId): PageRun[] {
  const batch = new RunBatch<{ type: 'page'; run: PageRun }>();
  let pages = 0;
  for (const { id, pages: table } of dataspaces) {
    for (const number of [...table.keys()].sort((a, b) => a - b)) {
      if (!keepsBack(table.get(number)!, holder)) continue;
      batch.add('page', id, number, (run) => ({ type: 'page', run }));
      pages++;
      if (pages === REMAINING_MAX) return batch.take().map(({ run }) => run);
    }
  }
  return batch.take().map(({ run }) => run);
}

function keepsBack({ change, owner, sharers }: Page, holder: HolderId): boolean {
  if (change === undefined) return owner === holder && sharers.length === 0;
  // A writer without a source has the data: the old owner does not matter any more.
  return change.request.holder === holder || (change.source === holder && change.dataPending);
}
