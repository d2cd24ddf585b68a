// What spin is run on: bounds that must hold, and mutants of the model that it must refute.
export interface Configuration {
  name: string;
  /** Macros of the model. */
  defines: Record<string, number | true>;
  /** What spin must find. */
  expect: 'HOLDS' | 'REFUTED';
  /** Takes longer than CI has. */
  long?: boolean;
}

const holds = (name: string, defines: Record<string, number>, long = false): Configuration => ({
  name,
  defines,
  expect: 'HOLDS',
  long,
});

const refuted = (mutant: string, defines: Record<string, number>): Configuration => ({
  name: mutant,
  defines: { ...defines, [mutant]: true },
  expect: 'REFUTED',
});

export const CONFIGURATIONS: readonly Configuration[] = [
  holds('nobody-has-it', { WANTS: 3, CREATOR: 0, EARLY: 1 }),
  holds('early-ticks', { WANTS: 3, EARLY: 1, LOSSES: 1 }, true),
  holds('stream-breaks', { WANTS: 3, BREAKS: 1 }, true),
  holds('holder-crashes', { WANTS: 2, CRASHES: 1, EARLY: 1 }),
  holds('lease-ends', { WANTS: 2, SILENCES: 1, LOSSES: 1 }),
  holds('directory-restarts', { WANTS: 2, RESTARTS: 1, EARLY: 1 }),
  holds('restart-and-break', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }, true),
  holds('two-pages', { WANTS: 2, PAGES: 2, WRITES: 2 }),
  holds('four-wants', { WANTS: 4, EARLY: 1, LOSSES: 1 }, true),
  holds('two-breaks', { WANTS: 3, BREAKS: 2, LOSSES: 1 }, true),
  holds('lease-ends-long', { WANTS: 3, SILENCES: 1, LOSSES: 1 }, true),
  holds('crash-and-break', { WANTS: 3, CRASHES: 1, BREAKS: 1 }, true),
  holds('restart-long', { WANTS: 3, RESTARTS: 1, LOSSES: 1 }, true),
];

export const MUTANTS: readonly Configuration[] = [
  refuted('NO_VERSION_CHECK', { WANTS: 3, LOSSES: 1, EARLY: 1 }),
  refuted('BELIEVE_KEPT', { WANTS: 3, RESTARTS: 1, LOSSES: 1 }),
  refuted('GRANT_BEFORE_LAST_ACK', { WANTS: 3 }),
  refuted('FORGET_SHARER', { WANTS: 3 }),
  refuted('FORGET_SENT', { WANTS: 3, LOSSES: 1 }),
  refuted('KEEP_WRITING', { WANTS: 3 }),
  refuted('NO_RESEND', { WANTS: 3, LOSSES: 1 }),
  refuted('BROADCAST_TO_SOURCE', { WANTS: 3, EARLY: 1 }),
  refuted('IGNORE_EPOCH', { WANTS: 3, RESTARTS: 1 }),
  refuted('NO_LEASE', { WANTS: 2, SILENCES: 1 }),
  refuted('FORMER_LIFE', { WANTS: 3, SILENCES: 1 }),
  refuted('GRANT_BEFORE_REPORTS', { WANTS: 2, RESTARTS: 1 }),
  refuted('LATE_REPORT', { WANTS: 2, RESTARTS: 1 }),
  refuted('REPORT_ONCE', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }),
  refuted('RECALL_NEEDS_GRANT', { WANTS: 3, BREAKS: 1 }),
  refuted('RESTORE_ONCE', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }),
  refuted('ASKED_AGAIN_IN_VAIN', { WANTS: 2, BREAKS: 1 }),
];

/** What the protocol does not survive today: PROTOCOL.md, "Open". Spin shows it, so that nobody forgets. */
export const OPEN: readonly Configuration[] = [
  { name: 'restart-and-crash', defines: { WANTS: 2, RESTARTS: 1, CRASHES: 1 }, expect: 'REFUTED' },
];
