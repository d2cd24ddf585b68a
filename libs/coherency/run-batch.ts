// Joins page-wise actions to runs: neighbours that agree in everything but the page become one action.
import type { PageRun } from './page.ts';

/** An action on a run. */
export interface RunAction {
  run: PageRun;
}

/** Collects actions in order; `add` extends the last one of the same key where the page follows it. */
export class RunBatch<A extends RunAction> {
  private readonly actions: A[] = [];
  private readonly last = new Map<string, A>();
  private readonly maxPages: number;

  constructor(maxPages = 64) {
    this.maxPages = maxPages;
  }

  /** @param key what two actions must agree in to become one */
  add(key: string, dataspace: bigint, page: number, make: (run: PageRun) => A): void {
    const last = this.last.get(key);
    if (
      last !== undefined &&
      last.run.dataspace === dataspace &&
      last.run.firstPage + last.run.pageCount === page &&
      last.run.pageCount < this.maxPages
    ) {
      last.run.pageCount++;
      return;
    }
    const action = make({ dataspace, firstPage: page, pageCount: 1 });
    this.last.set(key, action);
    this.actions.push(action);
  }

  take(): A[] {
    return this.actions;
  }
}
