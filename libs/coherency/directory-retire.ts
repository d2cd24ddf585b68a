// What a holder that wants to leave must not take along: pages of which nobody else has a copy that the directory
// knows of, and pages that are on their way because of it.
import type { HolderId, PageRun, RunsOf } from './page.ts';
import type { Dataspace, Page } from './page-table.ts';
import { RunBatch } from './run-batch.ts';

/** So many runs are named at a time. */
export const REMAINING_RUNS_MAX = 1_024;

/** The first pages that keep a holder from leaving without a loss; none: it may. */
export function remainingRuns(dataspaces: Iterable<Dataspace>, holder: HolderId, runsOf: RunsOf): PageRun[] {
  const remaining: PageRun[] = [];
  for (const dataspace of dataspaces) {
    const batch = new RunBatch<{ type: 'page'; run: PageRun }>();
    const numbers = [...dataspace.pages.keys()].sort((a, b) => a - b);
    for (const number of numbers)
      if (keepsBack(dataspace.pages.get(number)!, holder))
        batch.add('page', dataspace.id, number, (run) => ({ type: 'page', run }));
    remaining.push(...batch.take().map(({ run }) => run));
    // Pages that nobody ever asked for are their creator's.
    if (dataspace.creator === holder && !dataspace.creatorLost)
      for (const run of runsOf(dataspace.id, dataspace.pageCount)) remaining.push(...gaps(run, numbers));
    if (remaining.length >= REMAINING_RUNS_MAX) break;
  }
  return remaining.slice(0, REMAINING_RUNS_MAX);
}

/** The parts of a run that have none of these pages. */
export function gaps({ dataspace, firstPage, pageCount }: PageRun, pages: readonly number[]): PageRun[] {
  const runs: PageRun[] = [];
  const end = firstPage + pageCount;
  let next = firstPage;
  const until = (page: number): void => {
    if (page > next) runs.push({ dataspace, firstPage: next, pageCount: page - next });
  };
  for (const page of pages) {
    if (page < firstPage || page >= end) continue;
    until(page);
    next = page + 1;
  }
  until(end);
  return runs;
}

function keepsBack({ change, owner, sharers }: Page, holder: HolderId): boolean {
  if (change === undefined) return owner === holder && sharers.length === 0;
  // A writer without a source has the data: the old owner does not matter any more.
  return change.request.holder === holder || (change.source === holder && change.dataPending);
}
