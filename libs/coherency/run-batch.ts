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
  a: Trait;
  b: Trait;
  c: Trait;
  d: Trait;
}

/** Collects actions in order; `add` extends the last one of its type where the page follows it and the traits agree. */
export class RunBatch<A extends RunAction> {
  private readonly actions: A[] = [];
  /** The last action of each type. */
  private readonly open = new Map<A['type'], Open<A>>();
  private readonly maxPages: number;

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
    const open = this.open.get(type);
    if (open !== undefined) {
      const { run } = open.action;
      if (
        run.firstPage + run.pageCount === page &&
        run.pageCount < this.maxPages &&
        open.a === a &&
        open.b === b &&
        open.c === c &&
        open.d === d &&
        run.dataspace === dataspace
      ) {
        run.pageCount++;
        return;
      }
    }
    const action = make({ dataspace, firstPage: page, pageCount: 1 });
    this.actions.push(action);
    if (open === undefined) this.open.set(type, { action, a, b, c, d });
    else {
      open.action = action;
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
