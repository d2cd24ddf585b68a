// Actions on runs of pages, as few as there may be: what is said of the page behind the last one of another action is said with that.
import type { PageRun } from '../page.ts';

type OnRun = { readonly type: string; readonly run: PageRun };

export const runOf = (dataspace: bigint, firstPage: number): PageRun => ({
  dataspace,
  firstPage,
  pageCount: 1,
});

/** @param last to which it may go; undefined, or one that is no such action: to none */
export function addOnRun<Action extends { readonly type: string }>(
  actions: Action[],
  action: Action & OnRun,
  last: Action | undefined,
): void {
  if (last !== undefined && isOnRun(last) && isSame(last, action)) {
    const { run } = last;
    if (run.dataspace === action.run.dataspace && run.firstPage + run.pageCount === action.run.firstPage) {
      run.pageCount += action.run.pageCount;
      return;
    }
  }
  actions.push(action);
}

const isOnRun = (action: object): action is OnRun => 'run' in action;

/** True where two actions differ in their pages alone. */
function isSame(a: OnRun, b: OnRun): boolean {
  const { run: _, ...first }: OnRun & Record<string, unknown> = { ...a };
  const { run: __, ...second }: OnRun & Record<string, unknown> = { ...b };
  const keys = Object.keys(first);
  return keys.length === Object.keys(second).length && keys.every((key) => first[key] === second[key]);
}
