import { invalidField } from '@odonata/rpc/refusal.ts';
import { wasiSignals } from './vkernel/wasi/signals.ts';

/** What becomes of a program's own doing, and what there is nothing of here. */
const NOT_SENT: ReadonlySet<string> = new Set([
  ...['', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGSYS'],
  ...['SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGPOLL', 'SIGPWR'],
]);
/** Signals that may be sent to a process. */
const SIGNALS: readonly string[] = wasiSignals.filter((name) => !NOT_SENT.has(name));

export function checkSignal(name: string): string {
  if (SIGNALS.includes(name)) return name;
  throw invalidField('signal', `"${name}" is no signal that can be sent; use ${SIGNALS.join(', ')}`);
}
