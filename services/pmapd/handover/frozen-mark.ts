// Who goes on after a freeze: a file beside the sockets of the node, with a name for the hand-over.
//
//   the present pmap manager   freezes, writes the file     ... and ends            the next one goes on
//                                                           ... or removes the file, and goes on itself
//   the next one               waits for the end of the other one (its lock on the node), and looks for the file: it goes on
//                              only with the one that names its hand-over
//
// So exactly one goes on, whichever of them dies or is stopped, and whenever.
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileIn = (socketDir: string): string => join(socketDir, 'frozen');

/** @returns the name of the hand-over */
export function markFrozen(socketDir: string): string {
  const name = randomBytes(16).toString('hex');
  writeFileSync(fileIn(socketDir), name, { mode: 0o600 });
  return name;
}

/** Another one may not go on any more; or goes on. */
export function clearFrozen(socketDir: string): void {
  rmSync(fileIn(socketDir), { force: true });
}

export function isFrozen(socketDir: string, name: string): boolean {
  try {
    return readFileSync(fileIn(socketDir), 'utf8') === name;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
