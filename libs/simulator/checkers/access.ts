// One writer or many readers, at both levels: by who could access now, not by what a directory believes. It can only stop
// to hold where somebody gains access, so it is looked at then.

import { MAPPED_WRITE, type MemoryFile, NOT_MAPPED } from '../stores/memory-file.ts';
import { check } from '../violation.ts';

/** Whose mappings are looked at. */
export interface AccessingVkernel {
  readonly name: string;
  readonly paused: boolean;
  readonly maps: Uint8Array;
  readonly file: MemoryFile;
}

export class AccessChecker {
  private readonly vkernels: Iterable<AccessingVkernel>;

  /** @param vkernels all that have not ended */
  constructor(vkernels: Iterable<AccessingVkernel>) {
    this.vkernels = vkernels;
  }

  /** A virtual kernel gained access to a page, or goes on with it. One that is stopped accesses nothing. */
  gained(vkernel: AccessingVkernel, page: number): void {
    if (vkernel.paused) return;
    const writes = vkernel.maps[page] === MAPPED_WRITE;
    for (const other of this.vkernels) {
      if (other === vkernel || other.paused || other.maps[page] === NOT_MAPPED) continue;
      const level = other.file === vkernel.file ? 'node' : 'cluster';
      check(!writes && other.maps[page] !== MAPPED_WRITE, 'single writer', page, () => {
        const how = (v: AccessingVkernel) =>
          `${v.name} ${v.maps[page] === MAPPED_WRITE ? 'writes' : 'reads'}`;
        return `page ${page}: ${how(vkernel)} while ${how(other)} (${level} level)`;
      });
    }
  }
}
