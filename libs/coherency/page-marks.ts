// What is known of the traces of pages for a while: a few entries, found by the run of pages that a message speaks of. The messages
// of the protocol all name their pages, so what decides of them needs to know nothing of traces.
import type { PageRun } from './page.ts';

/** Past that the oldest is forgotten: its trace ends there. */
export const MARKS_MAX = 1_024;

export interface Marked {
  readonly run: PageRun;
}

export class PageMarks<T extends Marked> {
  readonly #marks = new Set<T>();

  get size(): number {
    return this.#marks.size;
  }

  add(mark: T): void {
    if (this.#marks.size >= MARKS_MAX)
      for (const oldest of this.#marks) {
        this.#marks.delete(oldest);
        break;
      }
    this.#marks.add(mark);
  }

  remove(mark: T): void {
    this.#marks.delete(mark);
  }

  /** Those of which some page is in the run, the oldest first. */
  of(run: PageRun): T[] {
    return this.#marks.size === 0 ? [] : [...this.#marks].filter((mark) => commonPages(mark.run, run) > 0);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#marks.values();
  }
}

/** Pages of both. */
export function commonPages(a: PageRun, b: PageRun): number {
  if (a.dataspace !== b.dataspace) return 0;
  const first = Math.max(a.firstPage, b.firstPage);
  const end = Math.min(a.firstPage + a.pageCount, b.firstPage + b.pageCount);
  return Math.max(0, end - first);
}
