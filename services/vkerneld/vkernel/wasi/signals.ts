// Signals, as WASI numbers them.

export const wasiSignals = [
  '',
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGPOLL',
  'SIGPWR',
  'SIGSYS',
] as const;

/** A terminal stops its processes by these, where they have no handler. */
export const TERMINAL_STOPS: ReadonlySet<string> = new Set(['SIGTSTP', 'SIGTTIN', 'SIGTTOU']);

/** 0: it is none of them. */
export const wasiSignalOf = (name: string): number =>
  Math.max(0, wasiSignals.indexOf(name as (typeof wasiSignals)[number]));
