// Joins page-wise actions to runs: neighbours that agree in everything but the page become one action.
import type { PageRun, PageSpan } from '../page.ts';

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
 * Collects actions in order; `add` extends the last one of its type where the pages follow it and the traits agree, and
 * where that overtakes no other action of the pages: a page is not sent before access to it is revoked.
 */
export class RunBatch<A extends RunAction> {
  private readonly actions: A[] = [];
  /** The last action of each type. */
  private readonly open = new Map<A['type'], Open<A>>();
  private readonly maxPages: (type: A['type']) => number;
  /** The first page of the last span that was added, and the latest place of an action of that span. */
  private page = -1;
  private dataspace = -1n;
  private spanIndex = -1;

  /** @param maxPages of one action of a type */
  constructor(maxPages: (type: A['type']) => number = () => Number.POSITIVE_INFINITY) {
    this.maxPages = maxPages;
  }

  /**
   * Of a span of pages that is handled as one.
   * @param make makes an action where no earlier one can be extended; its type must be `type`
   */
  add(
    type: A['type'],
    dataspace: bigint,
    { firstPage, pageCount }: PageSpan,
    make: (run: PageRun) => A,
    a?: Trait,
    b?: Trait,
    c?: Trait,
    d?: Trait,
  ): void {
    if (firstPage !== this.page || dataspace !== this.dataspace) {
      this.page = firstPage;
      this.dataspace = dataspace;
      this.spanIndex = -1;
    }
    const max = this.maxPages(type);
    const end = firstPage + pageCount;
    let next = firstPage;
    const open = this.open.get(type);
    if (open !== undefined) {
      const { run } = open.action;
      if (
        open.index >= this.spanIndex &&
        run.firstPage + run.pageCount === firstPage &&
        open.a === a &&
        open.b === b &&
        open.c === c &&
        open.d === d &&
        run.dataspace === dataspace
      ) {
        const more = Math.min(pageCount, max - run.pageCount);
        run.pageCount += more;
        next += more;
        if (more > 0) this.spanIndex = open.index;
      }
    }
    while (next < end) {
      const count = Math.min(end - next, max);
      const action = make({ dataspace, firstPage: next, pageCount: count });
      next += count;
      const index = this.actions.push(action) - 1;
      this.spanIndex = index;
      this.open.set(type, { action, index, a, b, c, d });
    }
  }

  take(): A[] {
    return this.actions;
  }
}
