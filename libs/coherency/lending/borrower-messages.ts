// What goes into a borrower and what comes out of it.
import type { AccessMode, PageRun } from '../page.ts';
import type { ReturnedAs } from './lender-messages.ts';

/** `UPGRADE`: to write, by a node that has it to read, and would answer for its own copy. */
export type AskedFor = AccessMode | 'UPGRADE';

export type BorrowerEvent =
  /** A dataspace of home may be borrowed. */
  | { type: 'open'; dataspace: bigint; pageCount: number }
  /** It is given to nobody any more: what nodes have is taken back, and all is returned. */
  | { type: 'drain'; dataspace: bigint }
  /** Drained, or the lease is over. */
  | { type: 'close'; dataspace: bigint }
  /** There is a line to home. @param life of its gateway: another one has lent nothing */
  | { type: 'joined'; life: bigint }
  | { type: 'lost' }
  /** Of home. */
  | { type: 'renewed'; sentMs: number; leaseMs: number }
  | { type: 'lent'; run: PageRun; lending: number; mode: AccessMode }
  | { type: 'refused'; run: PageRun; withdrawn: boolean }
  | { type: 'revoked'; run: PageRun; lending: number }
  /** What was returned by this lending was heard; `gone`: too late. */
  | { type: 'settled'; run: PageRun; lending: number; gone: boolean }
  /** Of its own directory: nodes ask for pages, and wait. */
  | { type: 'asked'; run: PageRun; mode: AskedFor }
  /** Nobody but the gateway has them. */
  | { type: 'alone'; run: PageRun }
  /** They are lost here: whoever had them died. They are taken from all. */
  | { type: 'broken'; run: PageRun }
  /** So is all of a dataspace that nodes may have: its own directory took this gateway for dead. */
  | { type: 'voided'; dataspace: bigint };

export type BorrowerAction =
  /** To home. */
  | { type: 'renew'; sentMs: number }
  | { type: 'want'; run: PageRun; mode: AccessMode }
  /** Of lendings up to this one. What is `WRITTEN` comes with the bytes that were kept. */
  | { type: 'return'; run: PageRun; lending: number; as: ReturnedAs }
  /** Nodes that asked get them. */
  | { type: 'serve'; run: PageRun }
  /** Nodes that asked are told that there is none; `withdrawn`: here, as home has it and does not lend it any more. */
  | { type: 'deny'; run: PageRun; withdrawn: boolean }
  /** What nodes asked for is to be looked at after what the gateway takes; it comes again. */
  | { type: 'decline'; run: PageRun }
  /** Nodes must have them no longer. */
  | { type: 'take'; run: PageRun }
  /** Their bytes as they are now are for home, whatever becomes of the pages here. */
  | { type: 'keep'; run: PageRun }
  /** Their bytes, and those that were kept, are of no use any more. */
  | { type: 'forget'; run: PageRun }
  /** They were written here, and home does not have that: it is lost. */
  | { type: 'gone'; run: PageRun };
