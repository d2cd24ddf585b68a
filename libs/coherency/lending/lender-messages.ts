// What goes into a lender and what comes out of it.
import type { PageRun } from '../page.ts';

/** A gateway of another cluster, in one life of it: a later one knows nothing of what its nodes have, and cannot give it back. */
export type Borrower = `${string} ${string}`;

/** @param life unlike that of any other gateway of the cluster */
export const borrowerOf = (cluster: string, life: string): Borrower => `${cluster} ${life}`;
/** The cluster. */
export const clusterOf = (borrower: Borrower): string => borrower.slice(0, borrower.indexOf(' '));

/** Pages that somebody at home writes: what the directory said, which is not answered before they are back. */
export interface Taking<Word> {
  run: PageRun;
  word: Word;
}

export type LenderEvent<Word> =
  /** These clusters may borrow pages of a dataspace, and nobody else; none: it is not lent. */
  | { type: 'export'; dataspace: bigint; pageCount: number; to: ReadonlySet<string> }
  /** It is no more. */
  | { type: 'remove'; dataspace: bigint }
  /** There is a line to it: what it may not have heard is said again. */
  | { type: 'joined'; peer: Borrower }
  /** @param homeLeaseMs what is left of the gateway's own lease */
  | { type: 'renew'; peer: Borrower; sentMs: number; homeLeaseMs: number }
  | { type: 'wanted'; peer: Borrower; run: PageRun }
  /** Of lendings up to this one: what was lent since is not meant. */
  | { type: 'returned'; peer: Borrower; run: PageRun; lending: number }
  /** Of its own directory: they may be read here. */
  | { type: 'ready'; run: PageRun }
  | { type: 'failed'; run: PageRun }
  | { type: 'taken'; run: PageRun; word: Word }
  /** The own directory has another leader, or a new stream: what it takes it says again. */
  | { type: 'rejoined' }
  /** The gateway's own lease is over, and with it those of the others. */
  | { type: 'voided' };

export type LenderAction<Word> =
  /** Lendings are counted: what is said of one must not be taken for a later one. */
  | { type: 'lend'; peer: Borrower; run: PageRun; lending: number }
  | { type: 'refuse'; peer: Borrower; run: PageRun }
  /** Up to this lending. */
  | { type: 'revoke'; peer: Borrower; run: PageRun; lending: number }
  | { type: 'renewed'; peer: Borrower; sentMs: number; leaseMs: number }
  /** Asks the own directory for pages, to read. */
  | { type: 'want'; run: PageRun }
  /** Nobody has them here: the directory may hear so. */
  | { type: 'release'; run: PageRun; word: Word }
  /** Somebody at home gets them, and this cluster has not given them back: its lease is over. */
  | { type: 'overdue'; peer: Borrower; pages: number };
