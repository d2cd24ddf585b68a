import { invalidField } from '@odonata/rpc/refusal.ts';

/** Signals that may be sent to a process. Each ends it: a WASI program has no handlers. */
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGKILL'];

export function checkSignal(name: string): string {
  if (SIGNALS.includes(name)) return name;
  throw invalidField('signal', `"${name}" is no signal that can be sent; use ${SIGNALS.join(', ')}`);
}
