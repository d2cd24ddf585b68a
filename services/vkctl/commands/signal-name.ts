import { constants } from 'node:os';
import { EXIT, Failure } from '../failure.ts';

/** What a virtual process understands. */
const KNOWN = ['SIGTERM', 'SIGINT', 'SIGKILL'];

/** SIGKILL from KILL, SIGKILL, kill or 9. */
export function signalName(text: string): string {
  const upper = text.toUpperCase();
  const byNumber = Object.entries(constants.signals).find(([, number]) => String(number) === text)?.[0];
  const name = byNumber ?? (upper.startsWith('SIG') ? upper : `SIG${upper}`);
  if (KNOWN.includes(name)) return name;
  throw new Failure(`"${text}" is not a signal for virtual processes`, {
    fix: `Use one of ${KNOWN.map((known) => known.slice(3)).join(', ')}.`,
    exitCode: EXIT.usage,
  });
}
