// One cluster, one owner at a time: the supervisor that runs it, or whoever clears what a dead one left.
// flock(2): the kernel lets go when the owner dies, however it dies, so there are no stale locks.
import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLock as tryLockFile } from '@odonata/userfault/libc.ts';

// Where the folder is everybody's, a link would lead to a file that somebody else chose.
const LOCK_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;

export interface Lock {
  /** The lock belongs to the open file: a child that inherits it holds the lock, too. */
  readonly fd: number;
  /** Closes this process's copy only; the child that inherited it goes on holding the lock. */
  handOver(): void;
  /** Lets go; the file goes too, so that nothing is left where no cluster is. */
  release(): void;
}

/** The lock, or undefined when another process holds it. */
export function tryLock(file: string): Lock | undefined {
  for (;;) {
    const fd = openSync(file, LOCK_FLAGS, 0o600);
    if (!tryLockFile(fd)) {
      closeSync(fd);
      return undefined;
    }
    // Its last owner may have removed the file between our open and our lock: then we hold a ghost.
    if (statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return adoptLock(file, fd);
    closeSync(fd);
  }
}

/** The lock that this process inherited as `fd`. */
export function adoptLock(file: string, fd: number): Lock {
  let open = true;
  return {
    fd,
    handOver() {
      if (open) closeSync(fd);
      open = false;
    },
    release() {
      if (!open) return;
      open = false;
      unlinkSync(file);
      closeSync(fd);
    },
  };
}

/** The lock, waiting at most so long for its owner to let go. */
export async function waitForLock(file: string, timeoutMs: number): Promise<Lock | undefined> {
  const endMs = Date.now() + timeoutMs;
  for (;;) {
    const lock = tryLock(file);
    if (lock || Date.now() >= endMs) return lock;
    await sleep(50);
  }
}
