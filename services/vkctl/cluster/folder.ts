import { mkdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';

/**
 * Makes a folder and those above it. Not by `recursive` of mkdir: below a folder that takes no entries, as /proc, Node
 * asks for ever. @throws an error of the system
 */
export function makeFolder(folder: string): void {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return;
  if (stat !== undefined) throw notAFolder(folder);
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Somebody else was faster.
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

const notAFolder = (path: string): Error =>
  Object.assign(new Error(`${path} is not a folder`), {
    ...{ code: 'ENOTDIR', errno: -constants.errno.ENOTDIR, syscall: 'mkdir', path },
  });
