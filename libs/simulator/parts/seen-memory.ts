// What the checkers see of the memory of a node.
import type { HolderIdentity } from '@odonata/coherency/page.ts';
import type { MemoryFile } from '../stores/memory-file.ts';
import type { Layout } from '../world/layout.ts';
import type { Memory } from '../world/machines.ts';
import { Onward } from './onward.ts';

export class SeenMemory {
  /** Shards of which what was held once was declared void. */
  readonly reborn = new Set<number>();
  readonly onward = new Onward();
  private readonly layout: Layout;
  private readonly file: MemoryFile;
  private readonly core: () => Memory;

  /** @param core of whichever pmap manager the node has */
  constructor(layout: Layout, file: MemoryFile, core: () => Memory) {
    this.layout = layout;
    this.file = file;
    this.core = core;
  }

  version(page: number): number {
    const { dataspace, firstPage } = this.layout.runOf(page);
    return this.core().version(dataspace, firstPage);
  }

  /** What was sent on and is not settled. */
  *retained(): Generator<{ page: number; version: number; receiver: HolderIdentity | undefined }> {
    for (const { id, retained } of this.core().all())
      for (const [number, { version }] of retained) {
        const page = this.layout.pageOf(id, number);
        yield { page, version, receiver: this.onward.sentTo(page) };
      }
  }

  /** True where death of this node would take the page, or what it is about to get, away. */
  involved(page: number): boolean {
    const core = this.core();
    const { dataspace, firstPage } = this.layout.runOf(page);
    if (core.state(dataspace, firstPage) !== 'INVALID') return true;
    // A page that arrived waits for its permission in its frame.
    if (this.file.values[page] !== undefined || core.isAsked(dataspace, firstPage)) return true;
    return core.get(dataspace)?.retained.has(firstPage) === true;
  }

  pending(): number[] {
    const { layout } = this;
    return Array.from({ length: layout.pages }, (_, page) => page).filter((page) =>
      this.core().isAsked(layout.dataspaceOf(page), layout.inDataspace(page)),
    );
  }
}
