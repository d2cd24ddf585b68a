// Descriptors of the host that a process of several threads has open. They are the main thread's: Node closes what a thread opened
// when that thread ends, and the process may go on.

import { PmapError } from '@odonata/pmap/pmap-interface.ts';
import { close, duplicate, duplicateAs } from '@odonata/userfault/libc.ts';
import { Errno } from './wasi/errno.ts';
import type { HostFiles } from './wasi/shared-descriptors.ts';

export class HostDescriptors implements HostFiles {
  readonly #open = new Set<number>();

  adopt(host: number): number {
    try {
      const own = duplicate(host);
      this.#open.add(own);
      return own;
    } catch {
      throw new PmapError(Errno.mfile, 'no descriptor is left');
    }
  }

  close(host: number): void {
    if (this.#open.delete(host)) close(host);
  }

  replace(as: number, host: number): void {
    if (this.#open.has(as)) duplicateAs(host, as);
  }

  /** The process is over. */
  closeAll(): void {
    for (const host of this.#open) close(host);
    this.#open.clear();
  }
}
