// A page that a gateway lends: what of it is here, who has it over there, and who waits for it.
import type { AccessMode } from '../page.ts';
import type { Borrower } from './lender-messages.ts';

export interface Writer {
  peer: Borrower;
  lending: number;
  /** By which it had it to read before. */
  readBy: number | undefined;
  /** Its lease has ended, and it uses it no more. */
  over: boolean;
  /** It was lent on the line that is there: in order before all that is heard of it. */
  isOfThisLine: boolean;
}

export interface LentPage<Word> {
  /** What the own directory allows here. */
  here: 'NOTHING' | AccessMode;
  /** What it is asked for. */
  asked: 'NOTHING' | AccessMode;
  /** Who has it to read, by which lending. */
  lent: Map<Borrower, number>;
  /** Who has it to write, alone. */
  writer: Writer | undefined;
  /** In order. */
  wanted: Map<Borrower, AccessMode>;
  /** Somebody at home waits for it. */
  taking: { mode: AccessMode; word: Word } | undefined;
  /** There is no room for it any more: it goes when nobody over there has it. */
  leaves: boolean;
  lastLending: number;
  /** Who was told to give it back. */
  told: Set<Borrower>;
  /** Since when somebody who has it was told to give it back. */
  revokedAtMs: number | undefined;
  /** Who wrote it, by which lending, and home went on without that: told so when it comes. */
  gone: Map<Borrower, number>;
}

export const newLentPage = <Word>(): LentPage<Word> => ({
  here: 'NOTHING',
  asked: 'NOTHING',
  lent: new Map(),
  writer: undefined,
  wanted: new Map(),
  taking: undefined,
  leaves: false,
  lastLending: 0,
  told: new Set(),
  revokedAtMs: undefined,
  gone: new Map(),
});

/** Nothing is known of it. */
export function isPlain<Word>(page: LentPage<Word>): boolean {
  if (page.here !== 'NOTHING' || page.asked !== 'NOTHING' || page.writer !== undefined) return false;
  return page.lent.size === 0 && page.wanted.size === 0 && page.gone.size === 0 && page.taking === undefined;
}

/** Who has it over there. */
export const havers = <Word>({ lent, writer }: LentPage<Word>): Borrower[] =>
  writer === undefined ? [...lent.keys()] : [...lent.keys(), writer.peer];

/** Who has to give it back before what waits for it may go on. */
export function inTheWay<Word>(page: LentPage<Word>): Borrower[] {
  const { taking, writer, wanted, lent } = page;
  if (taking !== undefined) {
    if (taking.mode === 'WRITE') return havers(page);
    return writer === undefined ? [] : [writer.peer];
  }
  if (page.leaves) return havers(page);
  const [first] = wanted;
  if (first === undefined) return [];
  if (writer !== undefined) return [writer.peer];
  const [peer, mode] = first;
  return mode === 'READ' ? [] : [...lent.keys()].filter((reader) => reader !== peer);
}
