// A page for a process that is ending: its thread waits in a fault and must go on to its end, whatever is full.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Errno, MapFlag, mmap, Prot } from '@odonata/userfault/libc.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';

const ANONYMOUS_FIXED = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.NORESERVE;

/** True where a page cannot be filled because its tmpfs has no room. */
export const isFull = (errno: number): boolean => errno === Errno.ENOMEM || errno === Errno.ENOSPC;

export function fillForTheEnd(userfault: Userfault, address: bigint): void {
  const errno = userfault.zero(address, PAGE_BYTES);
  if (errno === 0) return;
  // A page of the virtual kernel's own instead: it goes with the rest when the process is over.
  if (isFull(errno)) mmap(address, PAGE_BYTES, Prot.READ | Prot.WRITE, ANONYMOUS_FIXED, -1, 0);
  userfault.wake(address, PAGE_BYTES);
}
