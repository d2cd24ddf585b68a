// Who is the pmap manager of a node: whoever holds this lock. The kernel lets go of it when its process ends, however.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from '@odonata/userfault/libc.ts';

/** False: another process is the pmap manager of the node; else this one is, for its life. */
export function lockNode(socketDir: string): boolean {
  const fd = openSync(join(socketDir, 'pmapd.lock'), 'a', 0o600);
  if (tryLock(fd)) return true;
  closeSync(fd);
  return false;
}
