// The page tables of the virtual kernels of a node, as its pmap manager edits them.
import type { PageTables } from '@odonata/coherency/node/memory/page-tables.ts';
import type { HolderId, PageRun } from '@odonata/coherency/page.ts';
import type { MappingVkernel, MemoryFile } from '../stores/memory-file.ts';
import type { Surroundings } from '../world/surroundings.ts';
import type { ProcessMapping } from './mapping.ts';

/** A virtual kernel, as its page tables are edited. */
export interface TabledVkernel extends MappingVkernel {
  readonly session: HolderId;
  /** Takes write access away. */
  protect(firstPage: number, pageCount: number): void;
}

export class Tables implements PageTables<ProcessMapping> {
  private readonly world: Surroundings;
  private readonly file: MemoryFile;
  private readonly sessions = new Map<HolderId, TabledVkernel>();

  constructor(world: Surroundings, file: MemoryFile) {
    this.world = world;
    this.file = file;
  }

  join(holder: HolderId, vkernel: TabledVkernel): void {
    this.sessions.set(holder, vkernel);
    this.file.mapped.add(vkernel);
  }

  leave(vkernel: TabledVkernel): void {
    this.sessions.delete(vkernel.session);
    this.file.mapped.delete(vkernel);
  }

  /** False for one of an earlier start of the node, whatever number it had. */
  knows(vkernel: { readonly session: HolderId }): boolean {
    return this.sessions.get(vkernel.session) === vkernel;
  }

  protect(holder: HolderId, run: PageRun): void {
    const { layout } = this.world;
    const { dataspace, firstPage, pageCount } = layout.used(run);
    if (pageCount > 0) this.sessions.get(holder)?.protect(layout.pageOf(dataspace, firstPage), pageCount);
  }

  unmap(run: PageRun): void {
    const { layout } = this.world;
    const { dataspace, firstPage, pageCount } = layout.used(run);
    for (let i = 0; i < pageCount; i++) this.file.unmap(layout.pageOf(dataspace, firstPage + i));
  }

  isMapped(): boolean {
    return this.sessions.size > 0;
  }

  map(
    { process, dataspace }: ProcessMapping,
    firstPage: number,
    pageCount: number,
    writable: boolean,
  ): number {
    for (let i = 0; i < pageCount; i++)
      process.vkernel.map(this.world.layout.pageOf(dataspace.id, firstPage + i), writable);
    return pageCount;
  }

  has({ process }: ProcessMapping): boolean {
    return this.knows(process.vkernel);
  }

  protectAll(dataspace: bigint): void {
    for (const holder of this.sessions.keys()) this.protect(holder, this.world.layout.allOf(dataspace));
  }
}
