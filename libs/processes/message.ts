// What the homes of processes say to each other. Each may be lost, doubled and late: it is said again until it was taken, and
// to hear it twice changes nothing. A child and its parent of different nodes know each other by the token of the spawn, which
// is never used again; a pid is.

/** How a process ended. */
export interface Status {
  /** Exit code, or 128 + the number of the signal. */
  readonly code: number;
  /** Empty where it exited by itself. */
  readonly signal: string;
  /** One line, where it did not exit by itself. */
  readonly reason: string;
}

/** A process was stopped by a signal, or goes on (empty). `turn` grows with each change: what is older than the last is nothing new. */
export interface Hold {
  readonly turn: number;
  readonly signal: string;
}

export type Message =
  /** To the home of its parent, kept until taken. */
  | { readonly kind: 'exited'; readonly token: bigint; readonly child: bigint; readonly status: Status }
  /** To the home of its parent, kept until taken, or until there is a later one. */
  | { readonly kind: 'held'; readonly token: bigint; readonly child: bigint; readonly hold: Hold }
  /** To the home of a child, kept until taken: its parent is over. */
  | { readonly kind: 'orphaned'; readonly token: bigint }
  /** To the home of a child, kept until taken: nobody got to know it, or it was taken for lost; it ends, wherever it got to. */
  | { readonly kind: 'revoked'; readonly token: bigint }
  /** To both, now and then: what the sender believes. What is not so there the answer names. */
  | { readonly kind: 'audit'; readonly children: readonly bigint[]; readonly parents: readonly bigint[] };

/** What came of it. */
export interface Reply {
  /** Of these nothing is kept any more. */
  readonly taken: readonly Message[];
  /** Children that the other one does not have. */
  readonly noChildren: readonly bigint[];
  /** Children whose parent the other one does not have. */
  readonly noParents: readonly bigint[];
}

export const keyOf = (message: Exclude<Message, { kind: 'audit' }>): string =>
  `${message.kind} ${message.token}`;
