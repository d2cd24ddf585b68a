// How a program ended, for who ran it: a line, which --quiet leaves out. What the virtual kernel did wrong is said all the same.
import { oneLine } from '../failure.ts';
import { printError, sayAside } from '../output.ts';

export function tellEnd(name: string, { signal, reason }: { signal: string; reason: string }): void {
  if (reason === '') return;
  const said = signal === '' || reason.includes(signal) ? reason : `${signal}: ${reason}`;
  const line = oneLine(`vkctl: ${name}: ${said}`);
  if (signal === 'SIGSYS') printError(line);
  else sayAside(line);
}
