// A neighbour gives private pages back, since it needs its frames itself: into swap, into the memory of the process, to another
// neighbour. Where there is no room in any of them the process to whom they belong ends.
import type { PageSpan } from '@odonata/coherency/page.ts';
import type { PagedSpace } from './paged-space.ts';

/** Pages that are fetched at once. */
const FETCH_PAGES = 16;

export interface TakeBackPorts {
  lives(): boolean;
  /** Puts one whose bytes are here where there is room. @returns false: there is none */
  place(page: number): boolean;
  /** Pages of it that were put leave. */
  flush(): void;
}

/** @returns false: there is no room for them */
export async function takeBack(
  { away }: PagedSpace,
  runs: readonly PageSpan[],
  ports: TakeBackPorts,
): Promise<boolean> {
  for (const { firstPage, pageCount } of runs)
    for (let page = firstPage; page < firstPage + pageCount; page += FETCH_PAGES) {
      const count = Math.min(FETCH_PAGES, firstPage + pageCount - page);
      const pages = Array.from({ length: count }, (_, i) => page + i).filter((each) => away.pages.has(each));
      if (pages.length === 0) continue;
      if (!ports.lives()) return true;
      try {
        await away.take(page, count);
      } catch {
        return false;
      }
      if (!ports.lives()) return true;
      for (const each of pages) if (away.fetched.has(each) && !ports.place(each)) return false;
      ports.flush();
    }
  return true;
}
