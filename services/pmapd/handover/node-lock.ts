// Who is the pmap manager of a node: whoever holds this lock. The kernel lets go of it when its process ends, however.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from '@odonata/userfault/libc.ts';

/** Undefined: another process is the pmap manager of the node; else this one is, until it ends or calls the result. */
export function lockNode(socketDir: string): (() => void) | undefined {
  const fd = openSync(join(socketDir, 'pmapd.lock'), 'a', 0o600);
  if (tryLock(fd)) return () => closeSync(fd);
  closeSync(fd);
  return undefined;
}
