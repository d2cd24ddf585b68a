import { constants } from 'node:os';
import type { Signal } from '@odonata/client/program.ts';
import { EXIT, Failure } from '../failure.ts';

/** What a virtual process understands. */
const KNOWN: readonly Signal[] = [
  'SIGTERM',
  'SIGINT',
  'SIGKILL',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGSTOP',
  'SIGTSTP',
  'SIGCONT',
  'SIGCHLD',
  'SIGWINCH',
];

/** SIGKILL from KILL, SIGKILL, kill or 9. */
export function signalName(text: string): Signal {
  const upper = text.toUpperCase();
  const byNumber = Object.entries(constants.signals).find(([, number]) => String(number) === text)?.[0];
  const name = byNumber ?? (upper.startsWith('SIG') ? upper : `SIG${upper}`);
  const known = KNOWN.find((each) => each === name);
  if (known !== undefined) return known;
  throw new Failure(`"${text}" is not a signal for virtual processes`, {
    fix: `Use one of ${KNOWN.map((known) => known.slice(3)).join(', ')}.`,
    exitCode: EXIT.usage,
  });
}

/** `kill -9 PID` as commander reads it: `kill --signal 9 PID`. */
export function expandKillSignal(argv: string[]): string[] {
  const at = argv.indexOf('kill');
  if (at !== 2) return argv;
  return argv.flatMap((word, i) => {
    const signal = i > at ? /^-(\d{1,2}|(?:SIG)?[A-Z]{3,}[12]?)$/.exec(word)?.[1] : undefined;
    return signal === undefined ? [word] : ['--signal', signal];
  });
}
