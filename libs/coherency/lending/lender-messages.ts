// What goes into a lender and what comes out of it.
import type { AccessMode, PageRun } from '../page.ts';

/** A gateway of another cluster, in one life of it: a later one knows nothing of what its nodes have, and cannot give it back. */
export type Borrower = `${string} ${string}`;

/** @param life unlike that of any other gateway of the cluster */
export const borrowerOf = (cluster: string, life: string): Borrower => `${cluster} ${life}`;
/** The cluster. */
export const clusterOf = (borrower: Borrower): string => borrower.slice(0, borrower.indexOf(' '));

/**
 * How pages come back: `READ` of those that were lent to read; of those that were lent to write with their bytes (`WRITTEN`), with nothing
 * new (`UNWRITTEN`), or never, since who wrote them died there (`LOST`).
 */
export type ReturnedAs = 'READ' | 'WRITTEN' | 'UNWRITTEN' | 'LOST';

/** Pages that somebody at home reads or writes: what the directory said, which is not answered before they are back. */
export interface Taking<Word> {
  run: PageRun;
  /** `READ`: those that are lent to read may stay. */
  mode: AccessMode;
  word: Word;
}

export type LenderEvent<Word> =
  /** These clusters may borrow pages of a dataspace, these of them to write, and nobody else; none: it is not lent. */
  | {
      type: 'export';
      dataspace: bigint;
      pageCount: number;
      to: ReadonlySet<string>;
      writers: ReadonlySet<string>;
    }
  /** It is no more. */
  | { type: 'remove'; dataspace: bigint }
  /** There is a line to it: what it may not have heard is said again. */
  | { type: 'joined'; peer: Borrower }
  /** @param homeLeaseMs what is left of the gateway's own lease */
  | { type: 'renew'; peer: Borrower; sentMs: number; homeLeaseMs: number }
  | { type: 'wanted'; peer: Borrower; run: PageRun; mode: AccessMode }
  /** Of lendings up to this one: what was lent since is not meant. */
  | { type: 'returned'; peer: Borrower; run: PageRun; lending: number; as: ReturnedAs }
  /** Of its own directory: they may be used here. */
  | { type: 'ready'; run: PageRun; mode: AccessMode }
  /** `lost`: the own directory has no copy of them. */
  | { type: 'failed'; run: PageRun; lost: boolean }
  | ({ type: 'taken' } & Taking<Word>)
  /** The own directory has another leader, or a new stream: what it takes it says again. */
  | { type: 'rejoined' }
  /** The gateway's own lease is over, and with it those of the others. */
  | { type: 'voided' };

export type LenderAction<Word> =
  /** Lendings are counted: what is said of one must not be taken for a later one. */
  | { type: 'lend'; peer: Borrower; run: PageRun; lending: number; mode: AccessMode }
  /** `withdrawn`: that cluster may not have them; else they are lost. */
  | { type: 'refuse'; peer: Borrower; run: PageRun; withdrawn: boolean }
  /** Up to this lending. */
  | { type: 'revoke'; peer: Borrower; run: PageRun; lending: number }
  /** What was returned was heard; `gone`: too late. */
  | { type: 'settle'; peer: Borrower; run: PageRun; lending: number; gone: boolean }
  | { type: 'renewed'; peer: Borrower; sentMs: number; leaseMs: number }
  /** Asks the own directory for pages. */
  | { type: 'want'; run: PageRun; mode: AccessMode }
  /** The bytes that came with what was returned are those of the pages. */
  | { type: 'take'; run: PageRun }
  /** What was written over there does not come back: the pages are LOST, and the own directory hears so. */
  | { type: 'lose'; peer: Borrower; run: PageRun }
  /** There is no room for them here any more: a node at home is to have what this gateway owns, and then they are not here. */
  | { type: 'leave'; run: PageRun }
  /** Nobody has them there in the way of what the directory said, which is heeded now. */
  | { type: 'release'; run: PageRun; word: Word }
  /** This cluster has not given back what others wait for: its lease is over. */
  | { type: 'overdue'; peer: Borrower; pages: number };
