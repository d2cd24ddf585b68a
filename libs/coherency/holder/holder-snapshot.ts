// A holder's machine as plain data, so that another process can go on with it. To the directory that is a break of the
// stream: what was under way is lost with it, and the new one says `rejoin`.

import { type PageSpan, spansOf } from '../page.ts';
import type { RunMap } from '../run-map.ts';
import type { HeldEntry, HeldPage } from './held-page.ts';

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
  forsaken: boolean;
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

  span(dataspace: bigint, { firstPage, pageCount }: PageSpan): void {
    if (this.whole.has(dataspace)) return;
    let pages = this.pages.get(dataspace);
    if (pages === undefined) {
      pages = new Set();
      this.pages.set(dataspace, pages);
    }
    for (let page = firstPage; page < firstPage + pageCount; page++) pages.add(page);
  }

  all(dataspace: bigint): void {
    this.whole.add(dataspace);
    this.pages.delete(dataspace);
  }

  /** Undefined: anything may be. */
  of(dataspace: bigint): PageSpan[] | undefined {
    if (this.whole.has(dataspace)) return undefined;
    return spansOf([...(this.pages.get(dataspace) ?? [])].sort((a, b) => a - b));
  }

  /** Those of which anything is new. */
  dataspaces(): Iterable<bigint> {
    return new Set([...this.whole, ...this.pages.keys()]);
  }
}

/** Of all pages of which anything is known, or of those of some spans. */
export function heldRuns(pages: RunMap<HeldEntry>, spans?: readonly PageSpan[]): HeldPagesRun[] {
  if (spans === undefined)
    return [...pages].map(({ firstPage, pageCount, facts: page }) => ({ firstPage, pageCount, page }));
  return spans.flatMap((span) =>
    pages.pieces(span.firstPage, span.pageCount).flatMap(({ firstPage, pageCount, entry }) => {
      return entry === undefined ? [] : [{ firstPage, pageCount, page: entry.facts }];
    }),
  );
}
