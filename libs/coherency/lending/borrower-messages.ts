// What goes into a borrower and what comes out of it.
import type { PageRun } from '../page.ts';

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
  | { type: 'lent'; run: PageRun; lending: number }
  | { type: 'refused'; run: PageRun }
  | { type: 'revoked'; run: PageRun; lending: number }
  /** Of its own directory: nodes ask for pages. */
  | { type: 'asked'; run: PageRun }
  /** Nobody but the gateway has them. */
  | { type: 'alone'; run: PageRun };

export type BorrowerAction =
  /** To home. */
  | { type: 'renew'; sentMs: number }
  | { type: 'want'; run: PageRun }
  /** Of lendings up to this one. */
  | { type: 'return'; run: PageRun; lending: number }
  /** Nodes that asked get them. */
  | { type: 'serve'; run: PageRun }
  /** Nodes that asked are told that there is none. */
  | { type: 'deny'; run: PageRun }
  /** Nodes must have them no longer. */
  | { type: 'take'; run: PageRun }
  /** Their bytes are of no use any more. */
  | { type: 'forget'; run: PageRun };
