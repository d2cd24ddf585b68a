// What is laid at addresses of a process, and what userfaultfd watches there.
import { MapFlag, mmap, Prot } from '@odonata/userfault/libc.ts';
import { type Userfault, Watch } from '@odonata/userfault/userfault.ts';

export const SHARED_FIXED = MapFlag.SHARED | MapFlag.FIXED | MapFlag.NORESERVE;
/**
 * Of what may only be read there is a descriptor for reading only, whose shared mappings userfaultfd does not watch. A private
 * one shows the same pages. All of them are write-protected for userfaultfd, so a write faults before it makes a copy.
 */
const READ_ONLY_FIXED = MapFlag.PRIVATE | MapFlag.FIXED | MapFlag.NORESERVE;
/** Write protection: while a page is copied to where it leaves to, nobody writes it. */
export const PRIVATE_WATCH = Watch.MISSING | Watch.WRITE_PROTECT;

export interface Place {
  readonly address: bigint;
  readonly lengthBytes: number;
  readonly fd: number;
  /** In the file. */
  readonly offsetBytes: number | bigint;
}

/** Private memory of the process. @throws SystemCallError */
export function layPrivate(userfault: Userfault, place: Place): void {
  lay(userfault, place, SHARED_FIXED, PRIVATE_WATCH);
}

/** Pages that others have, too: each is mapped, and protected from writing, when it is touched. @throws SystemCallError */
export function layGuarded(userfault: Userfault, place: Place, { readOnly }: { readOnly: boolean }): void {
  lay(userfault, place, readOnly ? READ_ONLY_FIXED : SHARED_FIXED, PRIVATE_WATCH | Watch.MINOR);
}

function lay(
  userfault: Userfault,
  { address, lengthBytes, fd, offsetBytes }: Place,
  flags: number,
  watch: number,
): void {
  mmap(address, lengthBytes, Prot.READ | Prot.WRITE, flags, fd, offsetBytes);
  userfault.register(address, lengthBytes, watch);
}
