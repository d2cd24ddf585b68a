// Joins page-wise actions to runs: neighbours that agree in everything but the page become one action.
import type { PageRun } from './page.ts';

/** An action on a run. */
export interface RunAction {
  readonly type: string;
  run: PageRun;
}

/** What two actions of one type must agree in, beside the pages, to become one. */
type Trait = string | number | boolean | undefined;

interface Open<A> {
  action: A;
  /** Its place among the actions. */
  index: number;
  a: Trait;
  b: Trait;
  c: Trait;
  d: Trait;
}

/**
 * Collects actions in order; `add` extends the last one of its type where the page follows it and the traits agree, and
 * where that overtakes no other action of the page: a page is not sent before access to it is revoked.
 */
export class RunBatch<A extends RunAction> {
  private readonly actions: A[] = [];
  /** The last action of each type. */
  private readonly open = new Map<A['type'], Open<A>>();
  private readonly maxPages: number;
  /** The page of the last action that was added, and the latest place of an action of that page. */
  private page = -1;
  private dataspace = -1n;
  private pageIndex = -1;

  constructor(maxPages = 64) {
    this.maxPages = maxPages;
  }

  /** @param make makes the action where no earlier one can be extended; its type must be `type` */
  add(
    type: A['type'],
    dataspace: bigint,
    page: number,
    make: (run: PageRun) => A,
    a?: Trait,
    b?: Trait,
    c?: Trait,
    d?: Trait,
  ): void {
    if (page !== this.page || dataspace !== this.dataspace) {
      this.page = page;
      this.dataspace = dataspace;
      this.pageIndex = -1;
    }
    const open = this.open.get(type);
    if (open !== undefined) {
      const { run } = open.action;
      if (
        open.index >= this.pageIndex &&
        run.firstPage + run.pageCount === page &&
        run.pageCount < this.maxPages &&
        open.a === a &&
        open.b === b &&
        open.c === c &&
        open.d === d &&
        run.dataspace === dataspace
      ) {
        run.pageCount++;
        this.pageIndex = open.index;
        return;
      }
    }
    const action = make({ dataspace, firstPage: page, pageCount: 1 });
    const index = this.actions.push(action) - 1;
    this.pageIndex = index;
    if (open === undefined) this.open.set(type, { action, index, a, b, c, d });
    else {
      open.action = action;
      open.index = index;
      open.a = a;
      open.b = b;
      open.c = c;
      open.d = d;
    }
  }

  take(): A[] {
    return this.actions;
  }
}
