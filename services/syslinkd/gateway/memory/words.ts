// Words about pages to other clusters: in order, and no faster than the other side takes them. A word about pages that are taken back must
// not overtake that by which they were lent.
import type { ReturnedAs } from '@odonata/coherency/lending/lender-messages.ts';
import type { PageRun } from '@odonata/coherency/page.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Session } from '../session.ts';
import type { GatewayLetter, WordInit } from './word.ts';

/** Pages of one word, and of one that carries their bytes. */
const RUN_PAGES = 256;
const LENT_PAGES = 16;
/** Where so many wait, what is said again anyway is dropped. */
const LETTERS_MAX = 4_096;
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

  want(run: PageRun, writing: boolean): void {
    for (const pages of partsOf(run, RUN_PAGES))
      this.say(() => ({ case: 'wanted', value: { pages, writing } }));
  }

  refuse(run: PageRun, withdrawn: boolean): void {
    for (const pages of partsOf(run, RUN_PAGES))
      this.say(() => ({ case: 'refused', value: { pages, withdrawn } }));
  }

  /** Of lendings up to this one. */
  revoke(run: PageRun, lending: number): void {
    for (const pages of partsOf(run, RUN_PAGES))
      this.say(() => ({ case: 'revoked', value: { pages, lending: BigInt(lending) } }));
  }

  settle(run: PageRun, lending: number, gone: boolean): void {
    for (const pages of partsOf(run, RUN_PAGES))
      this.say(() => ({ case: 'settled', value: { pages, lending: BigInt(lending), gone } }));
  }

  /** @param data is read now: what comes later is of a later word */
  lend(run: PageRun, lending: number, writing: boolean, data: (run: PageRun) => Uint8Array): void {
    for (const pages of partsOf(run, LENT_PAGES)) {
      const bytes = data(pages);
      this.say(() => ({ case: 'lent', value: { pages, data: bytes, lending: BigInt(lending), writing } }));
    }
  }

  /** @param data is read now */
  giveBack(run: PageRun, lending: number, as: ReturnedAs, data: (run: PageRun) => Uint8Array): void {
    const about = { lending: BigInt(lending), writing: as !== 'READ', lost: as === 'LOST' };
    for (const pages of partsOf(run, as === 'WRITTEN' ? LENT_PAGES : RUN_PAGES)) {
      const bytes = as === 'WRITTEN' ? { data: data(pages) } : {};
      this.say(() => ({ case: 'returned', value: { pages, ...about, ...bytes } }));
    }
  }

  /** It may be lost. */
  desk(what: 'deskAsked' | 'deskAnswered', letter: GatewayLetter): void {
    if (this.waiting.length < LETTERS_MAX) this.say(() => ({ case: what, value: letter }));
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
