// The page tables of a node's virtual kernels, as its pmap manager edits them: a port of `home.ts` and `memory.ts`. What
// is said here is done when the call returns: no virtual kernel can keep a page by being slow, stopped or hostile.
import type { HolderId, PageRun } from '../../page.ts';
import type { Readahead } from '../readahead/readahead.ts';

/** A mapping of pages of a dataspace in a process, as far as faults are served by it. */
export interface Mapping {
  readonly dataspace: { readonly id: bigint; readonly name: string };
  readonly writable: boolean;
  /** The first page that is mapped, and the first one after those. */
  readonly firstPage: number;
  readonly endPage: number;
  /** Of its virtual kernel, among the holders of the home. */
  readonly holder: HolderId;
  /** Who pays for what is brought through it: a number that `FrameBudget` knows. */
  readonly charged: number;
  readonly readahead: Pick<Readahead, keyof Readahead>;
}

export interface HomeTables {
  /** Takes write access to a run away from one virtual kernel. No write slips between. */
  protect(holder: HolderId, run: PageRun): void;
  /** Empties every mapping of a run, and keeps its bytes. Nobody may write it meanwhile: `protect` was before. */
  unmap(run: PageRun): void;
  /** False where no process maps anything of a dataspace. */
  isMapped(dataspace: bigint): boolean;
}

export interface PageTables<M extends Mapping> extends HomeTables {
  /** Maps pages that have frames, and wakes who waits for them. @returns how many from the first on are mapped */
  map(mapping: M, firstPage: number, pageCount: number, writable: boolean): number;
  /** False once a mapping went, perhaps with its process. */
  has(mapping: M): boolean;
  /** Takes write access to a dataspace away from all that map it, whatever the home thinks they have. */
  protectAll(dataspace: bigint): void;
}
