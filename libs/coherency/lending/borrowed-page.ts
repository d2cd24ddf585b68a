// A page that a gateway borrows: what it has of it by home, and what nodes have of it by the gateway.
import type { AccessMode } from '../page.ts';
import type { AskedFor } from './borrower-messages.ts';
import type { ReturnedAs } from './lender-messages.ts';

export interface BorrowedPage {
  home: 'NONE' | 'LENT' | 'OWNED' | 'OWED';
  /** What home was asked for on this line, and has not answered. */
  wants: 'NOTHING' | AccessMode;
  /** So often home was asked for it on this line, and has not answered. */
  asks: number;
  /** What nodes may have. */
  given: 'NOTHING' | AccessMode;
  /** Nodes may have written it since it is OWNED. */
  written: boolean;
  /** Whoever had it died. */
  broken: boolean;
  taking: boolean;
  /** Nodes wait for it. */
  asked: AskedFor | undefined;
  /** Home waits for it. */
  revoked: boolean;
  /** By which it was lent, or revoked. */
  lending: number;
  /** As what it is returned, until home has said that it heard. */
  owed: ReturnedAs;
  /** Its home is another one by now: nobody waits for it there. */
  orphaned: boolean;
}

export const newBorrowedPage = (): BorrowedPage => ({
  home: 'NONE',
  wants: 'NOTHING',
  asks: 0,
  given: 'NOTHING',
  written: false,
  broken: false,
  taking: false,
  asked: undefined,
  revoked: false,
  lending: 0,
  owed: 'READ',
  orphaned: false,
});

/** Nothing is known of it. */
export const isPlain = ({ home, asks, given, taking, broken, asked }: BorrowedPage): boolean =>
  home === 'NONE' && asks === 0 && given === 'NOTHING' && !taking && !broken && asked === undefined;

/** True where what the gateway has of home is enough for what nodes ask for. */
export const suffices = ({ home }: BorrowedPage, asked: AskedFor): boolean =>
  home === 'OWNED' || (home === 'LENT' && asked === 'READ');
