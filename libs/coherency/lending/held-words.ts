// What a directory says of pages to the gateway that borrowed them, and that is not heeded before home allows it: kept page by page, until
// the borrower says what becomes of it.
//
//   said                  the gateway has           is asked for     heeded: it
//   recall(READ)          the page                  READ             sends it on, and has it to read
//   recall(WRITE)         the page                  WRITE            sends it on, and has nothing
//   invalidate            the page                  UPGRADE          has nothing: the one who has a copy may write that
//   to write, heeded      nothing, or that version  -                at once: the answer was lost
//   any, declined before                            -                is declined again: the answer was lost, or it was said twice
//
// What was declined must not be heeded later: to the directory that change is off, and somebody else may have the page by then. Its version
// is never used again (directory/page-changes.ts), so what is older than that was declined. Pure.
import type { RunEvent } from '../node/lines/holder-wire.ts';
import { mayRead, type PageRun, type PageSpan, type PageState, spansOf } from '../page.ts';
import type { AskedFor } from './borrower-messages.ts';

export type HeldWord = Extract<RunEvent, { type: 'recall' | 'invalidate' }>;
/** An answer that is no holder's own. */
export interface WordAnswer {
  run: PageRun;
  version: number;
  kind: 'ABSENT' | 'WITHDRAWN' | 'DECLINED';
}

/** What the gateway has of pages, as a holder. */
export interface HeldPages {
  state(dataspace: bigint, page: number): PageState;
  version(dataspace: bigint, page: number): number;
}

export interface Heard {
  /** At once. */
  heed: HeldWord[];
  asked: { run: PageRun; mode: AskedFor }[];
  answers: WordAnswer[];
}

interface WordsOfPage {
  waits: HeldWord | undefined;
  declinedVersion: number;
}

export class HeldWords {
  private readonly pages = new Map<number, WordsOfPage>();

  /** @param word of the dataspace that this is for; not one of pages that begin anew */
  hear(word: HeldWord, held: HeldPages): Heard {
    const { dataspace, firstPage, pageCount } = word.run;
    const parts = new Map<string, number[]>();
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const what = this.hearOf(page, word, held);
      const pages = parts.get(what) ?? [];
      pages.push(page);
      parts.set(what, pages);
    }
    const runs = (what: string): PageRun[] =>
      spansOf(parts.get(what) ?? []).map((span) => ({ dataspace, ...span }));
    const modes = ['READ', 'WRITE', 'UPGRADE'] as const;
    return {
      heed: runs('heed').map((run) => ({ ...word, run })),
      asked: modes.flatMap((mode) => runs(mode).map((run) => ({ run, mode }))),
      answers: runs('declined').map((run) => ({ run, version: word.version, kind: 'DECLINED' })),
    };
  }

  private hearOf(number: number, word: HeldWord, held: HeldPages): 'heed' | 'declined' | AskedFor {
    const { dataspace } = word.run;
    const { version } = word;
    const isRead = word.type === 'recall' && word.mode === 'READ';
    const page = this.pages.get(number);
    const has = mayRead(held.state(dataspace, number));
    if (!has || (!isRead && held.version(dataspace, number) >= version)) return 'heed';
    if (version <= (page?.declinedVersion ?? -1)) return 'declined';
    this.of(number).waits = word;
    return isRead ? 'READ' : word.type === 'recall' ? 'WRITE' : 'UPGRADE';
  }

  /** @returns what is heeded now */
  serve({ dataspace, ...span }: PageRun): HeldWord[] {
    return this.take(span).map(({ word, ...part }) => ({ ...word, run: { dataspace, ...part } }));
  }

  /** There is no such page here. @param withdrawn home has it */
  deny({ dataspace, ...span }: PageRun, withdrawn: boolean): WordAnswer[] {
    const kind = withdrawn ? 'WITHDRAWN' : 'ABSENT';
    return this.take(span).map(({ word, ...part }) => ({
      ...{ run: { dataspace, ...part }, version: word.version, kind },
    }));
  }

  decline({ dataspace, ...span }: PageRun): WordAnswer[] {
    return this.take(span, (page, word) => {
      page.declinedVersion = word.version;
    }).map(({ word, ...part }) => ({
      ...{ run: { dataspace, ...part }, version: word.version, kind: 'DECLINED' },
    }));
  }

  /** Another directory leads, whose versions may be the same. */
  clear(): void {
    this.pages.clear();
  }

  // Words of pages, each as far as it is of them.
  private take(
    { firstPage, pageCount }: PageSpan,
    also: (page: WordsOfPage, word: HeldWord) => void = () => {},
  ): (PageSpan & { word: HeldWord })[] {
    const parts: (PageSpan & { word: HeldWord })[] = [];
    for (let number = firstPage; number < firstPage + pageCount; number++) {
      const page = this.pages.get(number);
      const word = page?.waits;
      if (page === undefined || word === undefined) continue;
      page.waits = undefined;
      also(page, word);
      const last = parts.at(-1);
      if (last?.word === word && last.firstPage + last.pageCount === number) last.pageCount++;
      else parts.push({ firstPage: number, pageCount: 1, word });
    }
    return parts;
  }

  private of(number: number): WordsOfPage {
    let page = this.pages.get(number);
    if (page === undefined) {
      page = { waits: undefined, declinedVersion: -1 };
      this.pages.set(number, page);
    }
    return page;
  }
}
