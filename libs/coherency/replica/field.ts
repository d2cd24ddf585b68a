// A range of a dataspace in a few cells: how many pages of each are in which state, as far as this replica leads their
// shards. What it costs is bounded by the cells, not by the pages.
import { PAGE_BYTES } from '../page.ts';
import type { Dataspace } from './dataspaces.ts';
import type { Replica } from './replica.ts';

export const CELLS_MAX = 4_096;
const CELLS_DEFAULT = 1_024;
/** Runs of pages that are looked at of one cell in one shard; what comes after them in it is in no count. */
const RUNS_A_CELL = 32;

export interface FieldRange {
  firstPage: number;
  pageCount: number;
  pagesPerCell: number;
  cells: number;
}

export interface FieldCell {
  exclusive: number;
  shared: number;
  lost: number;
  changing: number;
  /** By node. */
  owned: Map<string, number>;
}

export interface Field {
  cells: FieldCell[];
  sampled: boolean;
  incomplete: boolean;
}

/** What is asked for, cut to what there is. @param pageCount 0: all from the first page on */
export function fieldRange(
  sizeBytes: bigint,
  firstPage: number,
  pageCount: number,
  cells: number,
): FieldRange {
  const pages = Math.ceil(Number(sizeBytes) / PAGE_BYTES);
  const first = Math.min(firstPage, pages);
  const count = Math.min(pageCount || pages, pages - first);
  const pagesPerCell = Math.max(1, Math.ceil(count / (cells || CELLS_DEFAULT)));
  return { firstPage: first, pageCount: count, pagesPerCell, cells: Math.ceil(count / pagesPerCell) };
}

export const emptyCell = (): FieldCell => ({
  exclusive: 0,
  shared: 0,
  lost: 0,
  changing: 0,
  owned: new Map(),
});

export function fieldOf(
  record: Dataspace,
  { led, holders }: Pick<Replica, 'led' | 'holders'>,
  range: FieldRange,
): Field {
  const cells = Array.from({ length: range.cells }, emptyCell);
  const end = range.firstPage + range.pageCount;
  let sampled = false;
  for (const { directory, isRebuilding } of led) {
    if (isRebuilding) continue;
    let at = range.firstPage;
    // Each round goes on until a cell has had its share of runs, and begins anew after that cell.
    while (at < end) {
      let looked = 0;
      let cellOfLooks = -1;
      let next = end;
      for (const run of directory.runsFrom(record.id, at)) {
        if (run.firstPage >= end) break;
        const begin = Math.max(run.firstPage, at);
        const runEnd = Math.min(end, run.firstPage + run.pageCount);
        const cell = Math.floor((begin - range.firstPage) / range.pagesPerCell);
        looked = cell === cellOfLooks ? looked + 1 : 1;
        cellOfLooks = cell;
        const node = run.owner === 0 ? undefined : holders.get(run.owner)?.node;
        add(cells, range, begin, runEnd, run, node);
        const cellEnd = range.firstPage + (cell + 1) * range.pagesPerCell;
        if (looked < RUNS_A_CELL || runEnd >= Math.min(cellEnd, end)) continue;
        sampled = true;
        next = Math.min(cellEnd, end);
        break;
      }
      at = next;
    }
  }
  return { cells, sampled, incomplete: led.some(({ isRebuilding }) => isRebuilding) };
}

interface Run {
  readonly exclusive: boolean;
  readonly lost: boolean;
  readonly change: unknown;
}

function add(
  cells: FieldCell[],
  range: FieldRange,
  begin: number,
  end: number,
  run: Run,
  node: string | undefined,
): void {
  for (let page = begin; page < end; ) {
    const at = Math.floor((page - range.firstPage) / range.pagesPerCell);
    const upTo = Math.min(end, range.firstPage + (at + 1) * range.pagesPerCell);
    const cell = cells[at]!;
    const pages = upTo - page;
    if (run.lost) cell.lost += pages;
    else if (run.exclusive) cell.exclusive += pages;
    else cell.shared += pages;
    if (run.change !== undefined) cell.changing += pages;
    if (node !== undefined) cell.owned.set(node, (cell.owned.get(node) ?? 0) + pages);
    page = upTo;
  }
}
