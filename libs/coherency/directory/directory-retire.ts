// What a holder that wants to leave must not take along: pages of which nobody else has a copy that the directory
// knows of, and pages that are on their way because of it.
import type { HolderId, PageRun, RunsOf } from '../page.ts';
import type { RunEntry, RunMap } from '../run-map.ts';
import type { Dataspace, Page } from './page-table.ts';
import { RunBatch } from './run-batch.ts';
import { isLastBeside, isSparing } from './spared-copies.ts';

/** So many runs are named at a time. */
export const REMAINING_RUNS_MAX = 1_024;

/** The first pages that keep a holder from leaving without a loss; none: it may. */
export function remainingRuns(dataspaces: Iterable<Dataspace>, holder: HolderId, runsOf: RunsOf): PageRun[] {
  const remaining: PageRun[] = [];
  for (const dataspace of dataspaces) {
    const batch = new RunBatch<{ type: 'page'; run: PageRun }>();
    for (const page of dataspace.pages)
      if (keepsBack(page, holder)) batch.add('page', dataspace.id, page, (run) => ({ type: 'page', run }));
    remaining.push(...batch.take().map(({ run }) => run));
    // Pages that nobody ever asked for are their creator's.
    if (dataspace.creator === holder && !dataspace.creatorLost)
      for (const run of runsOf(dataspace.id, dataspace.pageCount))
        remaining.push(...gaps(run, dataspace.pages));
    if (remaining.length >= REMAINING_RUNS_MAX) break;
  }
  return remaining.slice(0, REMAINING_RUNS_MAX);
}

/** The parts of a run that have no entry. */
export function gaps<E extends RunEntry<E>>(
  { dataspace, firstPage, pageCount }: PageRun,
  pages: RunMap<E>,
): PageRun[] {
  return pages
    .pieces(firstPage, pageCount)
    .filter(({ entry }) => entry === undefined)
    .map((piece) => ({ dataspace, firstPage: piece.firstPage, pageCount: piece.pageCount }));
}

function keepsBack(page: Page, holder: HolderId): boolean {
  const { change, owner, sharers } = page;
  if (change === undefined) return owner === holder && sharers.length === 0;
  if (isSparing(change)) return isLastBeside(page, holder);
  // A writer without a source has the data: the old owner does not matter any more.
  return change.request.holder === holder || (change.source === holder && change.dataPending);
}
