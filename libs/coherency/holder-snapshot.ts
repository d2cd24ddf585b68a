// A holder's machine as plain data, so that another process can go on with it. To the directory that is a break of the
// stream: what was under way is lost with it, and the new one says `rejoin`.
import type { HeldPage } from './held-page.ts';

export interface HolderSnapshot {
  reborn: boolean;
  breaks: number;
  lineageOfAll: number;
  dataspaces: HeldDataspaceSnapshot[];
}

export interface HeldDataspaceSnapshot {
  dataspace: bigint;
  pageCount: number;
  whole: boolean;
  voided: boolean;
  /** In order, and none twice. */
  runs: HeldPagesRun[];
}

/** Pages of which the same is known. */
export interface HeldPagesRun {
  firstPage: number;
  pageCount: number;
  page: Readonly<HeldPage>;
}

/** Joins neighbours of which the same is known. */
export function heldRuns(pages: ReadonlyMap<number, HeldPage>): HeldPagesRun[] {
  const runs: HeldPagesRun[] = [];
  for (const [number, page] of [...pages].sort((a, b) => a[0] - b[0])) {
    const last = runs.at(-1);
    const joins = last !== undefined && last.firstPage + last.pageCount === number && isSame(last.page, page);
    if (joins) last.pageCount++;
    else runs.push({ firstPage: number, pageCount: 1, page: { ...page } });
  }
  return runs;
}

/** The pages of runs, each with an entry of its own. */
export function heldPages(runs: readonly HeldPagesRun[]): Map<number, HeldPage> {
  const pages = new Map<number, HeldPage>();
  for (const { firstPage, pageCount, page } of runs)
    for (let i = 0; i < pageCount; i++) pages.set(firstPage + i, { ...page });
  return pages;
}

function isSame(a: HeldPage, b: HeldPage): boolean {
  for (const key in a) if (a[key as keyof HeldPage] !== b[key as keyof HeldPage]) return false;
  return true;
}
