// The memory file of a node: frames, and who maps them. A page is one number here: the write that it shows.

export const NOT_MAPPED = 0;
export const MAPPED_READ = 1;
export const MAPPED_WRITE = 2;

/** Who maps pages of it. */
export interface MappingVkernel {
  readonly alive: boolean;
  readonly maps: Uint8Array;
}

export class MemoryFile {
  /** Undefined: a hole. */
  readonly values: (number | undefined)[];
  readonly mapped = new Set<MappingVkernel>();

  constructor(pages: number) {
    this.values = new Array(pages).fill(undefined);
  }

  unmap(page: number): void {
    for (const vkernel of this.mapped) vkernel.maps[page] = NOT_MAPPED;
  }

  writableSomewhere(page: number): boolean {
    for (const vkernel of this.mapped) if (vkernel.alive && vkernel.maps[page] === MAPPED_WRITE) return true;
    return false;
  }

  /** Punches a hole, which empties every mapping of the page. */
  drop(page: number): void {
    this.values[page] = undefined;
    this.unmap(page);
  }

  empty(): void {
    for (let page = 0; page < this.values.length; page++) this.drop(page);
  }
}
