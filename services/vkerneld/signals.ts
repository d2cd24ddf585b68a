import { invalidField } from '@odonata/rpc/refusal.ts';

/** Signals that may be sent to a process. */
const SIGNALS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGKILL',
  'SIGUSR1',
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
  'SIGWINCH',
];

export function checkSignal(name: string): string {
  if (SIGNALS.includes(name)) return name;
  throw invalidField('signal', `"${name}" is no signal that can be sent; use ${SIGNALS.join(', ')}`);
}
