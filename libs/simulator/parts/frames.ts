// The frames of a dataspace on a node, as the memory of the node sees them.
import type { PageFrames } from '@odonata/coherency/node/memory/page-frames.ts';
import type { MemoryFile } from '../stores/memory-file.ts';
import { check } from '../violation.ts';
import type { Surroundings } from '../world/surroundings.ts';
import { PageValues } from './page-values.ts';

export class FramesOfNode implements PageFrames<PageValues> {
  private readonly world: Surroundings;
  private readonly name: string;
  private readonly file: MemoryFile;
  private readonly dataspace: bigint;

  /** @param name of the node */
  constructor(world: Surroundings, name: string, file: MemoryFile, dataspace: bigint) {
    this.world = world;
    this.name = name;
    this.file = file;
    this.dataspace = dataspace;
  }

  get residentPages(): number {
    const { dataspace, firstPage, pageCount } = this.world.layout.allOf(this.dataspace);
    const first = this.world.layout.pageOf(dataspace, firstPage);
    return this.file.values.slice(first, first + pageCount).filter((value) => value !== undefined).length;
  }

  private pageOf(page: number): number {
    return this.world.layout.pageOf(this.dataspace, page);
  }

  /** Those that are used of a run. */
  private *used(firstPage: number, pageCount: number): Generator<number> {
    const used = this.world.layout.used({ dataspace: this.dataspace, firstPage, pageCount });
    for (let i = 0; i < used.pageCount; i++) yield this.pageOf(used.firstPage + i);
  }

  has(page: number): boolean {
    return this.file.values[this.pageOf(page)] !== undefined;
  }

  read(firstPage: number, pageCount: number): PageValues {
    const values: number[] = [];
    for (const page of this.used(firstPage, pageCount)) {
      check(!this.file.writableSomewhere(page), 'single writer', page, () => {
        return `page ${page} is read at ${this.name} while a virtual kernel there may write it`;
      });
      values.push(this.file.values[page] ?? 0);
    }
    return new PageValues(values);
  }

  write(
    firstPage: number,
    _pageCount: number,
    { values, stored }: PageValues,
    charged: (page: number) => number,
  ): void {
    const { world, name } = this;
    values.forEach((value, i) => {
      charged(firstPage + i);
      const page = this.pageOf(firstPage + i);
      this.file.values[page] = value;
      if (!stored) return;
      world.losses.beginsAnew(page, name);
      world.durability.beginsAnew(page, value);
      world.latest.beginsAnew(page, value);
    });
  }

  fillHoles(firstPage: number, pageCount: number): number {
    for (const page of this.used(firstPage, pageCount)) this.file.values[page] ??= 0;
    return pageCount;
  }

  drop(firstPage: number, pageCount: number): void {
    for (const page of this.used(firstPage, pageCount)) this.file.drop(page);
  }
}
