// Blocks of pages that are read at random until most of them is here: a table that is looked up, an index. Each page of it would cost
// a fault. So after some faults in one block all that is missing of it is asked for together, as needed: also what others may write, from
// which a mere guess takes nothing (PROTOCOL.md, "Neighbours of what is asked for").
//
//   only reads of no run count   runs have windows, and what is written stays with who writes it
//   where much is missing        of a page here and there that others wrote the next fault brings it back (lost-lately.ts)
//   what is lost unused          counts against its block: it takes four times as many faults the next time
//
// So a table that is filled anew comes by blocks again, and one that others write faster than it is read here does not.

/** One message's worth of pages. */
export const DENSE_BLOCK_PAGES = 64;
export const DENSE_FAULTS = 6;
/** Fewer come by their faults soon enough. */
export const DENSE_MISSING_LEAST = 16;
/** Of one dataspace; 1 GiB of it. */
export const DENSE_BLOCKS_MAX = 4096;
/** So many that were brought and lost unused are a wrong guess. */
const UNUSED_MOST = DENSE_BLOCK_PAGES / 2;
const DEARER = 4;
const FAULTS_MOST = 6_144;

interface Block {
  /** Since it was looked at. */
  faults: number;
  /** So many bring it. */
  wanted: number;
  /** Lost since then, and not used before. */
  unused: number;
}

export class DenseBlocks {
  /** The one that was touched last stands last. */
  private readonly blocks = new Map<number, Block>();

  /** A read fault of no run. @returns whether the rest of its block is wanted */
  fault(page: number): boolean {
    const number = Math.floor(page / DENSE_BLOCK_PAGES);
    const block = this.blocks.get(number) ?? { faults: 0, wanted: DENSE_FAULTS, unused: 0 };
    this.blocks.delete(number);
    this.blocks.set(number, block);
    if (this.blocks.size > DENSE_BLOCKS_MAX) this.blocks.delete(this.blocks.keys().next().value!);
    if (++block.faults < block.wanted) return false;
    [block.faults, block.unused] = [0, 0];
    return true;
  }

  /** A page went to somebody who writes it, and nobody here had used it. */
  lostUnused(page: number): void {
    const block = this.blocks.get(Math.floor(page / DENSE_BLOCK_PAGES));
    if (block === undefined) return;
    if (++block.unused === UNUSED_MOST) block.wanted = Math.min(FAULTS_MOST, block.wanted * DEARER);
  }
}
