// What spin is run on: bounds that must hold, and mutants of the model that it must refute.
export interface Configuration {
  name: string;
  /** The protocol of pages, or who leads; its file has that name. */
  model: 'coherency' | 'leaders';
  /** Macros of the model. */
  defines: Record<string, number | true>;
  /** What spin must find. */
  expect: 'HOLDS' | 'REFUTED';
  /** Takes longer than CI has. */
  long?: boolean;
}

type Bounds = Record<string, number>;

const holds = (
  name: string,
  defines: Bounds,
  long = false,
  model: Configuration['model'] = 'coherency',
): Configuration => ({ name, model, defines, expect: 'HOLDS', long });

const refuted = (
  mutant: string,
  defines: Bounds,
  long = false,
  model: Configuration['model'] = 'coherency',
): Configuration => ({
  name: mutant,
  model,
  defines: { ...defines, [mutant]: true },
  expect: 'REFUTED',
  long,
});

const leadersHold = (name: string, defines: Bounds, long = false) => holds(name, defines, long, 'leaders');
const leadersRefuted = (mutant: string, defines: Bounds, long = false) =>
  refuted(mutant, defines, long, 'leaders');

export const CONFIGURATIONS: readonly Configuration[] = [
  holds('nobody-has-it', { WANTS: 3, CREATOR: 0, EARLY: 1 }),
  holds('early-ticks', { WANTS: 3, EARLY: 1, LOSSES: 1 }, true),
  holds('stream-breaks', { WANTS: 3, BREAKS: 1 }, true),
  holds('holder-crashes', { WANTS: 2, CRASHES: 1, EARLY: 1 }),
  holds('lease-ends', { WANTS: 2, SILENCES: 1, LOSSES: 1 }),
  holds('directory-restarts', { WANTS: 2, RESTARTS: 1, EARLY: 1 }, true),
  holds('restart-and-break', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }, true),
  holds('two-pages', { WANTS: 2, PAGES: 2, WRITES: 2 }),
  holds('four-wants', { WANTS: 4, EARLY: 1, LOSSES: 1 }, true),
  holds('two-breaks', { WANTS: 3, BREAKS: 2, LOSSES: 1 }, true),
  holds('lease-ends-long', { WANTS: 3, SILENCES: 1, LOSSES: 1 }, true),
  holds('crash-and-break', { WANTS: 3, CRASHES: 1, BREAKS: 1 }, true),
  holds('restart-long', { WANTS: 3, RESTARTS: 1, LOSSES: 1 }, true),
  leadersHold('leader-changes', { CHANGES: 1 }),
  leadersHold('page-is-sent-on', { CHANGES: 1, SENDER: 1 }, true),
  leadersHold('leader-and-break', { CHANGES: 1, BREAKS: 1 }, true),
  leadersHold('leader-lease-held', { CHANGES: 1, HOLDS: 1 }, true),
  leadersHold('earlier-start', { CHANGES: 1, EARLIER: 1 }),
  leadersHold('node-starts-anew', { CHANGES: 1, STARTS: 2, LIVES_MAX: 4 }, true),
  leadersHold('replica-restarts', { CHANGES: 1, RESTARTS: 1 }),
  leadersHold('two-leaders-change', { CHANGES: 2 }, true),
];

export const MUTANTS: readonly Configuration[] = [
  refuted('NO_VERSION_CHECK', { WANTS: 3, LOSSES: 1, EARLY: 1 }, true),
  refuted('BELIEVE_KEPT', { WANTS: 3, RESTARTS: 1, LOSSES: 1 }, true),
  refuted('GRANT_BEFORE_LAST_ACK', { WANTS: 3 }, true),
  refuted('FORGET_SHARER', { WANTS: 3 }, true),
  refuted('FORGET_SENT', { WANTS: 3, LOSSES: 1 }, true),
  refuted('KEEP_WRITING', { WANTS: 3 }, true),
  refuted('NO_RESEND', { WANTS: 3, LOSSES: 1 }, true),
  refuted('BROADCAST_TO_SOURCE', { WANTS: 3, EARLY: 1 }, true),
  refuted('IGNORE_EPOCH', { WANTS: 3, RESTARTS: 1 }, true),
  refuted('NO_LEASE', { WANTS: 2, SILENCES: 1 }, true),
  refuted('FORMER_LIFE', { WANTS: 3, SILENCES: 1 }, true),
  refuted('GRANT_BEFORE_REPORTS', { WANTS: 2, RESTARTS: 1 }, true),
  refuted('LATE_REPORT', { WANTS: 2, RESTARTS: 1 }, true),
  refuted('REPORT_ONCE', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }, true),
  refuted('RECALL_NEEDS_GRANT', { WANTS: 3, BREAKS: 1 }, true),
  refuted('RESTORE_ONCE', { WANTS: 2, RESTARTS: 1, BREAKS: 1 }, true),
  refuted('ASKED_AGAIN_IN_VAIN', { WANTS: 2, BREAKS: 1 }, true),
  leadersRefuted('BURY_THE_SILENT', { CHANGES: 1, BREAKS: 1 }),
  leadersRefuted('HOLD_UNNOTED', { CHANGES: 1, HOLDS: 1 }),
  leadersRefuted('FORGET_HOLDS', { CHANGES: 1, HOLDS: 1 }),
  leadersRefuted('HOLDS_OF_THE_LAST', { CHANGES: 2, HOLDS: 1 }, true),
  leadersRefuted('BURY_EARLY', { CHANGES: 1, BREAKS: 1 }),
  leadersRefuted('BELIEVE_EARLIER_START', { CHANGES: 1, EARLIER: 1 }),
  leadersRefuted('ASK_NO_NEWCOMER', { CHANGES: 1, SENDER: 1 }),
  leadersRefuted('BELIEVE_EVERY_LIFE', { CHANGES: 1, BREAKS: 1, LIVES_MAX: 4 }),
  leadersRefuted('TRUST_SILENT_LEADER', { CHANGES: 1, BREAKS: 1 }),
  leadersRefuted('NO_NOTE_OF_DEATH', { CHANGES: 1 }),
  leadersRefuted('WELCOME_UNNOTED', { CHANGES: 2 }),
  leadersRefuted('SERVE_UNNOTED', { CHANGES: 2 }),
  leadersRefuted('FORGET_UNSERVED', { CHANGES: 2 }),
  leadersRefuted('LATE_NOTES', { CHANGES: 1, RESTARTS: 1 }),
];

/** What the protocol does not survive today. Spin shows it, so that nobody forgets. */
export const OPEN: readonly Configuration[] = [
  {
    name: 'restart-and-crash',
    model: 'coherency',
    defines: { WANTS: 2, RESTARTS: 1, CRASHES: 1 },
    expect: 'REFUTED',
    long: true,
  },
];
