// A holder's machine as plain data, so that another process can go on with it. To the directory that is a break of the
// stream: what was under way is lost with it, and the new one says `rejoin`.
import type { HeldPage } from './held-page.ts';

export interface HolderSnapshot {
  reborn: boolean;
  breaks: number;
  lineageOfAll: number;
  dataspaces: HeldDataspaceSnapshot[];
  /** Dataspaces that an earlier snapshot had, and that are not known any more. */
  removed?: bigint[];
}

export interface HeldDataspaceSnapshot {
  dataspace: bigint;
  pageCount: number;
  whole: boolean;
  voided: boolean;
  /** Pages that are not in the runs are as an earlier snapshot had them. */
  partial?: boolean;
  /** In order, and none twice. */
  runs: HeldPagesRun[];
}

/** Pages of which the same is known. */
export interface HeldPagesRun {
  firstPage: number;
  pageCount: number;
  page: Readonly<HeldPage>;
}

/** What changed since a snapshot. */
export class HolderChanges {
  private readonly pages = new Map<bigint, Set<number>>();
  /** Dataspaces of which anything may be new. */
  private readonly whole = new Set<bigint>();

  page(dataspace: bigint, page: number): void {
    if (this.whole.has(dataspace)) return;
    const pages = this.pages.get(dataspace);
    if (pages === undefined) this.pages.set(dataspace, new Set([page]));
    else pages.add(page);
  }

  all(dataspace: bigint): void {
    this.whole.add(dataspace);
    this.pages.delete(dataspace);
  }

  /** Undefined: anything may be. */
  of(dataspace: bigint): ReadonlySet<number> | undefined {
    return this.whole.has(dataspace) ? undefined : (this.pages.get(dataspace) ?? new Set());
  }

  /** Those of which anything is new. */
  dataspaces(): Iterable<bigint> {
    return new Set([...this.whole, ...this.pages.keys()]);
  }
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
