// Blocks of pages that are read at random until most of them is here: a table that is looked up, an index. Each page of it would cost
// a fault. So after some faults in one block all that is missing of it is asked for together, as needed: also what others may write, from
// which a mere guess takes nothing (PROTOCOL.md, "Neighbours of what is asked for").
//
//   only reads far from each other count   runs have windows, and what is written stays with who writes it
//   once a block                           what others write there takes a page away again; then its faults are of that, and lost-lately.ts
//                                          brings it back: at worst one ask is in vain, of ten pages for each that was used

/** One message's worth of pages. */
export const DENSE_BLOCK_PAGES = 64;
/** Fewer come by their faults soon enough. */
export const DENSE_MISSING_LEAST = 16;
export const DENSE_FAULTS = 6;
/** Of one dataspace; 1 GiB of it. */
export const DENSE_BLOCKS_MAX = 4096;

export class DenseBlocks {
  /** Faults by block, the one that was touched last stands last. */
  private readonly faults = new Map<number, number>();

  /** A read fault far from the ones before. @returns whether the rest of its block is wanted */
  fault(page: number): boolean {
    const block = Math.floor(page / DENSE_BLOCK_PAGES);
    const faults = Math.min(DENSE_FAULTS, this.faults.get(block) ?? 0) + 1;
    this.faults.delete(block);
    this.faults.set(block, faults);
    if (this.faults.size > DENSE_BLOCKS_MAX) this.faults.delete(this.faults.keys().next().value!);
    return faults === DENSE_FAULTS;
  }
}
