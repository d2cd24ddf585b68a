// The memory files of dataspaces that the processes of this virtual kernel have open: one descriptor each, however many
// processes opened it, and one more where some may only read it. A process that ends may still have the file of before: of one that
// the pmap manager made anew since, or another pmap manager; so a file is told by its inode, and not by its dataspace alone.
import { fstatSync } from 'node:fs';
import { close } from '@odonata/userfault/libc.ts';

interface Kept {
  readonly fd: number;
  users: number;
}

/** A memory file that a process has; it gives it back once. */
export interface MemoryFile {
  readonly fd: number;
  release(): void;
}

export class MemoryFiles {
  private readonly kept = new Map<string, Kept>();

  /** Takes a descriptor that came for a process. */
  keep(dataspace: bigint, readOnly: boolean, fd: number): MemoryFile {
    // While a descriptor of it is open, no other file gets its number.
    const { dev, ino } = fstatSync(fd, { bigint: true });
    const key = `${dataspace} ${readOnly} ${dev}:${ino}`;
    const known = this.kept.get(key);
    if (known === undefined) this.kept.set(key, { fd, users: 0 });
    else close(fd);
    const file = known ?? this.kept.get(key)!;
    file.users++;
    let released = false;
    return {
      fd: file.fd,
      release: () => {
        if (released) return;
        released = true;
        if (--file.users > 0) return;
        if (this.kept.get(key) === file) this.kept.delete(key);
        close(file.fd);
      },
    };
  }

  /** Nobody may go on with what another pmap manager had: who has one keeps it until it ends. */
  forget(): void {
    this.kept.clear();
  }
}
