// Words about pages to other clusters: in order, and no faster than the other side takes them. A word about pages that are taken back must
// not overtake that by which they were lent.
import type { PageRun } from '@odonata/coherency/page.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Session } from '../session.ts';
import type { WordInit } from './word.ts';

/** Pages of one word, and of one that carries their bytes. */
const RUN_PAGES = 256;
const LENT_PAGES = 16;
/** More words than that wait for nobody who reads. */
export const WAITING_MAX = 65_536;

export class Words {
  private readonly session: Session;
  private readonly waiting: (() => WordInit)[] = [];
  private flushing = false;

  constructor(session: Session) {
    this.session = session;
  }

  /** Before all that waits. */
  atOnce(word: WordInit): void {
    this.session.sayOfMemory(word, true);
  }

  say(word: () => WordInit): void {
    this.waiting.push(word);
    if (this.waiting.length > WAITING_MAX)
      this.session.end(new RpcError(Code.ResourceExhausted, 'the other gateway takes no pages'));
    else if (!this.flushing) void this.flush();
  }

  /** About pages. */
  sayOf(what: 'wanted' | 'refused', run: PageRun): void {
    for (const pages of partsOf(run, RUN_PAGES)) this.say(() => ({ case: what, value: { pages } }));
  }

  /** About pages that were lent up to some lending. */
  sayOfLent(what: 'revoked' | 'returned', run: PageRun, lending: number): void {
    for (const pages of partsOf(run, RUN_PAGES))
      this.say(() => ({ case: what, value: { pages, lending: BigInt(lending) } }));
  }

  /** @param data is read now: what comes later is of a later word */
  lend(run: PageRun, lending: number, data: (run: PageRun) => Uint8Array): void {
    for (const pages of partsOf(run, LENT_PAGES)) {
      const bytes = data(pages);
      this.say(() => ({ case: 'lent', value: { pages, data: bytes, lending: BigInt(lending) } }));
    }
  }

  private async flush(): Promise<void> {
    this.flushing = true;
    while (this.waiting.length > 0 && this.session.isUp) {
      await this.session.room();
      const word = this.waiting.shift();
      if (word !== undefined) this.session.sayOfMemory(word(), false);
    }
    this.flushing = false;
  }
}

function* partsOf({ dataspace, firstPage, pageCount }: PageRun, most: number): Generator<PageRun> {
  for (let at = 0; at < pageCount; at += most)
    yield { dataspace, firstPage: firstPage + at, pageCount: Math.min(most, pageCount - at) };
}
